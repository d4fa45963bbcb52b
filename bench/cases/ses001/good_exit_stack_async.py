"""The stack closes it."""

from contextlib import AsyncExitStack

from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine("postgresql+asyncpg://localhost/clinic")
SessionLocal = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class Visit(Base):
    __tablename__ = "visits"
    id: Mapped[int] = mapped_column(primary_key=True)
    patient: Mapped[str]
    minutes: Mapped[int]


async def all_minutes() -> list[int]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(SessionLocal())
        return list(await session.scalars(select(Visit.minutes)))

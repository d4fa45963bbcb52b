"""The session has no name, so nothing can close it."""

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


async def all_patients() -> list[str]:
    return [visit.patient for visit in await SessionLocal().scalars(select(Visit))]

"""The blocks close their sessions."""

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


async def minutes_of(visit_id: int) -> int:
    async with SessionLocal() as session:
        return (await session.get_one(Visit, visit_id)).minutes


async def extend(visit_id: int, minutes: int) -> None:
    async with SessionLocal.begin() as session:
        (await session.get_one(Visit, visit_id)).minutes += minutes

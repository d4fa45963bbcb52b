"""Opened in `__aenter__`, closed in `__aexit__`."""

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


class Schedule:
    async def __aenter__(self) -> "Schedule":
        self.session = SessionLocal()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.session.close()

    async def patients(self) -> list[str]:
        return list(await self.session.scalars(select(Visit.patient)))


async def report() -> str:
    async with Schedule() as schedule:
        return ", ".join(await schedule.patients())

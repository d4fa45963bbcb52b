"""The sync work goes to an executor."""

import asyncio

from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

engine = create_engine("postgresql+psycopg://localhost/hotel")
SessionLocal = sessionmaker(engine)


class Base(DeclarativeBase):
    pass


class Room(Base):
    __tablename__ = "rooms"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    beds: Mapped[int]


def count() -> int:
    with SessionLocal() as session:
        return session.scalar(select(func.count(Room.id))) or 0


async def report() -> str:
    loop = asyncio.get_running_loop()
    return f"{await loop.run_in_executor(None, count)} rooms"

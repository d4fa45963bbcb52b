"""Sync work beside async functions that never call it."""

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


async def tick() -> None:
    await asyncio.sleep(1)


def main() -> None:
    print(count())
    asyncio.run(tick())

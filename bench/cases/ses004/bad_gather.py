"""Tasks run side by side, and each blocks the loop."""

import asyncio

from sqlalchemy import create_engine
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


async def beds(room_id: int) -> int:
    with SessionLocal() as session:
        return session.get_one(Room, room_id).beds


async def total(room_ids: list[int]) -> int:
    return sum(await asyncio.gather(*(beds(room_id) for room_id in room_ids)))

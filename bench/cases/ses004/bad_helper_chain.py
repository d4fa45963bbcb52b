"""Three calls down from an async function, a sync helper opens a session."""

import asyncio

from sqlalchemy import create_engine, select
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


def load_names() -> list[str]:
    with SessionLocal() as session:
        return list(session.scalars(select(Room.name)))


def names_in_order() -> list[str]:
    return sorted(load_names())


def summary() -> str:
    return ", ".join(names_in_order())


async def publish(channel: asyncio.Queue[str]) -> None:
    await channel.put(summary())

"""The sync work goes to a thread."""

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


async def names() -> list[str]:
    return await asyncio.to_thread(load_names)

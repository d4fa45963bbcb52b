"""The older `query` in an async function."""

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


async def largest() -> list[Room]:
    session = SessionLocal()
    try:
        return session.query(Room).filter(Room.beds > 3).order_by(Room.name).all()
    finally:
        session.close()

"""FastAPI runs a plain `def` background task in its thread pool."""

from fastapi import BackgroundTasks, FastAPI
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

engine = create_engine("postgresql+psycopg://localhost/hotel")
SessionLocal = sessionmaker(engine)
app = FastAPI()


class Base(DeclarativeBase):
    pass


class Room(Base):
    __tablename__ = "rooms"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    beds: Mapped[int]


def empty_room(room_id: int) -> None:
    with SessionLocal.begin() as session:
        session.get_one(Room, room_id).beds = 0


@app.post("/rooms/{room_id}/empty")
async def empty(room_id: int, tasks: BackgroundTasks) -> None:
    tasks.add_task(empty_room, room_id)

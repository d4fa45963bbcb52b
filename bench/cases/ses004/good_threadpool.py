"""The sync work goes to the thread pool."""

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
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


@app.get("/rooms/{room_id}")
async def room(room_id: int) -> str:
    def load() -> str:
        with SessionLocal() as session:
            return session.get_one(Room, room_id).name

    return await run_in_threadpool(load)

"""An async dependency reads with a sync session."""

from collections.abc import Iterator

from fastapi import Depends, FastAPI, Request
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

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


def get_db() -> Iterator[Session]:
    with SessionLocal() as session:
        yield session


async def current_room(request: Request, db: Session = Depends(get_db)) -> Room | None:
    return db.get(Room, int(request.headers["x-room"]))


@app.get("/here")
async def here(room: Room | None = Depends(current_room)) -> str:
    return room.name if room else "nowhere"

"""A sync session is injected into an async endpoint."""

from collections.abc import Iterator

from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, select
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


@app.get("/rooms")
async def rooms(db: Session = Depends(get_db)) -> list[str]:
    return list(db.scalars(select(Room.name)))

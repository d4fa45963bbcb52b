"""An async endpoint calls a sync helper, which waits for the database."""

from collections.abc import Iterator

from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, func, select
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


def count_beds(db: Session) -> int:
    return db.scalar(select(func.sum(Room.beds))) or 0


@app.get("/beds")
async def beds(db: Session = Depends(get_db)) -> int:
    return count_beds(db)

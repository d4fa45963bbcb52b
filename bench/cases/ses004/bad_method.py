"""An async endpoint calls a sync repository."""

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


class Rooms:
    def __init__(self, session: Session) -> None:
        self.session = session

    def by_name(self, name: str) -> Room | None:
        return self.session.scalars(select(Room).where(Room.name == name)).first()


@app.get("/rooms/{name}")
async def room(name: str, db: Session = Depends(get_db)) -> int:
    found = Rooms(db).by_name(name)
    return found.beds if found else 0

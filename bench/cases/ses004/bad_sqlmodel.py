"""SQLModel's sync session in an async endpoint."""

from collections.abc import Iterator

from fastapi import Depends, FastAPI
from sqlmodel import Field, Session, SQLModel, create_engine, select

engine = create_engine("postgresql+psycopg://localhost/hotel")
app = FastAPI()


class Room(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str


def get_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


@app.get("/rooms")
async def rooms(session: Session = Depends(get_session)) -> list[Room]:
    return list(session.exec(select(Room)).all())

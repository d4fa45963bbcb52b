"""A middleware waits for the database before each request."""

from fastapi import FastAPI, HTTPException, Request
from sqlalchemy import create_engine, func, select
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


@app.middleware("http")
async def closed_on_empty(request: Request, call_next):
    with SessionLocal() as session:
        if not session.scalar(select(func.count(Room.id))):
            raise HTTPException(503)
    return await call_next(request)

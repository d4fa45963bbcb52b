"""An async session is injected into an async endpoint."""

from collections.abc import AsyncIterator

from fastapi import Depends, FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine("postgresql+asyncpg://localhost/hotel")
SessionLocal = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


class Base(DeclarativeBase):
    pass


class Room(Base):
    __tablename__ = "rooms"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    beds: Mapped[int]


async def get_db() -> AsyncIterator[AsyncSession]:
    async with SessionLocal() as session:
        yield session


@app.get("/rooms")
async def rooms(db: AsyncSession = Depends(get_db)) -> list[str]:
    return list(await db.scalars(select(Room.name)))


@app.delete("/rooms/{room_id}")
async def remove(room_id: int, db: AsyncSession = Depends(get_db)) -> None:
    await db.delete(await db.get_one(Room, room_id))
    await db.commit()

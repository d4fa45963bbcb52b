"""An async session in an async function."""

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine("postgresql+asyncpg://localhost/hotel")
SessionLocal = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class Room(Base):
    __tablename__ = "rooms"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    beds: Mapped[int]


async def beds(room_id: int) -> int:
    async with SessionLocal() as session:
        return (await session.get_one(Room, room_id)).beds


async def add_room(name: str, beds: int) -> None:
    async with SessionLocal() as session:
        session.add(Room(name=name, beds=beds))
        await session.commit()

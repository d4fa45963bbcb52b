"""`run_sync` runs the sync helper without blocking."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

engine = create_async_engine("postgresql+asyncpg://localhost/hotel")
SessionLocal = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class Room(Base):
    __tablename__ = "rooms"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    beds: Mapped[int]


def count_beds(session: Session) -> int:
    return sum(session.scalars(select(Room.beds)))


async def beds() -> int:
    async with SessionLocal() as session:
        return await session.run_sync(count_beds)

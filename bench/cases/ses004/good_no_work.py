"""These calls on a session do not reach the database."""

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


async def add_rooms(names: list[str]) -> None:
    async with SessionLocal() as session:
        for name in names:
            session.add(Room(name=name, beds=1))
        session.expunge_all()
        session.add_all([Room(name=name, beds=2) for name in names])
        await session.commit()

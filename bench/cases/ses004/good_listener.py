"""Listeners of an async engine run inside its greenlet."""

from sqlalchemy import event, text
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


@event.listens_for(engine.sync_engine, "connect")
def prepare(connection, record) -> None:
    cursor = connection.cursor()
    cursor.execute("set time zone 'UTC'")
    cursor.close()


async def is_up() -> bool:
    async with engine.connect() as connection:
        return (await connection.execute(text("select 1"))).scalar_one() == 1

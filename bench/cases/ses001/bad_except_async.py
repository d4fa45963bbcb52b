"""The close is inside the try, and the handler rolls back only."""

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine("postgresql+asyncpg://localhost/clinic")
SessionLocal = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class Visit(Base):
    __tablename__ = "visits"
    id: Mapped[int] = mapped_column(primary_key=True)
    patient: Mapped[str]
    minutes: Mapped[int]


async def remove(visit_id: int) -> bool:
    session = SessionLocal()
    try:
        await session.delete(await session.get_one(Visit, visit_id))
        await session.commit()
        await session.close()
    except ValueError:
        await session.rollback()
        return False
    return True

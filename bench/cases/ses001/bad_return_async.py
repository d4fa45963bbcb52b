"""One return comes before the close."""

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


async def is_long(visit_id: int) -> bool:
    session = SessionLocal()
    visit = await session.get(Visit, visit_id)
    if visit is None:
        return False
    long = visit.minutes > 30
    await session.close()
    return long

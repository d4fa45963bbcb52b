"""The dependency is taken by hand, and nothing runs it to its end."""

from collections.abc import Iterator

from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

engine = create_engine("postgresql+psycopg://localhost/library")
SessionLocal = sessionmaker(engine)


class Base(DeclarativeBase):
    pass


class Book(Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    copies: Mapped[int]


def get_db() -> Iterator[Session]:
    with SessionLocal() as session:
        yield session


def count_copies() -> int:
    session = next(get_db())
    return sum(session.scalars(select(Book.copies)))

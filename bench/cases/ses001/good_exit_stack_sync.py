"""The stack closes it."""

from contextlib import ExitStack

from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

engine = create_engine("postgresql+psycopg://localhost/library")
Session = sessionmaker(engine)


class Base(DeclarativeBase):
    pass


class Book(Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    copies: Mapped[int]


def copies() -> list[int]:
    with ExitStack() as stack:
        session = Session()
        stack.callback(session.close)
        return list(session.scalars(select(Book.copies)))

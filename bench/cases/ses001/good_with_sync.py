"""The blocks close their sessions."""

from sqlalchemy import create_engine
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


def copies_of(book_id: int) -> int:
    with Session() as session:
        return session.get_one(Book, book_id).copies


def lend(book_id: int) -> None:
    with Session.begin() as session:
        session.get_one(Book, book_id).copies -= 1

"""The session stays open when there is no such book."""

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


def lend(book_id: int) -> None:
    session = Session()
    book = session.get(Book, book_id)
    if book is None:
        raise LookupError(f"no book {book_id}")
    book.copies -= 1
    session.commit()
    session.close()

"""One return comes before the close."""

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


def is_available(book_id: int) -> bool:
    session = Session()
    book = session.get(Book, book_id)
    if book is None:
        return False
    available = book.copies > 0
    session.close()
    return available

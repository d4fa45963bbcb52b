"""Each round opens a session, and only the last one is closed."""

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


def restock(titles: dict[int, int]) -> None:
    for book_id, copies in titles.items():
        session = Session()
        session.get_one(Book, book_id).copies += copies
        session.commit()
    session.close()

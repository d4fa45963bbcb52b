"""The close is inside the try, and the handler rolls back only."""

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


def remove(book_id: int) -> bool:
    session = Session()
    try:
        session.delete(session.get_one(Book, book_id))
        session.commit()
        session.close()
    except ValueError:
        session.rollback()
        return False
    return True

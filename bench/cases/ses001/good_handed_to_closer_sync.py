"""The callee closes it."""

from sqlalchemy import create_engine
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


def save(book: Book, session: Session) -> None:
    try:
        session.add(book)
        session.commit()
    finally:
        session.close()


def add(title: str) -> None:
    book = Book(title=title, copies=1)
    save(book, SessionLocal())

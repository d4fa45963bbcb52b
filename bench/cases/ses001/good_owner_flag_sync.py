"""Closed where it was made here, left alone where it was given."""

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


def count(session: Session | None = None) -> int:
    own = session is None
    if session is None:
        session = SessionLocal()
    try:
        return len(session.scalars(select(Book.id)).all())
    finally:
        if own:
            session.close()

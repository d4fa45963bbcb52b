"""Opened in `__enter__`, closed in `__exit__`."""

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


class Catalogue:
    def __enter__(self) -> "Catalogue":
        self.session = Session()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.session.close()

    def titles(self) -> list[str]:
        return list(self.session.scalars(select(Book.title)))


def report() -> str:
    with Catalogue() as catalogue:
        return ", ".join(catalogue.titles())

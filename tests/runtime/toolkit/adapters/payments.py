"""A table whose constraint fails at COMMIT and not before, and a look into the database from outside."""

from __future__ import annotations

from sqlalchemy import ForeignKey, NullPool, create_engine, make_url, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Payment(Base):
    __tablename__ = "payments"

    id: Mapped[int] = mapped_column(primary_key=True)
    earlier: Mapped[int] = mapped_column(ForeignKey("payments.id", deferrable=True, initially="DEFERRED"))


def plain(url: str) -> str:
    """The same database for a synchronous driver."""
    drivers = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
    found = make_url(url)
    return found.set(drivername=drivers[found.get_backend_name()]).render_as_string(hide_password=False)


def create_payments(url: str) -> None:
    Base.metadata.create_all(create_engine(plain(url), poolclass=NullPool))


def count(url: str, table: str = "accounts") -> int:
    """How many rows others see now."""
    with create_engine(plain(url), poolclass=NullPool).connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())

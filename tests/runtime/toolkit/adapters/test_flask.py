"""Flask: what a client is told is what the database has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, abort, stream_with_context
from sqlalchemy import exc as sa_exc, func, select

from hermetic.toolkit import errors
from hermetic.toolkit.adapters import commands
from hermetic.toolkit.adapters.flask import read, transaction
from hermetic.toolkit.async_database import AsyncDatabase
from hermetic.toolkit.database import Database
from hermetic.toolkit.session import Session
from runtime.models import Account, Payment
from runtime.rows import count


@pytest.fixture
def db(plain_url: str) -> Iterator[Database]:
    with Database(plain_url, pool_size=1, max_overflow=0, pool_timeout=2) as database:
        yield database


@pytest.fixture
def app(db: Database) -> Flask:
    app = Flask(__name__)
    app.testing = True

    @app.post("/accounts/<int:balance>")
    @transaction(db)
    def create(session: Session, balance: int) -> str:
        account = Account(balance=balance)
        session.add(account)
        session.flush()
        return str(account.id)

    @app.post("/fails-at-commit")
    @transaction(db)
    def fail_at_commit(session: Session) -> str:
        session.add(Payment(earlier=999))
        return "done"

    @app.post("/abort")
    @transaction(db)
    def give_up(session: Session) -> str:
        session.add(Account())
        session.flush()
        abort(409)

    @app.get("/accounts")
    @read(db)
    def how_many(session: Session) -> str:
        return str(session.scalar(select(func.count(Account.id))))

    @app.post("/write-in-read")
    @read(db)
    def write_in_read(session: Session) -> str:
        session.add(Account())
        session.flush()
        return "done"

    @app.get("/stream")
    @transaction(db)
    def stream(session: Session) -> Any:
        def body() -> Iterator[str]:
            yield str(session.scalar(select(Account.id)))

        return app.response_class(stream_with_context(body()))

    @app.cli.command()
    @commands.transaction(db)
    def fill(session: Session) -> None:
        session.add(Account())

    return app


def test_a_view_that_returns_has_committed(app: Flask, plain_url: str) -> None:
    assert app.test_client().post("/accounts/5").text == "1"
    assert count(plain_url) == 1
    assert app.test_client().get("/accounts").text == "1"


def test_a_commit_that_fails_is_a_failed_request(app: Flask, plain_url: str) -> None:
    with pytest.raises(sa_exc.IntegrityError):
        app.test_client().post("/fails-at-commit")
    app.testing = False
    assert app.test_client().post("/fails-at-commit").status_code == 500
    assert count(plain_url, "payments") == 0


def test_abort_rolls_back_and_gives_the_connection_back(app: Flask, plain_url: str) -> None:
    for _ in range(3):
        assert app.test_client().post("/abort").status_code == 409
    assert count(plain_url) == 0


def test_reading_refuses_to_write(app: Flask) -> None:
    with pytest.raises(errors.ReadOnly):
        app.test_client().post("/write-in-read")


def test_a_stream_cannot_use_the_session_of_its_request(app: Flask) -> None:
    with pytest.raises(errors.BlockEnded, match="after the end of the request") as caught:
        app.test_client().get("/stream")
    assert "in app.<locals>.stream" in str(caught.value)


def test_commands_of_the_application_are_transactions(app: Flask, plain_url: str) -> None:
    assert app.test_cli_runner().invoke(args=["fill"]).exit_code == 0
    assert count(plain_url) == 1


def test_an_asynchronous_database_is_refused() -> None:
    with pytest.raises(TypeError, match="event loop of its own"):
        transaction(AsyncDatabase("sqlite+aiosqlite://"))  # type: ignore[arg-type]


def test_an_asynchronous_view_is_refused(db: Database) -> None:
    async def view(session: Session) -> None: ...

    with pytest.raises(TypeError, match="would run after its transaction"):
        transaction(db)(view)

"""Click, Typer and scripts: a command that succeeds has committed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from click.testing import CliRunner
from typer.testing import CliRunner as TyperRunner

from hermetic.toolkit import errors
from hermetic.toolkit.adapters.commands import read, transaction
from hermetic.toolkit.async_database import AsyncDatabase
from hermetic.toolkit.database import Database
from hermetic.toolkit.session import Session
from runtime.models import Account, Payment
from runtime.rows import count


@pytest.fixture
def db(plain_url: str) -> Iterator[Database]:
    with Database(plain_url) as database:
        yield database


def leave(code: int) -> None:
    click.get_current_context().exit(code)


def leave_python(code: int) -> None:
    sys.exit(code)


def click_command(db: Database, ending: Callable[[], object]) -> Any:
    @click.command()
    @click.argument("balance", type=int)
    @click.option("--times", default=1)
    @transaction(db)
    def fill(session: Session, balance: int, times: int) -> None:
        """Makes accounts."""
        session.add_all([Account(balance=balance) for _ in range(times)])
        session.flush()
        ending()

    return fill


def test_click_passes_arguments_after_the_session(db: Database, plain_url: str) -> None:
    done = CliRunner().invoke(click_command(db, lambda: None), ["5", "--times", "3"])

    assert done.exit_code == 0, done.output
    assert count(plain_url) == 3


@pytest.mark.parametrize("how", [leave, leave_python])
@pytest.mark.parametrize(("code", "expected"), [(0, 1), (3, 0)])
def test_the_exit_code_decides(
    db: Database, plain_url: str, how: Callable[[int], None], code: int, expected: int
) -> None:
    done = CliRunner().invoke(click_command(db, lambda: how(code)), ["5"])

    assert (done.exit_code, count(plain_url)) == (code, expected)


def test_an_error_for_the_person_rolls_back(db: Database, plain_url: str) -> None:
    def refuse() -> None:
        raise click.UsageError("no")

    assert CliRunner().invoke(click_command(db, refuse), ["5"]).exit_code == 2
    assert count(plain_url) == 0


def test_leaving_with_0_does_not_hide_a_commit_that_fails(db: Database, plain_url: str) -> None:
    @click.command()
    @transaction(db)
    def pay(session: Session) -> None:
        session.add(Payment(earlier=999))
        sys.exit(0)

    assert CliRunner().invoke(pay, []).exit_code == 1
    assert count(plain_url, "payments") == 0


@pytest.mark.parametrize(("code", "expected"), [(0, 1), (3, 0)])
def test_typer_reads_the_signature_without_the_session(db: Database, plain_url: str, code: int, expected: int) -> None:
    app = typer.Typer()

    @app.command()
    @transaction(db)
    def fill(session: Session, balance: int, code: int = 0) -> None:
        session.add(Account(balance=balance))
        raise typer.Exit(code)

    done = TyperRunner().invoke(app, ["5", "--code", str(code)])

    assert (done.exit_code, count(plain_url)) == (code, expected)


def test_reading_refuses_to_write(db: Database) -> None:
    @click.command()
    @read(db)
    def fill(session: Session) -> None:
        session.add(Account())
        session.flush()

    done = CliRunner().invoke(fill, [])

    assert isinstance(done.exception, errors.ReadOnly)


def test_the_session_does_not_outlive_its_command(db: Database) -> None:
    kept = []

    @transaction(db)
    def keep(session: Session) -> None:
        kept.append(session)

    keep()

    with pytest.raises(errors.BlockEnded, match="after the end of the command"):
        kept[0].flush()


def test_an_asynchronous_database_is_refused() -> None:
    with pytest.raises(TypeError, match="no event loop"):
        transaction(AsyncDatabase("sqlite+aiosqlite://"))  # type: ignore[arg-type]


def test_a_script_commits_before_it_exits(sqlite_url: str, tmp_path: Path) -> None:
    script = tmp_path / "fill.py"
    script.write_text(f"""
import sys

from hermetic import Database, Session
from hermetic.toolkit.adapters.commands import transaction
from sqlalchemy import text

db = Database({sqlite_url!r})


@transaction(db)
def main(session: Session) -> None:
    session.execute(text("INSERT INTO accounts (balance) VALUES (1)"))
    sys.exit()


main()
""")
    subprocess.run([sys.executable, str(script)], check=True, timeout=30)

    assert count(sqlite_url) == 1

"""SQL and URLs as they may be shown."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url

from hermetic.sanitizer import redact


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT 'it''s'", "SELECT ?"),
        (r"SELECT E'it\'s', 1", "SELECT ?, ?"),
        ("SELECT 'never closed", "SELECT ?"),
        ("SELECT $$never closed", "SELECT ?"),
        ("SELECT /* never closed", "SELECT ?"),
        ('SELECT "never closed', "SELECT ?"),
        ("SELECT $$one$$, $tag$two$tag$", "SELECT ?, ?"),
        ('SELECT "Ada Lovelace"', "SELECT ?"),
        ('SELECT "4711"', "SELECT ?"),
        ('SELECT "user"."name" FROM "user"', 'SELECT "user"."name" FROM "user"'),
        ("SELECT 42, 4.2 FROM t1 LIMIT 10", "SELECT ?, ? FROM t1 LIMIT ?"),
        ("SELECT :name_1, $1, %(name)s", "SELECT :name_1, $1, %(name)s"),
        ("SELECT 1 -- of Ada\nFROM t", "SELECT ? ? FROM t"),
        ("SELECT /* of Ada */ x", "SELECT ? x"),
        ("SELECT x\n   FROM t", "SELECT x FROM t"),
    ],
)
def test_sql(statement: str, shown: str) -> None:
    assert redact.sql(statement) == shown


def test_sql_that_never_ends() -> None:
    assert len(redact.sql("SELECT x" + ", x" * redact.LONGEST)) <= redact.LONGEST


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:secret@host:5432/db", "postgresql://ada:***@host:5432/db"),
        ("postgresql:///db?host=/tmp&sslpassword=secret", "postgresql:///db?host=%2Ftmp&sslpassword=hidden"),
        ("sqlite:///shop.db", "sqlite:///shop.db"),
    ],
)
def test_url(url: str, shown: str) -> None:
    assert redact.url(make_url(url)) == shown

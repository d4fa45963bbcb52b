"""Which parameters make versions of a summary: those that are tested, here or where they are handed on to."""

from __future__ import annotations

import pytest

from hermetic.engine.link import Codebase
from hermetic.engine.parameters import DecidingParameters
from hermetic.engine.source import facts_of
from hermetic.engine.types import Types

HELPERS = """
class Repository:
    def __init__(self, session=None):
        self.session = session or connect()

    def save(self, row, commit=True):
        if commit:
            self.session.commit()

    @staticmethod
    def flush(session, quiet):
        while quiet:
            session.flush()


class Orders(Repository):
    pass


def plain(session, row):
    session.add(row)


def even(session, n):
    odd(session, n)


def odd(session, n):
    if session is None:
        even(session, n)
"""


@pytest.mark.parametrize(
    ("source", "deciding"),
    [
        ("def f(a, b): return 1 if a else b", "a"),
        ("def f(a, b): ready = a is None", "a"),
        ("def f(a, b): return a or b", "a b"),
        ("def f(a, b): plain(a, b)", ""),
        ("def f(a, b): len(a)", ""),
        ("def f(a, b): Repository(a)", "a"),
        ("def f(a, b): Repository(session=b)", "b"),
        ("def f(a, b): Orders(a)", "a"),
        ("def f(a, b): Repository().save(a, b)", "b"),
        ("def f(a, b): Repository().save(*a, b)", "b"),
        ("def f(a, b): Repository.flush(a, b)", "b"),
        ("def f(a, b): even(a, b)", "a"),
        ("def f(a, b): odd(a, b)", "a"),
        ("def f(a, b): to_thread(odd, a)", "a"),
        ("def f(a, b): b(a)", "a"),
    ],
)
def test_deciding_parameters(source: str, deciding: str) -> None:
    code = Codebase([("helpers.py", facts_of(f"{HELPERS}\n{source}\n".encode()))])
    fn = next(fn for fn in code.functions if fn.name == "f")

    found = DecidingParameters(code, Types(code).classes).of(fn)

    assert " ".join(fn.params[number][0] for number in found) == deciding

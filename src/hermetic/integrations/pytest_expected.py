"""Errors that a test provokes: those that reach a `pytest.raises` or an `assertRaises` which names them.

Told by the error itself, wherever it comes from, and not by the text of the test. pytest has no hook for this, so the
end of these blocks is patched. A block names an error if it expects a class of SQLAlchemy's, and not any exception.
`pytest.raises(error, function)` is such a block from pytest 8.4 on.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

# Where the classes stand that a block expects: of pytest 8.4 and newer, of pytest before that, of unittest.
EXPECTED = ("expected_exceptions", "expected_exception", "expected")


def listen(then: Callable[[Any, BaseException], None]) -> Callable[[], None]:
    """Call `then` with each block that has caught what it expects, and the error. What it returns takes that back.
    `then` must not raise: the test would see it."""
    undo = [_patch(owner, then) for owner in _blocks()]

    def remove() -> None:
        while undo:
            undo.pop()()

    return remove


def _blocks() -> Iterator[type]:
    """The classes of the blocks, by way of what is public."""
    yield type(pytest.raises(Exception))  # noqa: PT011
    if hasattr(pytest, "RaisesGroup"):  # of pytest 8.4
        yield pytest.RaisesGroup
    if "unittest" in sys.modules:
        yield type(sys.modules["unittest"].TestCase().assertRaises(Exception))  # noqa: PT027


def _patch(owner: Any, then: Callable[[Any, BaseException], None]) -> Callable[[], None]:
    original = owner.__exit__

    @functools.wraps(original)
    def __exit__(self: Any, type_: Any, value: Any, traceback: Any) -> Any:
        __tracebackhide__ = True
        caught = original(self, type_, value, traceback)
        if caught and value is not None:
            then(self, value)
        return caught

    def remove() -> None:
        if owner.__exit__ is __exit__:
            owner.__exit__ = original

    owner.__exit__ = __exit__
    return remove


def named(block: Any, error: BaseException) -> Iterator[BaseException]:
    """SQLAlchemy's errors in what a block has caught which it names, each with those that it was made from."""
    module = sys.modules.get("sqlalchemy.exc")
    if module is not None:
        ours = module.SQLAlchemyError
        yield from _named(error, ours, tuple(each for each in _expected(block) if issubclass(each, ours)))


def _expected(block: Any) -> Iterator[type]:
    """The classes that a block expects; a group's may stand in blocks of their own."""
    for name in EXPECTED:
        given = getattr(block, name, ())
        for each in given if isinstance(given, tuple) else (given,):
            if isinstance(each, type):
                yield each
            else:
                yield from _expected(each)


def _named(error: BaseException, ours: type, expected: tuple[type, ...]) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _named(each, ours, expected)
    elif isinstance(error, expected):
        yield error
        cause = error.__cause__
        if cause is not None:
            yield from _named(cause, ours, (ours,))

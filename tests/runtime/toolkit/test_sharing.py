"""One session and several threads."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest
from sqlalchemy import event, select

from hermetic.toolkit import errors
from hermetic.toolkit.database import Database
from runtime.models import Account, User

T = TypeVar("T")


def in_thread(function: Callable[[], T]) -> T | BaseException:
    """What a function gives, or raises, in another thread."""
    found: list[T | BaseException] = []

    def run() -> None:
        try:
            found.append(function())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    return found[0]


def test_two_threads_do_not_use_one_session_at_once(filled: Database) -> None:
    errors_found: list[object] = []
    with filled.transaction() as session:

        def listen(*_: object) -> None:
            errors_found.append(in_thread(lambda: session.scalar(select(User.name))))

        event.listen(filled.engine, "before_cursor_execute", listen)
        session.execute(select(Account))
        event.remove(filled.engine, "before_cursor_execute", listen)

    assert isinstance(errors_found[0], errors.Overlap)
    text = str(errors_found[0])
    assert "`session.scalar()`" in text
    assert "while `session.execute()` still runs in thread" in text
    assert text.count("test_sharing.py") == 3


def test_two_threads_use_one_session_one_after_the_other(filled: Database) -> None:
    with filled.transaction() as session:
        session.get_one(User, 1)
        assert in_thread(lambda: session.scalar(select(User.name))) == "Ada"


def test_a_block_is_entered_and_left_in_different_threads(filled: Database) -> None:
    scope = filled.transaction()
    session = in_thread(scope.__enter__)
    assert not isinstance(session, BaseException)
    session.add(User(name="Eve"))
    in_thread(lambda: scope.__exit__(None, None, None))

    with filled.read() as session:
        assert session.scalar(select(User.name).where(User.name == "Eve")) == "Eve"


def test_threads_wait_for_each_other_where_it_is_allowed(filled: Database) -> None:
    with filled.transaction() as session:
        filled.allow(session)
        started, found = threading.Event(), []

        def read() -> None:
            started.wait()
            found.append(session.scalar(select(User.name)))

        threads = [threading.Thread(target=read) for _ in range(6)]
        for thread in threads:
            thread.start()
        started.set()
        for thread in threads:
            thread.join()

    assert found == ["Ada"] * 6


def test_a_thread_does_not_inherit_the_block(filled: Database) -> None:
    def open_another() -> None:
        with filled.transaction():
            pass

    with filled.transaction():
        context = contextvars.copy_context()
        error = in_thread(lambda: context.run(open_another))

    assert isinstance(error, errors.InheritedBlock)


def test_a_thread_without_the_context_opens_its_own(filled: Database) -> None:
    def names() -> list[str]:
        with filled.read() as session:
            return list(session.scalars(select(User.name)))

    with filled.read():
        assert in_thread(names) == ["Ada"]


def test_a_thread_opens_its_own_when_it_says_so(filled: Database) -> None:
    def names() -> list[str]:
        with filled.read(independent=True) as session:
            return list(session.scalars(select(User.name)))

    with filled.read():
        context = contextvars.copy_context()
        assert in_thread(lambda: context.run(names)) == ["Ada"]


def test_a_block_ends_after_what_a_thread_does_in_it(filled: Database) -> None:
    started, release = threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        started.set()
        release.wait(5)

    with pytest.raises(errors.Overlap, match="the end of the block"), filled.transaction() as session:
        session.add(User(name="Eve"))
        session.flush()
        event.listen(filled.engine, "before_cursor_execute", slow)
        thread = threading.Thread(target=session.execute, args=(select(Account),))
        thread.start()
        started.wait(5)
        threading.Timer(0.2, release.set).start()
    thread.join()
    event.remove(filled.engine, "before_cursor_execute", slow)

    assert filled.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    with filled.read() as session:
        assert list(session.scalars(select(User.name))) == ["Ada"]

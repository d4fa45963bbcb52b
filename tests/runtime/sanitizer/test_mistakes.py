"""Mistakes of hermetic's own: the application does not notice them, and they are counted."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, create_engine, event, exc, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import DetachedInstanceError

from hermetic.finding import Severity
from hermetic.sanitizer.detector import EVERYWHERE, Detector, Mode
from hermetic.sanitizer.evidence import Act
from hermetic.sanitizer.stacks import grab
from hermetic.sanitizer.watch import Report, Watch
from runtime.models import Base, Post, User

IDLE = 0.02
PAUSE = 0.1
LONG_PAUSE = 0.5  # the watchdog's thread gets a look at it on a busy machine, too
MOMENTS = sorted(Detector.__dataclass_fields__.keys() - {"code", "modes"})
WATCHDOG = {"waiting", "held"}


@contextmanager
def running(observer: Detector, mode: Mode, idle: float = IDLE) -> Iterator[Watch]:
    watch = Watch(mode, lambda report: None, idle=idle, held=IDLE, observers=(observer,)).start()
    try:
        yield watch
    finally:
        watch.stop()


def leak(engine: Engine) -> None:
    session = Session(engine)
    session.scalars(select(User)).all()


def everything(url: str, pause: float = PAUSE) -> list[Any]:
    """An application that meets every moment, and what it sees of it."""
    engine = create_engine(url, pool_size=1, max_overflow=0, pool_timeout=0.02)
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    seen: list[Any] = []
    with Session(engine) as session:
        session.add(User(name="Ada", posts=[Post(title="Notes")]))
        session.commit()
        ada = session.scalars(select(User)).one()
        ada.name = "Ada Lovelace"
        time.sleep(pause)
        session.rollback()
        seen.append(ada.name)
        with pytest.raises(exc.TimeoutError), engine.connect():
            pass
        session.expunge(ada)
        session.commit()
    with pytest.raises(DetachedInstanceError):
        seen.append(ada.posts)
    seen += failures(engine)
    leak(engine)
    gc.collect()  # its connection goes back to the pool
    engine.dispose()
    application = Flask("everything")
    application.add_url_rule("/", view_func=lambda: "answer")
    seen.append(application.test_client().get("/").text)
    return seen


def failures(engine: Engine) -> list[Any]:
    """A failed flush, a session that goes on after it, and a block that ends quietly."""
    with Session(engine) as session:
        session.add(User(id=1, name="Ada"))
        with pytest.raises(exc.IntegrityError):
            session.flush()
        session.rollback()
    with Session(engine) as session, suppress(exc.PendingRollbackError):
        session.add(User(id=1, name="Ada"))
        with suppress(exc.IntegrityError):
            session.commit()
        session.begin_nested()
    with Session(engine) as session, session.begin():
        return list(session.scalars(select(User.name)))


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_detector_that_fails(moment: str, sqlite_url: str) -> None:
    def broken(*_: object) -> None:
        raise LookupError("a secret")

    mode, pause = (Mode.PRODUCTION, LONG_PAUSE) if moment in WATCHDOG else (Mode.TESTS, PAUSE)
    hooks: dict[str, Any] = {moment: broken}
    idle = 60 if moment == "held" else IDLE  # what was reported as waiting is not reported as held
    with running(Detector(code="broken", modes=EVERYWHERE, **hooks), mode, idle) as watch:
        seen = everything(sqlite_url, pause)
        watch.end_scope("")

    assert seen == ["Ada", "Ada", "answer"]
    assert watch.errors >= 1
    assert watch.last_error.startswith("LookupError in test_mistakes.py")
    assert "secret" not in watch.last_error


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_neighbours_of_a_detector_that_fails_are_asked(moment: str) -> None:
    def broken(*_: object) -> None:
        raise LookupError

    asked: list[str] = []
    hooks: dict[str, Any] = {moment: broken}
    others: dict[str, Any] = {moment: lambda *_: asked.append(moment)}
    with running(Detector(code="broken", modes=EVERYWHERE, **hooks), Mode.TESTS) as watch:
        watch.stop()
        watch.observers += (Detector(code="neighbour", modes=EVERYWHERE, **others),)
        watch.detectors = ()
        watch.start()
        watch.tell(moment)

    assert asked == [moment]


@pytest.mark.parametrize("mode", list(Mode))
def test_a_receiver_of_findings_that_fails(mode: Mode, sqlite_url: str) -> None:
    def broken(report: Report) -> None:
        raise LookupError

    def flushing(watch: Watch, record: object) -> None:
        watch.report("SES001", Severity.ERROR, "found", [Act("here", grab())], at=0, help_text="")

    observer = Detector(code="finds", modes=EVERYWHERE, flushing=flushing)
    watch = Watch(mode, broken, observers=(observer,)).start()
    engine = create_engine(sqlite_url)
    with Session(engine) as session:
        session.add(User(name="Ada"))
        session.commit()
        names = session.scalars(select(User.name)).all()
    engine.dispose()
    watch.stop()

    assert (names, watch.errors, len(watch.findings)) == (["Ada"], 1, 1)


@pytest.mark.parametrize("mode", list(Mode))
def test_a_ledger_that_fails(mode: Mode, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise LookupError

    for name in ("record", "known", "of_connection"):
        monkeypatch.setattr(f"hermetic.sanitizer.ledger.Ledger.{name}", broken)
    watch = Watch(mode, lambda report: None).start()
    engine = create_engine(sqlite_url)
    with Session(engine) as session:
        session.add(User(name="Ada"))
        session.commit()
        names = session.scalars(select(User.name)).all()
    engine.dispose()
    watch.stop()

    assert names == ["Ada"]
    assert watch.errors > 5


def test_nothing_is_left_when_the_watch_has_stopped(sqlite_url: str) -> None:
    watch = Watch(Mode.TESTS, lambda report: None).start()
    watch.stop()
    made = watch.ledger.sessions_made
    engine = create_engine(sqlite_url)
    with Session(engine) as session:
        session.add(User(name="Ada"))
        session.commit()
        kept = [name for name in session.__dict__ if "hermetic" in name]
    engine.dispose()

    assert (kept, watch.ledger.sessions_made, watch.ledger.statements) == ([], made, 0)
    assert watch._probes is not None
    assert not event.contains(Session, "after_begin", watch._probes.after_begin)

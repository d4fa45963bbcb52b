"""Each patch calls the original with what it was called with, returns what it returns and raises what it raises."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from collections.abc import Callable
from textwrap import dedent
from typing import Any
from unittest.mock import MagicMock

import pytest
from sqlalchemy import Engine

from hermetic.sanitizer import hooks, patches
from hermetic.sanitizer.detector import Mode
from hermetic.sanitizer.patches import Patch
from hermetic.sanitizer.probes import Probes
from hermetic.sanitizer.watch import Watch, watch

GROUPS = (
    patches.sessions,
    patches.of_statements,
    patches.around_statements,
    patches.closing,
    patches.changes,
    patches.failures,
    patches.database_failures,
    patches.overlaps,
    patches.engines,
    patches.pools,
    patches.reads,
)
ALL = [patch for group in GROUPS for patch in group()]

# What a method is called with, by its name; others take nothing.
ARGUMENTS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "Session.__init__": (("bind",), {"expire_on_commit": False}),
    "AsyncSession.__aexit__": ((None, None, None), {}),
    "_AsyncSessionContextManager.__aexit__": ((None, None, None), {}),
    "Connection._execute_context": (("dialect", "constructor", "statement", "parameters", {}), {"more": 1}),
    "Connection._exec_single_context": (("dialect", MagicMock(), "statement", "parameters"), {}),
    "Connection._exec_insertmany_context": (("dialect", MagicMock()), {}),
    "Connection._safe_close_cursor": (("cursor",), {}),
    "Connection._handle_dbapi_exception": (("error", "statement", "parameters", "cursor", None), {"is_sub_exec": True}),
    "InstanceState._modified_event": (("dict", "attribute", "previous"), {"collection": True}),
    "SessionTransaction._raise_for_prerequisite_state": (("commit", MagicMock()), {}),
    "SessionTransaction.__exit__": ((None, None, None), {}),
    "SessionTransaction._connection_for_bind": (("bind", None), {}),
    "SessionTransaction.commit": ((), {"_to_root": True}),
    "SessionTransaction.rollback": ((), {"_to_root": True}),
    "Session.flush": (("objects",), {}),
    "Session._flush": (("objects",), {}),
    "Session.expunge": (("instance",), {}),
    "BaseEventLoop.create_task": (("coroutine",), {"name": "task"}),
    "IllegalStateChangeError.__init__": (("text",), {"code": "isce"}),
    "DetachedInstanceError.__init__": (("text",), {"code": "bhk3"}),
    "MissingGreenlet.__init__": (("text",), {"code": "xd2s"}),
    "Dialect.engine_created": (("engine",), {}),
    "Engine.dispose": ((), {"close": False}),
}
NOTHING = {
    "__init__",
    "close",
    "reset",
    "expunge",
    "_modified_event",
    "_safe_close_cursor",
    "engine_created",
}  # they return None


def name_of(patch: Patch) -> str:
    return f"{patch.owner.__name__}.{patch.name}"


def called(patch: Patch, original: Callable[..., Any]) -> Any:
    """What comes out of the replacement. Most probes cannot work with the mocks that they get: that is swallowed."""
    probes = Probes(Watch(Mode.TESTS, lambda report: None), ())
    args, kwargs = ARGUMENTS.get(name_of(patch), ((), {}))
    subject = MagicMock(_parent=None, _connections={}, _flushing=False, _reentrant_error=False)
    answer = patch.make(probes, original)(subject, *args, **kwargs)
    return asyncio.run(answer) if inspect.iscoroutine(answer) else answer


def is_async(patch: Patch) -> bool:
    return inspect.iscoroutinefunction(patch.make(MagicMock(), MagicMock()))


@pytest.mark.parametrize("patch", ALL, ids=name_of)
def test_the_original_is_called_unchanged(patch: Patch) -> None:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def original(subject: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append((args, kwargs))
        return "the answer"

    async def original_async(subject: Any, *args: Any, **kwargs: Any) -> Any:
        return original(subject, *args, **kwargs)

    answer = called(patch, original_async if is_async(patch) else original)

    assert calls == [ARGUMENTS.get(name_of(patch), ((), {}))]
    assert answer == (None if patch.name in NOTHING else "the answer")


@pytest.mark.parametrize("failure", [LookupError, KeyboardInterrupt])
@pytest.mark.parametrize("patch", ALL, ids=name_of)
def test_what_the_original_raises_is_raised(patch: Patch, failure: type[BaseException]) -> None:
    def original(*_: Any, **__: Any) -> Any:
        raise failure

    async def original_async(*_: Any, **__: Any) -> Any:
        raise failure

    with pytest.raises(failure):
        called(patch, original_async if is_async(patch) else original)


@pytest.mark.parametrize("mode", list(Mode))
def test_every_original_is_back_when_the_watch_stops(mode: Mode) -> None:
    before = [vars(patch.owner).get(patch.name) for patch in ALL]
    with watch(mode, lambda finding: None):
        during = [vars(patch.owner).get(patch.name) for patch in ALL]
    after = [vars(patch.owner).get(patch.name) for patch in ALL]

    assert before == after
    assert during != after


def test_a_method_keeps_its_name_and_documentation() -> None:
    from sqlalchemy.orm import Session

    before = Session.close.__doc__
    with watch("tests", lambda finding: None):
        assert (Session.close.__name__, Session.close.__doc__) == ("close", before)


@pytest.mark.parametrize("mode", list(Mode))
def test_nothing_listens_to_engines(mode: Mode) -> None:
    probes = Probes(Watch(mode, lambda report: None), ())

    assert Engine not in {target for target, _, _ in hooks.listeners(probes)}


def test_listeners_that_somebody_has_cleared() -> None:
    code = """
        from sqlalchemy.orm.events import SessionEvents
        import hermetic

        with hermetic.watch("tests"):
            SessionEvents._clear()
        print("stopped")
    """
    run = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, timeout=60)

    assert (run.stdout, run.stderr) == ("stopped\n", "")

"""`hermetic check --watch`: check, wait for a file to be saved, check again."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from hermetic.engine.scan import SKIPPED_DIRECTORIES, find_root
from hermetic.requirements import LOCKS, METADATA
from hermetic.settings import SettingsError
from hermetic.tree import UsageError

CLEAR = "\033[2J\033[3J\033[H"

# Watching begins with the first wait. So that nothing saved during the first check is missed, it waits that long first.
FIRST_WAIT = 100  # milliseconds

# Files that decide about others: what is read, what is reported, which versions of libraries are used.
DECIDING = frozenset((".gitignore", *LOCKS, *map(os.path.basename, METADATA)))


def run(paths: Iterable[str], check: Callable[[], int]) -> int:
    """Check now, and whenever something below the project roots changes, until interrupted.

    Raises UsageError and SettingsError for what is wrong from the beginning; later it is only told.
    """
    try:
        import watchfiles
    except ImportError:
        raise UsageError("--watch needs watchfiles: python -m pip install 'hermetic[watch]'") from None
    roots = sorted({find_root(os.path.abspath(path)) for path in paths})
    with _interruptible() as stop, suppress(KeyboardInterrupt):
        changes = watchfiles.watch(
            *roots, watch_filter=_matters, stop_event=stop, rust_timeout=FIRST_WAIT, yield_on_timeout=True
        )
        next(changes)
        _draw(check)
        for changed in changes:
            if changed:
                _draw_again(check)
    return 0


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that an interrupt sets: where Python drops the exception, in a finalizer, watching ends all the same."""
    stop = threading.Event()

    def interrupt(*_: object) -> None:
        stop.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _draw_again(check: Callable[[], int]) -> None:
    try:
        _draw(check)
    except (UsageError, SettingsError) as error:
        print(f"hermetic: {error}", file=sys.stderr)


def _draw(check: Callable[[], int]) -> None:
    """Check, in the place of what was printed before."""
    if sys.stdout.isatty():
        sys.stdout.write(CLEAR)
    try:
        check()
    finally:
        gc.collect()  # this process lives on, and `main` has switched the collector off


def _matters(change: object, path: str) -> bool:
    """Can a change of that file change a report?"""
    name = os.path.basename(path)
    return (name.endswith(".py") or name in DECIDING) and SKIPPED_DIRECTORIES.isdisjoint(path.split(os.sep))

"""Airtight SQLAlchemy sessions: found, fixed, caught and made impossible.

Importing this package loads neither the analysis nor SQLAlchemy; a public name loads its half when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in typing, which takes as long to import as Python to start
if TYPE_CHECKING:
    from typing import Any

    from hermetic.sanitizer.live import LiveSession, sessions, sessions_text
    from hermetic.sanitizer.operations import operation
    from hermetic.sanitizer.watch import Watch, watch
    from hermetic.sanitizer.watchdog import long_running
    from hermetic.toolkit.async_database import AsyncDatabase
    from hermetic.toolkit.async_session import AsyncSession
    from hermetic.toolkit.database import Database
    from hermetic.toolkit.errors import CallbackFailed, CancelledAfterCommit, CommitUnknown, ToolkitError, committed
    from hermetic.toolkit.session import Session

__version__ = "0.1.0"

__all__ = [
    "AsyncDatabase",
    "AsyncSession",
    "CallbackFailed",
    "CancelledAfterCommit",
    "CommitUnknown",
    "Database",
    "LiveSession",
    "Session",
    "ToolkitError",
    "Watch",
    "__version__",
    "committed",
    "long_running",
    "operation",
    "sessions",
    "sessions_text",
    "watch",
]

# The module that each public name lives in.
_HOMES = {
    "Watch": "hermetic.sanitizer.watch",
    "LiveSession": "hermetic.sanitizer.live",
    "sessions": "hermetic.sanitizer.live",
    "sessions_text": "hermetic.sanitizer.live",
    "operation": "hermetic.sanitizer.operations",
    "long_running": "hermetic.sanitizer.watchdog",
    "watch": "hermetic.sanitizer.watch",
    "AsyncDatabase": "hermetic.toolkit.async_database",
    "Database": "hermetic.toolkit.database",
    "AsyncSession": "hermetic.toolkit.async_session",
    "Session": "hermetic.toolkit.session",
    "CallbackFailed": "hermetic.toolkit.errors",
    "CancelledAfterCommit": "hermetic.toolkit.errors",
    "CommitUnknown": "hermetic.toolkit.errors",
    "ToolkitError": "hermetic.toolkit.errors",
    "committed": "hermetic.toolkit.errors",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

"""Which events and patches a watch sets: those that its mode and its detectors need, and no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Mapper, Session
from sqlalchemy.pool import Pool

from hermetic.sanitizer import patches

if TYPE_CHECKING:
    from hermetic.sanitizer.probes import Probes


def listeners(probes: Probes) -> list[tuple[Any, str, Callable[..., Any]]]:
    """What SQLAlchemy's events are to call: target, event and listener."""
    found: list[tuple[Any, str, Callable[..., Any]]] = [
        (Session, "after_begin", probes.after_begin),
        (Session, "after_transaction_end", probes.after_transaction_end),
        (Pool, "checkout", probes.pools.checkout),
        (Pool, "checkin", probes.pools.checkin),
        (Pool, "detach", probes.pools.checkin),
    ]
    if probes.detailed or any(probes.hooks[name] for name in ("committed", "rolled_back", "ended")):
        found += [(Session, "after_commit", probes.after_commit), (Session, "after_rollback", probes.after_rollback)]
    if probes.detailed or probes.hooks["committing"]:
        found.append((Session, "before_commit", probes.before_commit))
    if probes.detailed:
        found.append((Session, "transient_to_pending", probes.added))
    if probes.detailed or probes.hooks["flushing"]:
        found.append((Session, "before_flush", probes.before_flush))
    if probes.detailed or probes.hooks["flushed"]:
        found.append((Session, "after_flush", probes.after_flush))
    if probes.hooks["loaded"]:
        found += [(Mapper, "load", probes.loaded), (Mapper, "refresh", probes.loaded)]
    return found


def patch_groups(probes: Probes) -> list[Callable[[], tuple[patches.Patch, ...]]]:
    """What is patched."""
    found = [patches.engines, patches.pools, patches.of_statements]
    if probes.detailed or probes.hooks["failed"]:
        found.append(patches.database_failures)
    if probes.detailed or probes.hooks["made"]:
        found.append(patches.sessions)
    if probes.detailed or probes.hooks["closing"] or probes.hooks["closed"]:
        found.append(patches.closing)
    if probes.detailed:
        found += [patches.around_statements, patches.failures, patches.overlaps, patches.reads, patches.changes]
    return found

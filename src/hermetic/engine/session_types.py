"""The type of a session: what is known of it wherever it comes from."""

from __future__ import annotations

from typing import NamedTuple

# Kinds: who closes it
PLAIN = "plain"  # whoever made it
REGISTRY = "registry"  # a scoped_session: the registry does
BORROWED = "borrowed"  # over a connection that somebody else owns: it holds no connection of its own
MANAGED = "managed"  # a framework opened it for this call and closes it afterwards

# (where, function, line, column) of a call; where is "module", "function", "cached", "kept", "start-up", "container" or
# "object"
Made = tuple[str, int, int, int]


class SessionType(NamedTuple):
    """`flavour` is "sync" or "async"; `expire` is expire_on_commit, None where no code says; `made` is the call that
    makes the session, `options_at` the call that its options come from."""

    flavour: str
    kind: str = PLAIN
    expire: bool | None = None
    made: Made | None = None
    options_at: Made | None = None

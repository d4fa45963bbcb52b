"""One engine for each URL: the registry, and defaults by dialect.

Sources: [pool] https://docs.sqlalchemy.org/en/20/core/pooling.html [hikari] `aliveBypassWindowMs` in
https://github.com/brettwooldridge/HikariCP/blob/dev/src/main/java/com/zaxxer/hikari/pool/HikariPool.java [pg]
https://www.postgresql.org/docs/current/runtime-config-client.html [sqlite] https://www.sqlite.org/foreignkeys.html and
https://www.sqlite.org/wal.html [fork] https://docs.sqlalchemy.org/en/20/core/pooling.html#using-connection-pools-with-multiprocessing-or-os-fork
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Sequence
from threading import Lock
from time import monotonic
from typing import Any

from sqlalchemy import URL, Dialect, Engine, event, exc as sa_exc
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, QueuePool

from hermetic.toolkit import errors, hooks
from hermetic.toolkit.core import Core
from hermetic.toolkit.errors import explain
from hermetic.toolkit.places import Place, here

# Seconds, but for the two sizes. A process then holds at most 20 connections, and a request that finds none says so
# within 10 seconds; idle connections are replaced before a firewall forgets them. [pool]
POOL: dict[str, Any] = {
    "pool_recycle": 1800,
    "pool_size": 10,
    "max_overflow": 10,
    "pool_timeout": 10,
}

# Seconds after which a connection that is taken from the pool is asked whether it lives, as `pool_pre_ping` does each
# time. One that was in use a moment ago has nearly always outlived it, and the question costs a round trip. [hikari]
RESTED = 0.5

# One connection for all, which they wait for: a second one would be another, empty database.
MEMORY_POOL: dict[str, Any] = {"pool_size": 1, "max_overflow": 0}

# What an engine of ours tells each new connection, `{statement}` and `{idle}` in milliseconds. [pg]
TIMEOUTS: dict[str, dict[str, str]] = {
    "postgresql": {
        "statement": "SET statement_timeout = {}",
        "idle": "SET idle_in_transaction_session_timeout = {}",
    },
}

# [sqlite] Write-ahead logging lets readers go on while one writes; in memory it is ignored.
SQLITE_SETTINGS = ("PRAGMA foreign_keys = ON", "PRAGMA journal_mode = WAL")

Key = tuple[str, str, str | None]

_made: dict[Key, Place] = {}
_registering = Lock()
_cores: weakref.WeakSet[Core] = weakref.WeakSet()
# In the `info` of a connection: when it was last taken.
_TAKEN = "_hermetic_taken"
# Sessions that were open when the process forked. Collecting them would end the parent's transactions.
_of_the_parent: list[object] = []


def is_memory(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and (
        url.database in (None, "", ":memory:")
        or "mode=memory" in str(url.database)
        or url.query.get("mode") == "memory"
    )


def register(word: str, url: URL, name: str | None) -> Key | None:
    """Takes the name; raises DatabaseExists where it is taken. A database in memory needs none."""
    if is_memory(url):
        return None
    key = (word, url.render_as_string(hide_password=False), name)
    with _registering:
        first = _made.get(key)
        if first is None:
            _made[key] = here()
    if first is not None:
        text = f"a second {word} for {url.render_as_string()} in this process"
        instead = (
            "make it once, at the top of a module or at start-up, and import it; `name=` for a second one on purpose, "
            "`dispose()` the first where it is done (a test)"
        )
        raise errors.DatabaseExists(explain(text, made_at=here(), first_made_at=first, instead=instead))
    return key


def unregister(key: Key | None) -> None:
    if key is not None:
        _made.pop(key, None)


def with_defaults(url: URL, given: dict[str, Any], *, is_async: bool) -> dict[str, Any]:
    """Options for `create_engine`; what is given stays, and with a pool class of the caller's all about the pool."""
    if "poolclass" in given or "pool" in given:
        return given
    queue = AsyncAdaptedQueuePool if is_async else QueuePool
    if is_memory(url):
        arguments = {"check_same_thread": False, **given.get("connect_args", {})}
        return {"poolclass": queue, **MEMORY_POOL, **given, "connect_args": arguments}
    if url.get_backend_name() == "sqlite":
        return {"poolclass": queue, **POOL, **given}
    return {**POOL, **given}


def set_up_connections(engine: Engine, *, statement: float | None, idle: float | None) -> None:
    """Time-outs in seconds (none: the server's own) and SQLite's settings, on each new connection."""
    name = engine.dialect.name
    known = TIMEOUTS.get(name, {})
    commands = [
        known[which].format(round(seconds * 1000))
        for which, seconds in (("statement", statement), ("idle", idle))
        if which in known and seconds is not None
    ]
    if name == "sqlite":
        commands.extend(SQLITE_SETTINGS)
    if commands:
        event.listen(engine, "connect", _teller(commands))


def _teller(commands: list[str]) -> Callable[[Any, Any], None]:
    def tell(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        for command in commands:
            cursor.execute(command)
        cursor.close()
        connection.commit()

    return tell


def ping_rested(engine: Engine, given: dict[str, Any]) -> None:
    """Pings connections that have rested, unless the caller's own options say how, or nothing is lost with them."""
    if engine.dialect.name != "sqlite" and not {"pool_pre_ping", "pool", "poolclass"} & given.keys():
        event.listen(engine, "checkout", _pinger(engine.dialect))


def _pinger(dialect: Dialect) -> Callable[[DBAPIConnection, ConnectionPoolEntry, Any], None]:
    def ping(connection: DBAPIConnection, record: ConnectionPoolEntry, fairy: Any) -> None:
        now, info = monotonic(), record.info
        rested = now - info.get(_TAKEN, now) > RESTED  # a new connection has not been taken before
        info[_TAKEN] = now
        # As the pool does for `pool_pre_ping`: what is found dead has usually died with all others.
        if rested and not dialect._do_ping_w_event(connection):
            raise sa_exc.InvalidatePoolError

    return ping


def set_up(
    word: str,
    sources: Sequence[URL | Engine],
    make: Callable[[URL], Engine],
    *,
    name: str | None,
    options: dict[str, Any],
    allow_on_loop: bool = False,
) -> tuple[Core, Key | None]:
    """The engines of a database, its primary first, made where only a URL is given; registered and watched.

    Raises DatabaseExists, and TypeError for options with an engine that exists.
    """
    first = sources[0]
    if options and isinstance(first, Engine):
        raise TypeError(f"an engine that exists keeps its options; {', '.join(options)} belongs where it is made")
    key = register(word, first.url if isinstance(first, Engine) else first, name)
    try:
        made = [source if isinstance(source, Engine) else make(source) for source in sources]
    except BaseException:
        unregister(key)
        raise
    core = Core(
        word=word,
        is_async=word == "AsyncDatabase",
        engine=made[0],
        replicas=tuple(made[1:]),
        made=here(),
        owned=tuple(engine for engine, source in zip(made, sources, strict=True) if engine is not source),
        allow_on_loop=allow_on_loop,
    )
    for engine in made:
        hooks.install(engine)
    _cores.add(core)
    return core, key


def end(core: Core, key: Key | None) -> None:
    """Frees the name. Hooks stay where a block is still open, or another Database uses the engine as well."""
    if core.disposed is not None:
        return
    core.disposed = here()
    unregister(key)
    _cores.discard(core)
    core.old_pools = tuple(engine.pool for engine in core.owned)
    in_use = {id(engine) for other in _cores for engine in other.engines}
    for engine in core.engines:
        if id(engine) not in in_use and not core.open_blocks:
            hooks.uninstall(engine)


def _after_fork() -> None:
    """The child has connections of its own; the parent's are neither used nor closed. [fork]"""
    for core in list(_cores):
        for engine in core.engines:
            engine.dispose(close=False)
        core.loop = None
        for block in list(core.open_blocks):
            block.ended = block.opened
            _of_the_parent.append(block.connection)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)

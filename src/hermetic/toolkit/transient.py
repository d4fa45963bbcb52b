"""Which errors go away when the whole transaction runs again.

Sources: [pg] https://www.postgresql.org/docs/current/errcodes-appendix.html and
https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html
[my] https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html [lite] https://www.sqlite.org/rescode.html
"""

from __future__ import annotations

from sqlalchemy import exc as sa_exc

# serialization_failure, deadlock_detected [pg]
SQLSTATES = frozenset(("40001", "40P01"))
# connection_exception, operator_intervention of a shut-down, too_many_connections [pg]
CONNECT_CLASSES = ("08", "57P", "53300")
# ER_LOCK_DEADLOCK [my]
MYSQL_NUMBERS = frozenset((1213,))
# Another connection holds the write lock longer than the time-out, or has written what this one has read. [lite]
SQLITE_NAMES = frozenset(("SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT"))


def sqlstate(error: sa_exc.DBAPIError) -> str | None:
    """psycopg and asyncpg call it `sqlstate`, psycopg2 `pgcode`."""
    found = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
    return found if isinstance(found, str) else None


def is_connect_trouble(error: BaseException) -> bool:
    """Whether a connection that could not be made may be made in a moment; drivers say little more than that."""
    if not isinstance(error, sa_exc.DBAPIError):
        return False
    state = sqlstate(error)
    return state is None or state.startswith(CONNECT_CLASSES)


def is_transient(error: BaseException) -> bool:
    """Serialization failure, deadlock, or a connection lost on the way."""
    if not isinstance(error, sa_exc.DBAPIError):
        return False
    if error.connection_invalidated or sqlstate(error) in SQLSTATES:
        return True
    original = error.orig
    if original is None:
        return False
    number = original.args[0] if original.args else None
    return number in MYSQL_NUMBERS or getattr(original, "sqlite_errorname", None) in SQLITE_NAMES

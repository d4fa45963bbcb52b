"""The typestate of a session: its states, and what each operation does to them, as data.

Each state below is a flag. What is known of a flag at one point of the code is the set of its possible
outcomes since the function began:

    SET    it was set here        CLEAR  it was cleared here        KEEP  it is as it was at entry

Three bits a flag, all flags in one integer, a *word*. Joining two paths is `|`. A session made here starts with
everything CLEAR, one that came from elsewhere with everything KEEP. `then` composes: the word of a callee
applied to the word of its caller, so that a function's effect on a session is the word at its exit.
The relation to SQLAlchemy's own state machine is held by `tests/test_typestate.py`, which drives a real `Session`.
"""

from __future__ import annotations

# Flags. The last five are events: once set they stay set for as long as the function runs.
OPEN = 0  # a session made here whose owner still has to close it
TRANSACTION = 1  # a transaction has begun: a connection is checked out
DIRTY = 2  # something was added, changed or deleted and not yet committed
FAILED = 3  # a database error was caught and nothing has rolled back since
CLOSED = 4  # close() was the last thing that happened to it
COMMITTED = 5
ROLLED_BACK = 6
DATABASE = 7  # some statement was sent to the database
WROTE = 8
AS_GIVEN = 9  # a statement was sent while a failure from before could still be there

FLAGS = 10
_SET, _CLEAR, _KEEP = 1, 2, 4

FRESH = sum(_CLEAR << (3 * flag) for flag in range(FLAGS))
FOREIGN = sum(_KEEP << (3 * flag) for flag in range(FLAGS))
_ALL_KEEP = FOREIGN


def may(word: int, flag: int) -> bool:
    """Can the flag be set here (by this function)?"""
    return bool(word >> (3 * flag) & _SET)


def must(word: int, flag: int) -> bool:
    """Is the flag set on every path?"""
    return word >> (3 * flag) & 7 == _SET


def may_be_clear(word: int, flag: int) -> bool:
    """Is there a path on which the flag was cleared here or, for a session made here, never set?"""
    return bool(word >> (3 * flag) & _CLEAR)


def untouched(word: int, flag: int) -> bool:
    """Is there a path on which this function left the flag alone?"""
    return bool(word >> (3 * flag) & _KEEP)


def put(word: int, flag: int) -> int:
    """The word after the flag was set."""
    shift = 3 * flag
    return (word & ~(7 << shift)) | (_SET << shift)


def clear(word: int, flag: int) -> int:
    """The word after the flag was cleared."""
    shift = 3 * flag
    return (word & ~(7 << shift)) | (_CLEAR << shift)


def keep(word: int, flag: int) -> int:
    """The word of code that leaves the flag alone."""
    shift = 3 * flag
    return (word & ~(7 << shift)) | (_KEEP << shift)


def copied(word: int, other: int, flag: int) -> int:
    """The word with a flag as it is in another one."""
    mask = 7 << (3 * flag)
    return (word & ~mask) | (other & mask)


def then(first: int, second: int) -> int:
    """The word after `first` and then a piece of code whose own word is `second`."""
    keep = second & _ALL_KEEP
    through = keep | keep >> 1 | keep >> 2
    return (second & ~_ALL_KEEP) | (first & through)


class Operation:
    """What one method of a session does.

    `statement`: it sends something to the database, so it can fail with a database error.
    `puts`, `clears`: flags. `result`: how its value is modelled, see `interpret_library`.
    """

    __slots__ = ("clears", "puts", "result", "statement")

    def __init__(self, statement: bool, puts: tuple[int, ...], clears: tuple[int, ...], result: str = "") -> None:
        self.statement = statement
        self.puts = puts
        self.clears = clears
        self.result = result

    def apply(self, word: int) -> int:
        """The session's word after the operation succeeded."""
        for flag in self.clears:
            word = clear(word, flag)
        for flag in self.puts:
            word = put(word, flag)
        return word


def _read(result: str = "") -> Operation:
    return Operation(True, (DATABASE, TRANSACTION), (CLOSED,), result)


def _write(statement: bool, result: str = "") -> Operation:
    puts = (DATABASE, TRANSACTION, DIRTY, WROTE) if statement else (DIRTY, WROTE)
    return Operation(statement, puts, (CLOSED,), result)


_NOTHING = Operation(False, (), ())

# Source of each line: SQLAlchemy's ORM session API, https://docs.sqlalchemy.org/en/20/orm/session_api.html,
# and for the asyncio names https://docs.sqlalchemy.org/en/20/orm/extensions/asyncio.html.
SESSION_OPERATIONS: dict[str, Operation] = {
    "add": _write(False),  # "place an object into this Session"; the INSERT is sent at flush
    "add_all": _write(False),
    "delete": _write(False),  # asyncio: awaited, because cascades may load
    "merge": _write(True, "merged"),
    "flush": Operation(True, (DATABASE, TRANSACTION), (CLOSED,)),
    "commit": Operation(True, (DATABASE, COMMITTED), (TRANSACTION, DIRTY, FAILED, CLOSED)),
    "rollback": Operation(False, (ROLLED_BACK,), (TRANSACTION, DIRTY, FAILED)),
    "close": Operation(False, (CLOSED,), (OPEN, TRANSACTION, DIRTY, FAILED)),
    "aclose": Operation(False, (CLOSED,), (OPEN, TRANSACTION, DIRTY, FAILED)),
    "reset": Operation(False, (CLOSED,), (OPEN, TRANSACTION, DIRTY, FAILED)),
    "invalidate": Operation(False, (CLOSED,), (OPEN, TRANSACTION, DIRTY, FAILED)),
    "remove": Operation(False, (CLOSED,), (OPEN, TRANSACTION, DIRTY, FAILED)),  # scoped_session, Flask-SQLAlchemy
    "get": _read("entity"),
    "get_one": _read("entity"),
    "get_or_404": _read("entity"),  # Flask-SQLAlchemy's `db`, on its session
    "first_or_404": _read("scalar"),
    "one_or_404": _read("scalar"),
    "lock": _read("locked"),  # hermetic's toolkit: get_one() with FOR UPDATE, freshly read
    "on_commit": _NOTHING,  # hermetic's toolkit
    "execute": _read("result"),
    "scalar": _read("scalar"),
    "scalars": _read("scalars"),
    "exec": _read("scalars"),  # SQLModel: https://sqlmodel.tiangolo.com/tutorial/select/
    "stream": _read("result"),
    "stream_scalars": _read("scalars"),
    "query": Operation(False, (), (), "query"),
    "refresh": _read("refreshed"),
    "connection": _read("connection"),
    "bulk_save_objects": _write(True),
    "bulk_insert_mappings": _write(True),
    "bulk_update_mappings": _write(True),
    "run_sync": _read("run_sync"),
    "expunge": Operation(False, (), (), "expunged"),
    "expunge_all": Operation(False, (), (), "expunged_all"),
    "expire": Operation(False, (), (), "expired"),
    "expire_all": Operation(False, (), (), "expired_all"),
    "begin": Operation(False, (), (CLOSED,), "transaction"),
    "begin_nested": Operation(False, (), (CLOSED,), "savepoint"),
    "get_bind": Operation(False, (), (), "engine"),
    "prepare": _read(),
    "in_transaction": _NOTHING,
    "in_nested_transaction": _NOTHING,
    "get_transaction": _NOTHING,
    "is_modified": _NOTHING,
    "enable_relationship_loading": _NOTHING,
    "close_all": _NOTHING,
    "configure": _NOTHING,
    "query_property": _NOTHING,
}

# Attributes of a session that are no call: reading them does nothing.
SESSION_ATTRIBUTES = frozenset(
    (
        "new",
        "dirty",
        "deleted",
        "info",
        "bind",
        "is_active",
        "autoflush",
        "no_autoflush",
        "identity_map",
        "sync_session",
    )
)

"""The sessions that blocks give: SQLAlchemy's own, which refuse what their block forbids.

They are made by `Database` and `AsyncDatabase` alone, and never outlive their block. `async_session` has the asyncio
ones, apart from these, because SQLAlchemy's need greenlet.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, TypeVar, cast

from sqlalchemy import exc as sa_exc, inspect, orm

from hermetic.toolkit import errors
from hermetic.toolkit.block import Block
from hermetic.toolkit.ended import refuse_ended
from hermetic.toolkit.errors import explain
from hermetic.toolkit.places import here, in_greenlet

M = TypeVar("M")

# Each is one operation: it must not overlap with another task's, nor come after the end of the block. `exec` is
# SQLModel's: https://sqlmodel.tiangolo.com/tutorial/select/
OPERATIONS = tuple(
    "execute scalar scalars get get_one refresh flush connection add add_all delete bulk_save_objects "
    "bulk_insert_mappings bulk_update_mappings exec".split()
)


class Session(orm.Session):
    """An SQLAlchemy session that belongs to one block of a `Database`.

    All of SQLAlchemy works on it but what its block does: `commit()`, `close()` and `begin()` raise BlockRules.
    `rollback()` undoes the whole block, which can then only be left. `begin_nested()` makes savepoints as ever.
    """

    _block: Block
    _merge_alone: Callable[..., Any]

    def __init__(self, *args: Any, block: Block | None = None, **options: Any) -> None:
        if block is None:
            instead = "`with db.transaction() as session:` or `with db.read() as session:`"
            raise errors.BlockRules(explain("a session is made outside of a block", called_at=here(), instead=instead))
        self._block = block
        super().__init__(*args, **options)

    def on_commit(self, function: Callable[[], Any]) -> None:
        """Calls `function` after the commit, with the connection given back; never, if the block is rolled back.

        In an AsyncDatabase it may be a coroutine function. What it raises becomes CallbackFailed, and undoes nothing.
        Raises ReadOnly in `read()`.
        """
        self._block.check_usable("on_commit")
        self._block.after_commit(function)

    def lock(self, entity: type[M], identity: Any, *, nowait: bool = False) -> M:
        """The row with this primary key, locked until the block ends and freshly read (removes SES008).

        Pending changes are written first. On SQLite, which has no row locks, the block holds the only write lock.
        With `nowait`, a row that is locked by somebody else raises OperationalError at once. Raises NoResultFound if
        there is no such row, ReadOnly in `read()`.
        """
        self._block.check_usable("lock")
        if self._block.reads:
            text = explain(
                "`session.lock()` in `db.read()`",
                called_at=here(),
                block_opened_at=self._block.opened,
                instead="`with db.transaction() as session:`",
            )
            raise errors.ReadOnly(text)
        self.flush()
        update: dict[str, Any] = {"nowait": nowait}
        if self.get_bind().dialect.name == "postgresql":
            update["of"] = entity  # or eager LEFT JOINs could not be locked; MariaDB knows no OF
        found = self.get(entity, identity, populate_existing=True, with_for_update=update)
        if found is None:
            raise sa_exc.NoResultFound(f"no {entity.__name__} with primary key {identity!r}")
        return found

    def begin(self, nested: bool = False) -> orm.SessionTransaction:
        if not nested:
            self._refuse("begin", "the block has begun; `db.savepoint(session)` for a part that can be undone alone")
        self._block.check_usable("begin_nested")
        return super().begin(nested=True)

    def commit(self) -> None:
        self._refuse("commit", "leave the block, it commits at its end; `session.flush()` for ids and checks before")

    def rollback(self) -> None:
        if self._block.ended is None and self._block.rolled_back is None:
            self._block.rolled_back = here()
            super().rollback()

    def close(self) -> None:
        if self._block.ended is None:
            self._refuse("close", "leave the block, it closes the session")

    def reset(self) -> None:
        self._refuse("reset", "leave the block, and open another one")

    def invalidate(self) -> None:
        self._refuse("invalidate", "raise to leave the block: a connection that is broken is not used again")

    def _refuse(self, what: str, instead: str) -> NoReturn:
        if self._block.ended is not None:
            raise self._block.gone(f"`session.{what}()`")
        text = f"`session.{what}()` inside of `db.{self._block.word}`"
        raise errors.BlockRules(explain(text, called_at=here(), block_opened_at=self._block.opened, instead=instead))

    def merge(self, instance: M, **options: Any) -> M:
        refuse_ended(inspect(cast(Any, instance)))
        return self._merge_alone(instance, **options)  # type: ignore[no-any-return]

    def expunge(self, instance: object) -> None:
        self._keep_changes("expunge", (instance,))
        super().expunge(instance)

    def expunge_all(self) -> None:
        if self._block.ended is None:  # SQLAlchemy's own close() comes here as well
            self._keep_changes("expunge_all", (*self.new, *self.dirty, *self.deleted))
        super().expunge_all()

    def expire(self, instance: object, attribute_names: Iterable[str] | None = None) -> None:
        self._keep_changes("expire", (instance,))
        super().expire(instance, attribute_names)

    def expire_all(self) -> None:
        self._keep_changes("expire_all", self.dirty)
        super().expire_all()

    def _keep_changes(self, what: str, instances: Iterable[object]) -> None:
        """Raises ChangesDropped if one of these has changes that are not written."""
        if self._block.ended is None:
            lost = changed(self, instances)
            if lost:
                raise errors.ChangesDropped(dropped(f"`session.{what}()`", lost, self._block))


def changed(session: orm.Session, instances: Iterable[object]) -> list[object]:
    return [
        instance
        for instance in instances
        if instance in session.new
        or instance in session.deleted
        or (instance in session and session.is_modified(instance))
    ]


def dropped(what: str, lost: Sequence[object], block: Block) -> str:
    names = ", ".join(sorted({type(instance).__name__ for instance in lost}))
    return explain(
        f"{what} would drop unwritten changes of {names}",
        called_at=here(),
        block_opened_at=block.opened,
        instead="`session.flush()` before it, or `session.rollback()` to give everything up",
    )


def _guard(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    """The operation, alone on its session and inside of its block. What it calls on the session is a part of it."""

    @functools.wraps(plain)
    def guarded(self: Session, *args: Any, **options: Any) -> Any:
        block = self._block
        begun = not block.is_inner() and block.begin_use(name, sys._getframe())
        try:
            if begun:
                block.check_usable(name)
                if block.core.is_async:
                    _check_greenlet(block, name)
            return plain(self, *args, **options)
        except (sa_exc.DBAPIError, sa_exc.TimeoutError) as error:
            block.fail(error)  # what has a connection was seen by the hooks; this is one that could not be had
            raise
        finally:
            if begun:
                block.end_use()

    return guarded


def _check_greenlet(block: Block, name: str) -> None:
    """Raises NotAwaited where the driver would have to be awaited and cannot be: before it is asked, and half done."""
    if name not in ("add", "add_all") and not in_greenlet():
        text = explain(
            f"`{name}()` of the synchronous session in a coroutine: it reads an attribute that is not loaded",
            called_at=here(),
            block_opened_at=block.opened,
            instead="load it with the row (`selectinload(User.posts)`), `await session.refresh(user, ['posts'])`, or "
            "`await user.awaitable_attrs.posts` (AsyncAttrs)",
        )
        raise errors.NotAwaited(text)


def _guards(wanted: type[orm.Session]) -> dict[str, Callable[..., Any]]:
    guards = {name: _guard(name, getattr(wanted, name)) for name in OPERATIONS if hasattr(wanted, name)}
    return {**guards, "_merge_alone": _guard("merge", wanted.merge)}


for _name, _guarded in _guards(orm.Session).items():
    setattr(Session, _name, _guarded)


def of(session: Any) -> Session:
    """The toolkit's synchronous session; of an asynchronous one, the one inside. Raises TypeError for any other."""
    inner = getattr(session, "sync_session", session)
    if not isinstance(inner, Session):
        raise TypeError(
            f"{type(session).__name__} is no session of a block; `with db.transaction() as session:` gives one"
        )
    return inner


def session_class(wanted: type[orm.Session]) -> type[orm.Session]:
    """A class that is a block's session and the wanted one, such as SQLModel's."""
    if issubclass(wanted, Session):
        return wanted
    return type(wanted.__name__, (Session, wanted), _guards(wanted))

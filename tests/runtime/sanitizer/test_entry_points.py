"""Every entry point of Session and AsyncSession works the same with a watch as without one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from sqlalchemy import Result, Row, ScalarResult, StaticPool, create_engine, insert, select
from sqlalchemy.ext.asyncio import AsyncResult, AsyncScalarResult, AsyncSession, create_async_engine
from sqlalchemy.orm import Query, Session

from hermetic.sanitizer.watch import watch
from runtime.models import Base, Post, User

USERS = select(User).order_by(User.id)
MODES = ("tests", "production")


def user(session: Any) -> Any:
    """A user who has been loaded before, and has no posts."""
    return session.info["users"][-1]


def new(name: str = "Grace") -> User:
    return User(name=name)


def unused(session: Any) -> object:
    """What the session has at hand and no entry point is."""
    return None


# What to call by the name of the method, on a session that has loaded its two users. For AsyncSession what comes back
# is awaited where it can be.
ENTRIES: dict[str, Callable[[Any], Any]] = {
    "aclose": lambda session: session.aclose(),
    "add": lambda session: session.add(new()),
    "add_all": lambda session: session.add_all([new(), new("Alan")]),
    "autoflush": lambda session: session.autoflush,
    "begin": lambda session: session.begin(),
    "begin_nested": lambda session: session.begin_nested(),
    "bind": lambda session: type(session.bind),
    "bind_mapper": lambda session: session.bind_mapper(User, session.get_bind()),
    "bind_table": lambda session: session.bind_table(User.__table__, session.get_bind()),
    "binds": lambda session: type(session.binds),
    "bulk_insert_mappings": lambda session: session.bulk_insert_mappings(User, [{"name": "Grace"}]),
    "bulk_save_objects": lambda session: session.bulk_save_objects([new()]),
    "bulk_update_mappings": lambda session: session.bulk_update_mappings(User, [{"id": 2, "name": "Grace"}]),
    "close": lambda session: session.close(),
    "close_all": unused,  # closes the sessions of the tests' neighbours, too
    "commit": lambda session: session.commit(),
    "connection": lambda session: session.connection(),
    "connection_callable": unused,
    "delete": lambda session: session.delete(user(session)),
    "delete_all": lambda session: session.delete_all(session.info["users"]),
    "deleted": lambda session: len(session.deleted),
    "dirty": lambda session: len(session.dirty),
    "dispatch": unused,
    "enable_relationship_loading": lambda session: session.enable_relationship_loading(new()),
    "execute": lambda session: session.execute(insert(User).returning(User.name), [{"name": "Grace"}]),
    "execution_options": lambda session: len(session.execution_options),
    "expire": lambda session: session.expire(user(session)),
    "expire_all": lambda session: session.expire_all(),
    "expunge": lambda session: session.expunge(user(session)),
    "expunge_all": lambda session: session.expunge_all(),
    "flush": lambda session: session.flush(),
    "get": lambda session: session.get(User, 2),
    "get_async_bind": lambda session: session.get_async_bind(),
    "get_bind": lambda session: session.get_bind(),
    "get_nested_transaction": lambda session: session.get_nested_transaction(),
    "get_one": lambda session: session.get_one(User, 7),
    "get_transaction": lambda session: session.get_transaction(),
    "identity_key": lambda session: str(session.identity_key(User, 1)),
    "identity_map": lambda session: len(session.identity_map),
    "in_nested_transaction": lambda session: session.in_nested_transaction(),
    "in_transaction": lambda session: session.in_transaction(),
    "info": lambda session: sorted(session.info),
    "invalidate": lambda session: session.invalidate(),
    "is_active": lambda session: session.is_active,
    "is_modified": lambda session: session.is_modified(user(session)),
    "merge": lambda session: session.merge(User(id=1, name="Grace")),
    "merge_all": lambda session: session.merge_all([User(id=1, name="Grace"), new("Alan")]),
    "new": lambda session: len(session.new),
    "no_autoflush": lambda session: session.no_autoflush,
    "object_session": lambda session: type(session).object_session(user(session)) is session,
    "prepare": lambda session: session.prepare(),
    "query": lambda session: session.query(User).filter(User.id > 1),
    "refresh": lambda session: session.refresh(user(session)),
    "reset": lambda session: session.reset(),
    "rollback": lambda session: session.rollback(),
    "run_sync": lambda session: session.run_sync(lambda inner: inner.scalars(USERS).all()),
    "scalar": lambda session: session.scalar(USERS),
    "scalars": lambda session: session.scalars(USERS),
    "stream": lambda session: session.stream(USERS),
    "stream_scalars": lambda session: session.stream_scalars(USERS),
    "sync_session_class": lambda session: session.sync_session_class.__name__,
}


def names(owner: type) -> list[str]:
    return [name for name in dir(owner) if not name.startswith("_")]


@pytest.mark.parametrize("owner", [Session, AsyncSession])
def test_every_entry_point_is_here(owner: type) -> None:
    assert set(names(owner)) - ENTRIES.keys() == set()


async def plain(value: Any) -> Any:
    """What came back, without the identity of anything."""
    if inspect.isawaitable(value):
        value = await value
    if isinstance(value, AsyncResult | AsyncScalarResult):
        value = await value.all()
    if isinstance(value, Result | ScalarResult | Query):
        value = value.all()
    if isinstance(value, list | tuple | Row):
        return [await plain(each) for each in value]
    if isinstance(value, User):
        return value.name
    return value if isinstance(value, str | int | bool | None) else type(value).__name__


async def outcome(entry: Callable[[Any], Any], session: Any) -> tuple[Any, ...]:
    """What an entry point returns or raises, and what is in the database afterwards, as far as the session sees it."""
    try:
        returned = await plain(entry(session))
    except Exception as error:
        returned = type(error).__name__, str(error)
    try:
        afterwards = await plain(session.scalars(USERS))
    except Exception as error:
        afterwards = type(error).__name__, str(error)
    await plain(session.close())
    return returned, afterwards


async def run(name: str, mode: str | None) -> tuple[Any, ...]:
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    Base.metadata.create_all(engine)
    with nullcontext() if mode is None else watch(mode, lambda finding: None) as running:
        session = Session(engine)
        session.add_all([User(name="Ada", posts=[Post(title="Notes")]), User(name="Mary")])
        session.commit()
        session.info["users"] = session.scalars(USERS).all()
        found = await outcome(ENTRIES[name], session)
    engine.dispose()
    assert running is None or (running.errors, running.last_error) == (0, "")
    return found


async def run_async(name: str, mode: str | None) -> tuple[Any, ...]:
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    with nullcontext() if mode is None else watch(mode, lambda finding: None) as running:
        session = AsyncSession(engine)
        session.add_all([User(name="Ada", posts=[Post(title="Notes")]), User(name="Mary")])
        await session.commit()
        session.info["users"] = (await session.scalars(USERS)).all()
        found = await outcome(ENTRIES[name], session)
    await engine.dispose()
    assert running is None or (running.errors, running.last_error) == (0, "")
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", names(Session))
async def test_a_session(name: str, mode: str) -> None:
    assert await run(name, mode) == await run(name, None)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", names(AsyncSession))
async def test_an_async_session(name: str, mode: str) -> None:
    assert await run_async(name, mode) == await run_async(name, None)

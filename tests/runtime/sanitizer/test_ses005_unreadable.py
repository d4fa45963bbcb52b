"""SES005 at run time: DetachedInstanceError and MissingGreenlet explained."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from fastapi import FastAPI
from fastapi.exceptions import ResponseValidationError
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine, inspect, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, defer, exc as orm_exc, selectinload, sessionmaker
from sqlalchemy.orm.exc import DetachedInstanceError

from runtime.models import Account, Post, User
from runtime.sanitizer.found import Found


async def unawaited(load: Callable[[], Awaitable[object]]) -> list[str]:
    """The notes of the MissingGreenlet that is raised, which leaves a coroutine of aiosqlite's that nobody awaits."""
    notes: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            await load()
        except SQLAlchemyError as error:
            unwrapped = error.__cause__ or error  # SQLAlchemy 2.1 wraps it
            notes += unwrapped.__notes__
            del unwrapped
        gc.collect()
    return notes


@pytest.fixture
def ada(sync_engine: Engine) -> None:
    with Session(sync_engine) as session:
        session.add(User(name="Ada", posts=[Post(title="Notes")]))
        session.commit()


@pytest.fixture
async def async_ada(async_engine: AsyncEngine) -> None:
    async with AsyncSession(async_engine) as session:
        session.add(User(name="Ada", posts=[Post(title="Notes")]))
        await session.commit()


def message(found: Found) -> str:
    (finding,) = found.findings
    return finding.message


def advice(found: Found) -> str:
    (finding,) = found.findings
    assert finding.fix is not None
    return finding.fix.message


def read_after_commit_and_close(engine: Engine) -> str:
    with Session(engine) as session:  # mark: closed
        user = User(name="Ada")
        session.add(user)
        session.commit()  # mark: commit
    return user.name  # mark: read


def test_expired_by_a_commit_and_closed(sync_engine: Engine, found: Found) -> None:
    with pytest.raises(DetachedInstanceError) as raised:
        read_after_commit_and_close(sync_engine)

    assert found.places("SES005", read_after_commit_and_close) == ("read", {"commit", "closed", "read"})
    expected = "`User.name` was expired by a commit and its session is closed: reading it raises DetachedInstanceError"
    assert message(found) == expected
    assert advice(found).startswith("make the factory with `expire_on_commit=False`")
    (note,) = raised.value.__notes__
    assert note.startswith(f"hermetic SES005: {expected}; make the factory")
    assert "in read_after_commit_and_close" in note


@pytest.mark.usefixtures("ada")
def test_a_relationship_that_was_not_loaded(sync_engine: Engine, found: Found) -> None:
    def load() -> list[Post]:
        with Session(sync_engine) as session:  # mark: closed
            user = session.scalars(select(User)).one()
        return user.posts  # mark: read

    with pytest.raises(DetachedInstanceError):
        load()

    assert found.places("SES005", load) == ("read", {"closed", "read"})
    assert message(found).startswith("`User.posts` was not loaded and its session is closed")
    assert advice(found).startswith("load it in the query: `.options(selectinload(User.posts))`")


@pytest.mark.usefixtures("ada")
def test_a_deferred_column(sync_engine: Engine, found: Found) -> None:
    def load() -> str:
        with Session(sync_engine) as session:  # mark: closed
            user = session.scalars(select(User).options(defer(User.name))).one()
        return user.name  # mark: read

    with pytest.raises(DetachedInstanceError):
        load()

    assert found.places("SES005", load) == ("read", {"closed", "read"})
    assert advice(found).startswith("load it in the query: `.options(undefer(User.name))`")


def test_closed_by_the_makers_begin(sync_engine: Engine, found: Found) -> None:
    def load() -> str:
        with sessionmaker(sync_engine).begin() as session:  # mark: block
            user = User(name="Ada")
            session.add(user)
        return user.name  # mark: read

    with pytest.raises(DetachedInstanceError):
        load()

    assert found.places("SES005", load) == ("read", {"block", "read"})


def test_expunged(sync_engine: Engine, found: Found) -> None:
    def load() -> str:
        with Session(sync_engine) as session:
            user = User(name="Ada")
            session.add(user)
            session.commit()  # mark: commit
            session.expunge(user)  # mark: expunged
            return user.name  # mark: read

    with pytest.raises(DetachedInstanceError):
        load()

    assert found.places("SES005", load) == ("read", {"commit", "expunged", "read"})
    assert "and it was taken out of its session" in message(found)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_session_is_garbage(sync_engine: Engine, found: Found) -> None:
    def make() -> User:
        session = Session(sync_engine)
        user = User(name="Ada")
        session.add(user)
        session.commit()
        return user

    def load() -> str:
        user = make()
        gc.collect()
        return user.name  # mark: read

    with pytest.raises(DetachedInstanceError):
        load()

    assert found.places("SES005", load) == ("read", {"read"})
    assert "and it is in no session" in message(found)


def test_each_close_has_its_own_place(sync_engine: Engine, found: Found) -> None:
    session = Session(sync_engine)

    def make(name: str) -> User:
        user = User(name=name)
        session.add(user)
        session.commit()
        return user

    def load() -> str:
        user = make("Ada")
        session.close()  # mark: first
        make("Bob")
        session.close()  # mark: second
        return user.name  # mark: read

    with pytest.raises(DetachedInstanceError):
        load()

    assert found.places("SES005", load) == ("read", {"first", "read"})


async def test_expired_by_a_commit_in_asyncio(async_engine: AsyncEngine, found: Found) -> None:
    async def load() -> str:
        user = User(name="Ada")
        session.add(user)
        await session.commit()  # mark: commit
        return user.name  # mark: read

    async with AsyncSession(async_engine) as session:
        notes = await unawaited(load)

    assert found.places("SES005", load) == ("read", {"commit", "read"})
    expected = "`User.name` was expired by a commit, and an AsyncSession cannot load it on reading"
    assert message(found).startswith(expected)
    assert notes[0].startswith(f"hermetic SES005: {expected}")


@pytest.mark.usefixtures("async_ada")
async def test_a_relationship_that_was_not_loaded_in_asyncio(async_engine: AsyncEngine, found: Found) -> None:
    async def load() -> list[Post]:
        user = (await session.scalars(select(User))).one()
        return user.posts  # mark: read

    async with AsyncSession(async_engine) as session:
        await unawaited(load)

    assert found.places("SES005", load) == ("read", {"read"})
    assert message(found).startswith("`User.posts` was not loaded, and an AsyncSession cannot load it on reading")
    assert advice(found).endswith("or `await instance.awaitable_attrs.posts`")


async def test_detached_in_asyncio(async_engine: AsyncEngine, found: Found) -> None:
    async def load() -> str:
        async with AsyncSession(async_engine) as session:  # mark: closed
            user = User(name="Ada")
            session.add(user)
            await session.commit()  # mark: commit
        return user.name  # mark: read

    with pytest.raises(DetachedInstanceError):
        await load()

    assert found.places("SES005", load) == ("read", {"commit", "closed", "read"})


async def test_closed_by_the_makers_begin_in_asyncio(async_engine: AsyncEngine, found: Found) -> None:
    async def load() -> str:
        async with async_sessionmaker(async_engine).begin() as session:  # mark: block
            user = User(name="Ada")
            session.add(user)
        return user.name  # mark: read

    with pytest.raises(DetachedInstanceError):
        await load()

    assert found.places("SES005", load) == ("read", {"block", "read"})


async def test_a_synchronous_call(async_engine: AsyncEngine, found: Found) -> None:
    session = AsyncSession(async_engine)  # mark: made
    await session.connection()

    async def load() -> object:
        return session.sync_session.scalars(select(User)).all()  # mark: call

    await unawaited(load)
    await session.close()

    assert found.places("SES005", load) == ("call", {"call"})
    assert found.places("SES005", test_a_synchronous_call)[1] == {"made", "call"}
    assert advice(found).startswith("`await` the method of the AsyncSession")


def test_read_after_the_endpoint_has_returned(memory_engine: Engine, found: Found) -> None:
    """By what makes the answer of the instance, when no application code runs any more."""

    class Answer(BaseModel):
        model_config = ConfigDict(from_attributes=True)
        balance: int

    app = FastAPI()

    @app.post("/accounts", response_model=Answer)
    def create() -> Account:
        with Session(memory_engine) as session:  # mark: closed
            account = Account()
            session.add(account)
            session.commit()  # mark: commit
        return account

    with pytest.raises(ResponseValidationError):
        TestClient(app).post("/accounts")

    assert found.places("SES005", create) == ("closed", {"closed", "commit"})
    assert message(found).endswith(": reading it raises DetachedInstanceError in `pydantic`")


# What may be read, and who may look.


@pytest.mark.usefixtures("ada")
def test_what_was_loaded_stays_readable(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        user = session.scalars(select(User).options(selectinload(User.posts))).one()

    assert (user.name, user.posts[0].title) == ("Ada", "Notes")
    assert found.codes == []


@pytest.mark.usefixtures("async_ada")
async def test_awaitable_attributes(async_engine: AsyncEngine, found: Found) -> None:
    async with AsyncSession(async_engine) as session:
        user = (await session.scalars(select(User))).one()
        posts = await user.awaitable_attrs.posts
        await session.refresh(user, ["posts"])
        titles = await session.run_sync(lambda _: [post.author.name for post in posts])

    assert titles == ["Ada"]
    assert found.codes == []


def test_what_is_not_loaded_can_be_asked_for(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        user = User(name="Ada")
        session.add(user)
        session.commit()

    assert inspect(user).unloaded == {"id", "name", "posts"}
    assert found.codes == []


@pytest.mark.usefixtures("ada")
def test_the_program_catches_it_by_name(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        user = session.scalars(select(User)).one()

    def posts() -> list[Post]:
        try:
            return user.posts
        except (LookupError, orm_exc.DetachedInstanceError):
            return []

    with suppress(DetachedInstanceError):
        assert len(user.posts)
    assert posts() == []
    assert found.codes == []


@pytest.mark.usefixtures("ada")
def test_the_program_catches_everything(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        user = session.scalars(select(User)).one()

    def posts() -> list[Post]:
        try:
            return user.posts  # mark: read
        except Exception:
            return []

    assert posts() == []
    assert found.places("SES005", posts) == ("read", {"read"})


class Shown:
    def __init__(self, user: User) -> None:
        self.user = user

    def __repr__(self) -> str:
        return f"Shown({self.user.name})"


def by_an_assertion(shown: object) -> None:
    assert shown == 1


def by_a_traceback(shown: object) -> None:
    raise LookupError


@pytest.mark.parametrize("show", [by_an_assertion, by_a_traceback])
def test_shown_to_people(sync_engine: Engine, found: Found, show: Callable[[object], None]) -> None:
    with Session(sync_engine) as session:
        user = User(name="Ada")
        session.add(user)
        session.commit()

    with pytest.raises((AssertionError, LookupError)) as raised:
        show(Shown(user))

    assert "raised in repr()" in str(raised.getrepr(showlocals=True))
    assert found.codes == []

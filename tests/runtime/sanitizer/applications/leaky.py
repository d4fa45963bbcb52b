"""An application that makes every mistake, with secrets wherever a program has them. None stands in this file."""

import asyncio
import gc
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy import Engine, create_engine, exc, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from runtime.models import Account, Post, User

WAIT = 0.3  # seconds; the watch calls half of it a wait


def statement(secret: Callable[[str], str]) -> Any:
    """SQL with secrets in its literals and its comments, beside a bound one."""
    number = int.from_bytes(secret("number").encode()[-6:], "big")
    sql = f"SELECT name, '{secret('literal')}', E'\\n{secret('escaped')}', $a${secret('dollar')}$a$, {number} + :more"
    return text(f"{sql} FROM users WHERE name <> :name -- {secret('comment')}").bindparams(
        more=1, name=secret("parameter")
    )


def leaked(engine: Engine, secret: Callable[[str], str]) -> None:
    session = Session(engine)
    session.execute(statement(secret)).all()


def swallowed(engine: Engine, secret: Callable[[str], str]) -> None:
    """PostgreSQL quotes the row in its error, SQLAlchemy the parameters."""
    with Session(engine) as session:
        session.add(User(name=secret("row")))
        with suppress(exc.IntegrityError):
            session.flush()
        session.scalars(select(User)).all()


def raised(engine: Engine, secret: Callable[[str], str]) -> None:
    with Session(engine) as session:
        session.execute(statement(secret)).all()
        raise LookupError(secret("exception"))


def split(engine: Engine, secret: Callable[[str], str]) -> None:
    with Session(engine) as session:
        author = User(name=secret("author"))
        session.add(author)
        session.commit()
        session.add(Post(title=secret("title"), author_id=author.id))
        session.commit()


def stale(engine: Engine, secret: Callable[[str], str]) -> None:
    with Session(engine) as session:
        user = session.scalars(select(User)).first()
        assert user is not None
        time.sleep(WAIT)
        user.name = secret("changed")
        session.commit()


def lost(engine: Engine, secret: Callable[[str], str]) -> None:
    with Session(engine) as session:
        session.add(Account(balance=42))
        session.add(User(name=secret("lost")))
        session.execute(statement(secret)).all()


def detached(engine: Engine, secret: Callable[[str], str]) -> None:
    with Session(engine) as session:
        user = session.scalars(select(User)).first()
    assert user is not None
    user.posts  # noqa: B018


def engines(url: str) -> list[Engine]:
    made = []
    for _ in range(3):
        engine = create_engine(url)
        made.append(engine)
        with engine.connect():
            pass
    return made


def held(url: str) -> None:
    """A pool that has none to give; the holder is idle in its transaction meanwhile."""
    engine = create_engine(url, pool_size=1, max_overflow=0, pool_timeout=WAIT * 2)
    try:
        with Session(engine) as session:
            session.scalars(select(User)).all()
            with engine.connect():
                pass
    finally:
        engine.dispose()


async def on_the_loop(engine: Engine, secret: Callable[[str], str]) -> None:
    await asyncio.sleep(0)
    with Session(engine) as session:
        session.execute(statement(secret)).all()


async def shared(url: str, secret: Callable[[str], str]) -> None:
    engine: AsyncEngine = create_async_engine(url)
    async with AsyncSession(engine) as session:
        await session.scalars(select(User))
        slow = text(f"SELECT pg_sleep(0.1), '{secret('shared')}'")
        await asyncio.gather(session.execute(slow), session.execute(slow), return_exceptions=True)
    await engine.dispose()


def everything(url: str, async_url: str, secret: Callable[[str], str]) -> list[BaseException]:
    """Every mistake, one after the other; what they raise."""
    engine = create_engine(url)
    with Session(engine) as session, session.begin():
        session.add(User(name=secret("row"), posts=[Post(title=secret("post"))]))
    caught: list[BaseException] = []
    for mistake in (leaked, swallowed, raised, split, stale, lost, detached):
        try:
            mistake(engine, secret)
        except Exception as error:
            caught.append(error)
        gc.collect()
    try:
        held(url)
    except exc.TimeoutError as error:
        caught.append(error)
    asyncio.run(on_the_loop(engine, secret))
    asyncio.run(shared(async_url, secret))
    for made in [engine, *engines(url)]:
        made.dispose()
    return caught

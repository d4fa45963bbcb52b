"""Sessions used as they should be, in ways that look like a misuse."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI
from fastapi.responses import StreamingResponse
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, selectinload, sessionmaker

from runtime.models import Post, User


def maker_begin(engine: Engine) -> None:
    with sessionmaker(engine).begin() as session:
        session.add(User(name="Ada"))


def savepoint_swallow(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        session.add(User(name="Ada"))
        session.flush()
        for name in ("Ada", "Grace"):
            with suppress(IntegrityError), session.begin_nested():
                session.add(User(name=name))


def insert_each_or_ignore(engine: Engine) -> None:
    with Session(engine) as session:
        for name in ("Ada", "Ada", "Grace"):
            session.add(User(name=name))
            try:
                session.commit()
            except IntegrityError:
                session.rollback()


def batch(engine: Engine) -> None:
    with Session(engine) as session:
        for number in range(20):
            user = User(name=f"user {number}")
            user.posts = [Post(title="first"), Post(title="second")]
            session.add(user)
            if number % 5 == 4:
                session.commit()


def stream(engine: Engine) -> None:
    batch(engine)
    with Session(engine) as session:
        users = session.scalars(select(User).options(selectinload(User.posts)).execution_options(yield_per=4))
        assert sum(len(user.posts) for user in users) == 40


def count(engine: Engine) -> int:
    with Session(engine) as session:
        return session.scalars(select(func.count(User.id))).one()


async def to_thread(engine: Engine) -> None:
    assert await asyncio.gather(*(asyncio.to_thread(count, engine) for _ in range(5))) == [0] * 5


async def in_threads_one_after_another(engine: Engine) -> None:
    with Session(engine) as session:
        for name in ("Ada", "Grace"):
            await asyncio.to_thread(session.add, User(name=name))
            await asyncio.to_thread(session.flush)
        await asyncio.to_thread(session.commit)


async def async_maker_begin(engine: AsyncEngine) -> None:
    async with async_sessionmaker(engine).begin() as session:
        session.add(User(name="Ada"))


async def async_wait_for(engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as session:
        session.add(User(name="Ada"))
        await asyncio.wait_for(session.flush(), 10)
        await asyncio.wait_for(session.scalars(select(User)), 10)
        await asyncio.wait_for(session.commit(), 10)


async def async_savepoint_swallow(engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as session, session.begin():
        session.add(User(name="Ada"))
        await session.flush()
        for name in ("Ada", "Grace"):
            with suppress(IntegrityError):
                async with session.begin_nested():
                    session.add(User(name=name))


async def async_session_each(engine: AsyncEngine) -> None:
    async def one(number: int) -> None:
        async with AsyncSession(engine) as session, session.begin():
            session.add(User(name=f"user {number}"))

    await asyncio.gather(*map(one, range(5)))
    async with asyncio.TaskGroup() as group:
        for number in range(5, 8):
            group.create_task(one(number))


async def async_stream(engine: AsyncEngine) -> None:
    await async_session_each(engine)
    async with AsyncSession(engine) as session:
        users = await session.stream_scalars(select(User).execution_options(yield_per=2))
        assert len([user async for user in users]) == 8


async def async_run_sync(engine: AsyncEngine) -> None:
    def read(session: Session) -> int:
        session.add(User(name="Ada"))
        session.flush()
        return len(session.scalars(select(User)).one().posts)

    async with AsyncSession(engine) as session:
        assert await session.run_sync(read) == 0
        await session.commit()


def web(engine: Engine) -> FastAPI:
    make = sessionmaker(engine)

    def get_session() -> Iterator[Session]:
        with make() as session:
            yield session

    def get_user(session: Annotated[Session, Depends(get_session)]) -> User | None:
        return session.scalars(select(User)).first()

    app = FastAPI()

    @app.get("/thread")
    def thread(
        user: Annotated[User | None, Depends(get_user)], session: Annotated[Session, Depends(get_session)]
    ) -> str:
        session.add(user or User(name="Ada"))
        session.commit()
        return session.scalars(select(User)).one().name

    @app.get("/background")
    def background(tasks: BackgroundTasks) -> None:
        def announce() -> None:
            with make.begin() as session:
                session.add(User(name="Grace"))

        tasks.add_task(announce)

    return app


def async_web(engine: AsyncEngine) -> FastAPI:
    make = async_sessionmaker(engine, expire_on_commit=False)

    async def get_session() -> AsyncIterator[AsyncSession]:
        async with make() as session:
            yield session

    app = FastAPI()

    @app.get("/write")
    async def write(session: Annotated[AsyncSession, Depends(get_session)]) -> str:
        user = User(name="Ada")
        session.add(user)
        await session.commit()
        return user.name

    @app.get("/stream")
    async def streamed() -> StreamingResponse:
        async def names() -> AsyncIterator[str]:
            async with make() as session:
                async for user in await session.stream_scalars(select(User)):
                    yield user.name

        return StreamingResponse(names())

    return app

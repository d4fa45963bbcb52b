"""Services that change something, and mostly forget to commit it."""

from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import JSONResponse
from flask import Flask
from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, aliased, scoped_session, sessionmaker

from runtime.models import Account, User


def add(engine: Engine) -> None:
    with Session(engine) as session:  # mark: closed
        session.add(User(name="Ada"))  # mark: changed


def flush(engine: Engine) -> None:
    session = Session(engine)
    session.add(User(name="Ada"))  # mark: changed
    session.flush()
    session.close()  # mark: closed


def assign(engine: Engine, key: int) -> None:
    with Session(engine) as session:  # mark: closed
        session.get_one(Account, key).balance += 1  # mark: changed


def assign_and_flush(engine: Engine, key: int) -> None:
    with Session(engine) as session:  # mark: closed
        account = session.get_one(Account, key)
        account.balance += 1  # mark: changed
        session.scalars(select(User)).all()


def delete(engine: Engine, key: int) -> None:
    with Session(engine) as session:  # mark: closed
        session.delete(session.get_one(Account, key))


def execute(engine: Engine) -> None:
    with Session(engine) as session:  # mark: closed
        session.execute(insert(User).values(name="Ada"))  # mark: changed


def reset(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(User(name="Ada"))  # mark: changed
        session.reset()  # mark: closed
        session.scalars(select(User)).all()


def execute_on_alias(engine: Engine) -> None:
    with Session(engine) as session:  # mark: closed
        statement = update(aliased(User)).values(name="Ada")
        session.execute(statement, execution_options={"synchronize_session": False})  # mark: changed


def change_after_commit(engine: Engine) -> None:
    with Session(engine) as session:  # mark: closed
        account = Account()
        session.add(account)
        session.commit()
        account.balance += 1  # mark: changed


def drop(session: Session) -> None:
    session.add(User(name="Ada"))
    session.flush()
    session.close()


def roll_back(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(User(name="Ada"))
        session.flush()
        session.rollback()


def commit(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        session.add(User(name="Ada"))


def fail(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(User(name="Ada"))
        session.flush()
        raise LookupError


def fail_and_close(engine: Engine) -> None:
    session = Session(engine)
    try:
        session.add(User(name="Ada"))
        raise LookupError
    finally:
        session.close()


def read(engine: Engine, key: int) -> None:
    with Session(engine) as session:
        account = session.get_one(Account, key)
        account.balance = account.balance + 0
        session.scalars(select(User)).all()


def commit_by_itself(engine: Engine) -> None:
    with Session(engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
        session.add(User(name="Ada"))
        session.flush()


def join(connection: Connection) -> None:
    with Session(connection) as session:
        session.add(User(name="Ada"))
        session.flush()


async def async_add(engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as session:  # mark: closed
        session.add(User(name="Ada"))  # mark: changed


async def async_reset(engine: AsyncEngine) -> None:
    session = AsyncSession(engine)
    session.add(User(name="Ada"))  # mark: changed
    await session.reset()  # mark: closed


async def async_flush(engine: AsyncEngine) -> None:
    session = AsyncSession(engine)
    session.add(User(name="Ada"))  # mark: changed
    await session.flush()
    await session.close()  # mark: closed


async def async_fail(engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as session:
        session.add(User(name="Ada"))
        await session.flush()
        raise LookupError


async def async_fail_and_close(engine: AsyncEngine) -> None:
    session = AsyncSession(engine)
    try:
        session.add(User(name="Ada"))
        await session.flush()
        raise LookupError
    finally:
        await session.close()


async def async_commit(engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as session, session.begin():
        session.add(User(name="Ada"))


def web(engine: Engine) -> FastAPI:
    def get_session() -> Iterator[Session]:
        session = Session(engine)
        try:
            yield session
        finally:
            session.close()  # mark: closed

    app = FastAPI()

    @app.get("/lost")
    def lost(session: Annotated[Session, Depends(get_session)]) -> None:
        session.add(User(name="Ada"))  # mark: changed

    @app.get("/refused")
    def refused(session: Annotated[Session, Depends(get_session)]) -> None:
        session.add(User(name="Ada"))
        raise HTTPException(409)

    @app.get("/answered")
    def answered(session: Annotated[Session, Depends(get_session)]) -> JSONResponse:
        session.add(User(name="Ada"))
        return JSONResponse({}, 409)

    app.state.get_session = get_session
    return app


def async_web(engine: AsyncEngine) -> FastAPI:
    async def get_session() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine) as session:  # mark: closed
            yield session

    app = FastAPI()

    @app.get("/lost")
    async def lost(session: Annotated[AsyncSession, Depends(get_session)]) -> None:
        session.add(User(name="Ada"))  # mark: changed

    @app.get("/refused")
    async def refused(session: Annotated[AsyncSession, Depends(get_session)]) -> None:
        session.add(User(name="Ada"))
        raise HTTPException(409)

    return app


def flask(engine: Engine) -> Flask:
    sessions = scoped_session(sessionmaker(engine))
    app = Flask("shop")

    @app.get("/lost")
    def lost() -> str:
        sessions.add(User(name="Ada"))  # mark: changed
        return ""

    @app.get("/answered")
    def answered() -> tuple[str, int]:
        sessions.add(User(name="Ada"))
        return "", 409

    @app.teardown_appcontext
    def remove(_: BaseException | None) -> None:
        sessions.remove()  # mark: closed

    return app

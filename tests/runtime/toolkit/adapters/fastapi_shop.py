"""The same small FastAPI application, with `def` endpoints on a Database and `async def` ones on an AsyncDatabase."""

# No `from __future__ import annotations`: FastAPI could not see the aliases inside of these functions.

from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from sqlalchemy import func, select

from hermetic.toolkit.adapters.fastapi import read, transaction
from hermetic.toolkit.async_database import AsyncDatabase
from hermetic.toolkit.async_session import AsyncSession
from hermetic.toolkit.database import Database
from hermetic.toolkit.session import Session
from runtime.models import Account, Payment


def sync_shop(db: Database, told: list[object]) -> FastAPI:
    app = FastAPI()
    Tx = Annotated[Session, transaction(db)]
    Reading = Annotated[Session, read(db)]

    def opened(session: Tx) -> Account:
        account = Account(balance=0)
        session.add(account)
        return account

    @app.post("/accounts")
    def create(session: Tx, account: Annotated[Account, Depends(opened)]) -> int:
        session.flush()
        session.on_commit(lambda: told.append("committed"))
        return account.id

    @app.post("/fails-at-commit")
    def fail_at_commit(session: Tx) -> None:
        session.add(Payment(earlier=999))

    @app.post("/http-error")
    def http_error(session: Tx) -> None:
        session.add(Account())
        session.flush()
        raise HTTPException(409)

    @app.post("/error")
    def error(session: Tx) -> None:
        session.add(Account())
        session.flush()
        raise ValueError("no")

    @app.post("/nested")
    def nested(session: Tx) -> None:
        session.add(Account())
        with db.transaction() as second:
            second.add(Account())

    @app.post("/callback")
    def callback(session: Tx) -> None:
        db.on_commit(lambda: told.append("called"))

    @app.get("/accounts")
    def list_all(session: Reading) -> int:
        return session.scalars(select(func.count(Account.id))).one()

    @app.post("/write-in-read")
    def write_in_read(session: Reading) -> None:
        session.add(Account())
        session.flush()

    @app.get("/stream")
    def stream(session: Tx) -> StreamingResponse:
        def body() -> Iterator[str]:
            yield "first"
            try:
                session.scalar(select(Account.id))
            except Exception as error:
                told.append(error)

        return StreamingResponse(body())

    @app.get("/background")
    def background(session: Tx, tasks: BackgroundTasks) -> None:
        def later() -> None:
            try:
                session.scalar(select(Account.id))
            except Exception as error:
                told.append(error)
            with db.transaction() as own:
                own.add(Account())

        tasks.add_task(later)

    @app.websocket("/socket")
    def socket(socket: WebSocket, session: Tx) -> None: ...

    return app


def async_shop(db: AsyncDatabase, told: list[object]) -> FastAPI:
    app = FastAPI()
    Tx = Annotated[AsyncSession, transaction(db)]
    Reading = Annotated[AsyncSession, read(db)]

    async def opened(session: Tx) -> Account:
        account = Account(balance=0)
        session.add(account)
        return account

    @app.post("/accounts")
    async def create(session: Tx, account: Annotated[Account, Depends(opened)]) -> int:
        await session.flush()
        session.on_commit(lambda: told.append("committed"))
        return account.id

    @app.post("/fails-at-commit")
    async def fail_at_commit(session: Tx) -> None:
        session.add(Payment(earlier=999))

    @app.post("/http-error")
    async def http_error(session: Tx) -> None:
        session.add(Account())
        await session.flush()
        raise HTTPException(409)

    @app.post("/error")
    async def error(session: Tx) -> None:
        session.add(Account())
        await session.flush()
        raise ValueError("no")

    @app.post("/nested")
    async def nested(session: Tx) -> None:
        session.add(Account())
        async with db.transaction() as second:
            second.add(Account())

    @app.post("/callback")
    async def callback(session: Tx) -> None:
        db.on_commit(lambda: told.append("called"))

    @app.get("/accounts")
    async def list_all(session: Reading) -> int:
        return (await session.scalars(select(func.count(Account.id)))).one()

    @app.post("/write-in-read")
    async def write_in_read(session: Reading) -> None:
        session.add(Account())
        await session.flush()

    @app.get("/stream")
    async def stream(session: Tx) -> StreamingResponse:
        async def body() -> AsyncIterator[str]:
            yield "first"
            try:
                await session.scalar(select(Account.id))
            except Exception as error:
                told.append(error)

        return StreamingResponse(body())

    @app.get("/background")
    async def background(session: Tx, tasks: BackgroundTasks) -> None:
        async def later() -> None:
            try:
                await session.scalar(select(Account.id))
            except Exception as error:
                told.append(error)
            async with db.transaction() as own:
                own.add(Account())

        tasks.add_task(later)

    @app.websocket("/socket")
    async def socket(socket: WebSocket, session: Tx) -> None: ...

    return app

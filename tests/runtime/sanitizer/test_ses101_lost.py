"""SES101 at run time: changes that are dropped when their session is closed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Session

import hermetic
from hermetic.finding import Severity
from runtime.models import Account, User
from runtime.sanitizer.applications import load
from runtime.sanitizer.found import Found


@pytest.fixture
def app(tmp_path: Path) -> ModuleType:
    return load("losing", tmp_path)


@pytest.fixture
def key(sync_engine: Engine) -> int:
    with Session(sync_engine) as session:
        account = Account()
        session.add(account)
        session.commit()
        return account.id


@pytest.mark.parametrize("name", ["add", "flush", "execute", "execute_on_alias", "reset", "change_after_commit"])
def test_lost(sync_engine: Engine, found: Found, app: ModuleType, name: str) -> None:
    function = getattr(app, name)

    function(sync_engine)

    assert found.places("SES101", function) == ("changed", {"changed", "closed"})
    assert found.codes == ["SES101"]


@pytest.mark.parametrize("name", ["async_add", "async_flush", "async_reset"])
async def test_lost_by_an_async_session(async_engine: AsyncEngine, found: Found, app: ModuleType, name: str) -> None:
    function = getattr(app, name)

    await function(async_engine)

    assert found.places("SES101", function) == ("changed", {"changed", "closed"})
    assert found.codes == ["SES101"]


@pytest.mark.parametrize("name", ["assign", "assign_and_flush"])
def test_an_assignment(sync_engine: Engine, found: Found, app: ModuleType, key: int, name: str) -> None:
    function = getattr(app, name)

    function(sync_engine, key)

    assert found.places("SES101", function) == ("changed", {"changed", "closed"})


def test_an_assignment_that_was_not_even_flushed_is_a_warning(
    sync_engine: Engine, found: Found, app: ModuleType, key: int
) -> None:
    app.assign(sync_engine, key)
    app.assign_and_flush(sync_engine, key)

    assert [finding.severity for finding in found.findings] == [Severity.WARNING, Severity.ERROR]


def test_a_deletion(sync_engine: Engine, found: Found, app: ModuleType, key: int) -> None:
    app.delete(sync_engine, key)

    assert found.places("SES101", app.delete) == ("closed", {"closed"})


@pytest.mark.parametrize("name", ["roll_back", "commit", "commit_by_itself"])
def test_not_lost(sync_engine: Engine, found: Found, app: ModuleType, name: str) -> None:
    getattr(app, name)(sync_engine)

    assert found.codes == []


async def test_not_lost_by_an_async_session(async_engine: AsyncEngine, found: Found, app: ModuleType) -> None:
    await app.async_commit(async_engine)

    assert found.codes == []


@pytest.mark.parametrize("name", ["fail", "fail_and_close"])
def test_an_exception_is_in_flight(sync_engine: Engine, found: Found, app: ModuleType, name: str) -> None:
    with pytest.raises(LookupError):
        getattr(app, name)(sync_engine)

    assert found.codes == []


@pytest.mark.parametrize("name", ["async_fail", "async_fail_and_close"])
async def test_an_exception_is_in_flight_around_an_async_session(
    async_engine: AsyncEngine, found: Found, app: ModuleType, name: str
) -> None:
    with pytest.raises(LookupError):
        await getattr(app, name)(async_engine)

    assert found.codes == []


def test_the_database_refused_it(sync_engine: Engine, found: Found, app: ModuleType) -> None:
    app.commit(sync_engine)
    session = Session(sync_engine)
    with pytest.raises(IntegrityError):
        app.drop(session)

    session.close()

    assert found.codes == []


def test_nothing_has_changed(sync_engine: Engine, found: Found, app: ModuleType, key: int) -> None:
    app.read(sync_engine, key)

    assert found.codes == []


def test_the_owner_of_a_borrowed_connection_commits(sync_engine: Engine, found: Found, app: ModuleType) -> None:
    with sync_engine.begin() as connection:
        app.join(connection)

    assert found.codes == []


@pytest.mark.parametrize("mode", ["create_savepoint", "conditional_savepoint", "rollback_only", "control_fully"])
def test_an_external_transaction_that_a_test_rolls_back(
    sync_engine: Engine, found: Found, app: ModuleType, mode: str
) -> None:
    with sync_engine.connect() as connection:
        transaction = connection.begin()
        app.drop(Session(connection, join_transaction_mode=mode))  # type: ignore[arg-type]
        if transaction.is_active:
            transaction.rollback()

    assert found.codes == []


def test_a_test_throws_away_what_it_has_arranged(sync_engine: Engine, found: Found) -> None:
    with Session(sync_engine) as session:
        session.add(User(name="Ada"))
        session.flush()

    assert found.codes == []


def test_an_application_closes_what_a_test_has_changed(sync_engine: Engine, found: Found, app: ModuleType) -> None:
    session = Session(sync_engine)
    session.add(User(name="Grace"))
    app.drop(session)

    assert found.codes == []


def test_an_operation_of_a_test_counts(sync_engine: Engine, found: Found) -> None:
    def work() -> None:
        with Session(sync_engine) as session, hermetic.operation("import"):
            session.add(User(name="Ada"))  # mark: changed
            session.close()  # mark: closed

    work()

    assert found.places("SES101", work) == ("changed", {"changed", "closed"})


def test_a_request_of_fastapi(sync_engine: Engine, found: Found, app: ModuleType) -> None:
    TestClient(app.web(sync_engine)).get("/lost").raise_for_status()

    assert found.places("SES101", app.web) == ("changed", {"changed", "closed"})


@pytest.mark.parametrize("path", ["/refused", "/answered"])
def test_a_request_of_fastapi_that_is_answered_with_an_error(
    sync_engine: Engine, found: Found, app: ModuleType, path: str
) -> None:
    response = TestClient(app.web(sync_engine)).get(path)

    assert (response.status_code, found.codes) == (409, [])


@pytest.mark.parametrize(("path", "status", "codes"), [("/lost", 200, ["SES101"]), ("/refused", 409, [])])
async def test_a_request_with_an_async_session(
    async_engine: AsyncEngine, found: Found, app: ModuleType, path: str, status: int, codes: list[str]
) -> None:
    transport = httpx.ASGITransport(app.async_web(async_engine))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        response = await client.get(path)

    assert (response.status_code, found.codes) == (status, codes)


def test_a_request_of_flask(sync_engine: Engine, found: Found, app: ModuleType) -> None:
    app.flask(sync_engine).test_client().get("/lost")

    assert found.places("SES101", app.flask) == ("changed", {"changed", "closed"})


def test_a_request_of_flask_that_is_answered_with_an_error(sync_engine: Engine, found: Found, app: ModuleType) -> None:
    response = app.flask(sync_engine).test_client().get("/answered")

    assert (response.status_code, found.codes) == (409, [])


def test_an_override_in_a_conftest(sync_engine: Engine, found: Found, app: ModuleType, tmp_path: Path) -> None:
    source = "def override(engine, make):\n    with make(engine) as session:\n        yield session\n"
    (tmp_path / "conftest.py").write_text(source)
    names: dict[str, object] = {}
    exec(compile(source, str(tmp_path / "conftest.py"), "exec"), names)

    def override() -> Iterator[Session]:
        yield from names["override"](sync_engine, Session)  # type: ignore[operator]

    web = app.web(sync_engine)
    web.dependency_overrides[web.state.get_session] = override
    TestClient(web).get("/lost").raise_for_status()

    assert found.codes == []

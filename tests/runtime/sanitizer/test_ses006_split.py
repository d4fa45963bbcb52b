"""SES006 at run time: one operation that is committed in parts."""

from __future__ import annotations

import time
from types import ModuleType

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Session

import hermetic
from hermetic.finding import Severity
from runtime.models import Account, Base, Post, User
from runtime.sanitizer.applications import load
from runtime.sanitizer.found import Found

ALL = {"wrote first", "first", "wrote second", "second"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return load("shop", tmp_path_factory.mktemp("shop"))


@pytest.fixture
def engine(sync_engine: Engine, app: ModuleType) -> Engine:
    Base.metadata.create_all(sync_engine)
    return sync_engine


@pytest.fixture
def accounts(engine: Engine) -> tuple[int, int]:
    with Session(engine) as session:
        rows = [Account(balance=50), Account()]
        session.add_all(rows)
        session.commit()
        return rows[0].id, rows[1].id


@pytest.mark.parametrize("name", ["transfer", "transfer_by_statements"])
def test_two_rows_of_a_table(
    engine: Engine, found: Found, app: ModuleType, accounts: tuple[int, int], name: str
) -> None:
    function = getattr(app, name)

    function(engine, *accounts)

    assert found.places("SES006", function) == ("second", ALL)
    assert found.codes == ["SES006"]


@pytest.mark.parametrize("name", ["publish", "publish_in_two_sessions", "complete", "publish_by_statements"])
def test_split(engine: Engine, found: Found, app: ModuleType, name: str) -> None:
    function = getattr(app, name)

    function(engine)

    assert found.places("SES006", function) == ("second", ALL)
    assert found.codes == ["SES006"]


@pytest.mark.parametrize("name", ["async_publish", "async_publish_in_two_sessions"])
async def test_split_by_async_sessions(async_engine: AsyncEngine, found: Found, app: ModuleType, name: str) -> None:
    function = getattr(app, name)

    await function(async_engine)

    assert found.places("SES006", function) == ("second", ALL)
    assert found.codes == ["SES006"]


def test_it_is_a_warning_that_names_what_was_called(engine: Engine, found: Found, app: ModuleType) -> None:
    app.publish(engine)

    (finding,) = found.findings
    assert finding.severity is Severity.WARNING
    assert finding.message.startswith("one call of `publish` is committed in two parts")


def test_a_helper_that_commits_is_called_twice(engine: Engine, found: Found, app: ModuleType) -> None:
    app.publish_by_helper(engine)

    assert found.places("SES006", app.publish_by_helper) == ("second", {"first", "second"})
    assert found.findings[0].trace[0].text == "the first part was committed by `save` in `publish_by_helper`"


@pytest.mark.parametrize("name", ["main_that_passes_on", "by_methods"])
def test_steps_that_go_on_from_another(engine: Engine, found: Found, app: ModuleType, name: str) -> None:
    getattr(app, name)(engine)

    assert found.codes == ["SES006"]


def test_each_item_of_a_loop_is_split(engine: Engine, found: Found, app: ModuleType) -> None:
    app.batch_of_split_items(engine)

    assert found.places("SES006", app.batch_of_split_items)[0] == "second"


@pytest.mark.parametrize(
    "name",
    [
        "in_one",
        "main",
        "with_savepoint",
        "batch",
        "batch_of_two_kinds",
        "read_afterwards",
        "unrelated",
        "one_table",
        "progress",
        "audited",
        "by_a_listener",
    ],
)
@pytest.mark.usefixtures("accounts")
def test_no_split(engine: Engine, found: Found, app: ModuleType, name: str) -> None:
    getattr(app, name)(engine)

    assert found.codes == []


@pytest.mark.parametrize("name", ["async_in_one", "async_main"])
async def test_no_split_by_an_async_session(
    async_engine: AsyncEngine, found: Found, app: ModuleType, name: str
) -> None:
    await getattr(app, name)(async_engine)

    assert found.codes == []


@pytest.mark.parametrize(("seconds", "codes"), [(0.6, []), (0.0, ["SES006"])])
def test_a_wait_separates_the_parts(
    engine: Engine, found: Found, app: ModuleType, seconds: float, codes: list[str]
) -> None:
    app.after_a_wait(engine, lambda: time.sleep(seconds))

    assert found.codes == codes


def test_a_test_arranges_commits_and_acts(engine: Engine, found: Found) -> None:
    with Session(engine) as session:
        user = User(name="Ada")
        session.add(user)
        session.commit()
        session.add(Post(title="On engines", author_id=user.id))
        session.commit()

    assert found.codes == []


def test_two_calls_of_a_test(engine: Engine, found: Found, app: ModuleType) -> None:
    with Session(engine) as session:
        user = User(name="Ada")
        app.save(session, user)
        app.save(session, Post(title="On engines", author_id=user.id))

    assert found.codes == []


def test_a_block_of_a_test(engine: Engine, found: Found) -> None:
    def work() -> None:
        with Session(engine) as session, hermetic.operation("import"):
            user = User(name="Ada")
            session.add(user)
            session.commit()  # mark: first
            session.add(Post(title="On engines", author_id=user.id))
            session.commit()  # mark: second

    work()

    assert found.places("SES006", work) == ("second", {"first", "second"})
    assert "the operation `import`" in found.findings[0].message


def test_a_block_without_a_name(engine: Engine, found: Found, app: ModuleType) -> None:
    with hermetic.operation():
        app.publish(engine)

    assert found.findings[0].message.startswith("one operation is committed")


@pytest.mark.parametrize("mode", ["create_savepoint", "conditional_savepoint"])
def test_an_external_transaction_that_a_test_rolls_back(
    engine: Engine, found: Found, app: ModuleType, mode: str
) -> None:
    with engine.connect() as connection, connection.begin() as transaction:
        session = Session(connection, join_transaction_mode=mode)  # type: ignore[arg-type]
        user = User(name="Ada")
        app.save(session, user)
        session.close()
        transaction.rollback()

    assert found.codes == []


def test_a_request_whose_dependency_commits(engine: Engine, found: Found, app: ModuleType) -> None:
    TestClient(app.web(engine)).get("/split").raise_for_status()

    (finding,) = found.findings
    assert (finding.rule, finding.function) == ("SES006", "web.split")
    assert found.places("SES006", app.web) == ("wrote second", {"first", "wrote second"})


@pytest.mark.parametrize("path", ["/apart", "/background"])
def test_parts_of_a_request_that_no_function_does_both(
    engine: Engine, found: Found, app: ModuleType, path: str
) -> None:
    TestClient(app.web(engine)).get(path).raise_for_status()

    assert found.codes == []


async def test_a_request_with_an_async_session(async_engine: AsyncEngine, found: Found, app: ModuleType) -> None:
    transport = httpx.ASGITransport(app.async_web(async_engine))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        (await client.get("/split")).raise_for_status()

    assert found.places("SES006", app.async_web) == ("second", ALL)


def test_a_request_of_flask(engine: Engine, found: Found, app: ModuleType) -> None:
    assert app.flask(engine).test_client().get("/split").status_code == 200

    assert found.places("SES006", app.publish) == ("second", ALL)
    assert found.findings[0].message.startswith("one request")


def test_an_eager_task_of_celery(engine: Engine, found: Found, app: ModuleType) -> None:
    app.tasks(engine).tasks["publish"].delay().get()

    assert found.places("SES006", app.publish) == ("second", ALL)
    assert found.findings[0].message.startswith("one task")

"""The fixtures of pytest, in suites that pytest runs in a process of their own."""

from __future__ import annotations

import pytest
from shell import SLOW, without

CONFTEST = """
import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hermetic import AsyncDatabase, Database

pytest_plugins = ["hermetic.toolkit.adapters.pytest"]


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
"""

ON_POSTGRESQL = """

@pytest.fixture(scope="session")
def application_database(hermetic_postgres):
    with hermetic_postgres.database() as name, Database(hermetic_postgres.url(name)) as db:
        Base.metadata.create_all(db.engine)
        yield db
"""

ASYNCHRONOUS = """

@pytest.fixture(scope="session")
def application_database(tmp_path_factory):
    path = tmp_path_factory.mktemp("db") / "orders.db"
    with Database(f"sqlite:///{path}") as db:
        Base.metadata.create_all(db.engine)
    return AsyncDatabase(f"sqlite+aiosqlite:///{path}")
"""

# Each test sees what it writes and nothing else, in any order.
TESTS = """
import pytest
from conftest import Order
from sqlalchemy import func, select, text


@pytest.mark.parametrize("number", range(4))
def test_order(hermetic_database, number, request):
    done = []
    with hermetic_database.transaction() as session:
        session.add(Order(id=7))
        session.on_commit(lambda: done.append(True))
    with hermetic_database.read() as session:
        assert session.scalar(select(func.count(Order.id))) == 1
        started = session.scalar(text("SELECT pg_postmaster_start_time()"))
    assert done
    print(f"server of {started}")
"""

ASYNC_TESTS = """
import pytest
from conftest import Order
from sqlalchemy import func, select


@pytest.mark.parametrize("number", range(2))
async def test_order(hermetic_async_database, number):
    async with hermetic_async_database.transaction() as session:
        session.add(Order(id=7))
    async with hermetic_async_database.read() as session:
        assert await session.scalar(select(func.count(Order.id))) == 1
"""

PATIENCE = 180  # seconds; whatever takes longer hangs
QUIET = without("hermetic", "cacheprovider", *SLOW)


def test_the_processes_of_a_run_share_a_server_whose_databases_are_rolled_back(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST + ON_POSTGRESQL)
    pytester.makepyfile(TESTS)

    result = pytester.runpytest_subprocess("-n", "2", "-rP", *QUIET, timeout=PATIENCE)

    result.assert_outcomes(passed=4)
    servers = {line for line in result.outlines if line.startswith("server of ")}
    assert len(servers) == 1


@pytest.mark.parametrize("runner", ["asyncio", "anyio"])
def test_coroutines_are_rolled_back(pytester: pytest.Pytester, runner: str) -> None:
    pytester.makeconftest(CONFTEST + ASYNCHRONOUS)
    mark = f"pytestmark = pytest.mark.{runner}\n\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
    pytester.makepyfile(ASYNC_TESTS + mark)

    without = ("-p", "no:asyncio") if runner == "anyio" else ()
    result = pytester.runpytest_subprocess(*without, *QUIET, timeout=PATIENCE)

    result.assert_outcomes(passed=2)


def test_a_suite_without_a_database_is_told_to_define_one(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("def test(hermetic_database): ...")

    result = pytester.runpytest_subprocess(*QUIET, timeout=PATIENCE)

    result.stdout.fnmatch_lines(["*define a fixture `application_database`*"])


def test_an_asynchronous_database_is_told_its_fixture(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST + ASYNCHRONOUS)
    pytester.makepyfile("def test(hermetic_database): ...")

    result = pytester.runpytest_subprocess(*QUIET, timeout=PATIENCE)

    result.stdout.fnmatch_lines(["*use `hermetic_async_database`*"])


def test_postgresql_is_loaded_only_where_it_is_asked_for(pytester: pytest.Pytester) -> None:
    hidden = "import sys\n\nsys.modules['psutil'] = None\n"
    pytester.makeconftest(hidden + CONFTEST + ASYNCHRONOUS)
    pytester.makepyfile("def test(): ...\n\n\ndef test_server(hermetic_postgres): ...")

    result = pytester.runpytest_subprocess(*QUIET, timeout=PATIENCE)

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*pip install 'hermetic?testing?'*"])

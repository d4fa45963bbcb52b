"""The plugin under other runners: workers of xdist, tests that are coroutines, real databases."""

from __future__ import annotations

import pytest

from runtime.integrations.suite import Suite
from runtime.sanitizer.traces import Trace

REPORT = "--hermetic-report=report.json"

ASYNC_APP = """\
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

kept = []


def engine():
    return create_async_engine("sqlite+aiosqlite://")


async def leak(engine):
    session = AsyncSession(engine)
    kept.append(session)
    return await session.scalar(text("SELECT 1"))


async def careful(engine):
    async with AsyncSession(engine) as session:
        return await session.scalar(text("SELECT 1"))
"""


def test_workers_tell_the_process_that_started_them(suite: Suite) -> None:
    suite.write(
        test_one="""
            import app, pytest

            def test_leaks():
                app.leak()

            def test_holds():
                app.hold()

            def test_holds_too():
                app.hold()
        """,
        test_two="""
            import app, pytest

            @pytest.fixture(scope="module")
            def leaking():
                return app.leak()

            def test_uses(leaking):
                app.careful()

            @pytest.mark.hermetic(ignore=["SES001"])
            def test_marked():
                app.leak()
        """,
    )

    done = suite.run("xdist", "-n2", "--dist=loadfile", REPORT)

    assert (done.code, done.outcomes) == (1, {"passed": 5, "errors": 1})
    assert [(rule, tests) for rule, _, _, tests in suite.places()] == [
        ("SES001", ["fixture leaking (module test_two.py)", "test_one.py::test_leaks"]),
        ("SES102", ["test_one.py::test_holds", "test_one.py::test_holds_too"]),
    ]
    assert {**suite.report()["summary"], "seconds": 0}["sessions"] == 4
    assert suite.report()["summary"]["functions"] == 5
    assert "SES001 session-not-closed: 1 error" in done.summary
    assert "This run fails for what no test could be failed for any more: fixture leaking" in done.summary
    assert "Silenced: 1 by markers" in done.summary
    assert "error[SES001] session-not-closed" in done.out.partition("ERROR at teardown of test_leaks")[2]


def test_a_worker_that_crashes_has_told_what_its_tests_caused(suite: Suite) -> None:
    done = suite.run(
        "xdist",
        "-n1",
        "--max-worker-restart=0",
        REPORT,
        test_app="""
            import app, os

            def test_leaks():
                app.leak()

            def test_crashes():
                os._exit(1)
        """,
    )

    assert done.code == 1
    assert [tests for *_, tests in suite.places()] == [["test_app.py::test_leaks"]]


def test_mistakes_of_workers_are_told(suite: Suite) -> None:
    done = suite.run(
        "xdist",
        "-n1",
        conftest="""
            from hermetic.integrations import pytest_scopes

            def broken(*given):
                raise LookupError

            pytest_scopes.Scopes.enter = broken
        """,
        test_app="def test_with_a_fixture(tmp_path):\n    import app\n    app.careful()\n",
    )

    assert (done.code, done.outcomes) == (0, {"passed": 1})
    assert "of its own; the last was LookupError in conftest.py:5" in done.summary


def test_workers_make_and_use_a_baseline(suite: Suite) -> None:
    suite.settings("hermetic_baseline = known.json")
    suite.write(test_app="import app\n\ndef test_leaks():\n    app.leak()\n")

    made = suite.run("xdist", "-n1", "--hermetic-baseline=known.json", "--hermetic-update-baseline")
    used = suite.run("xdist", "-n1")

    assert (made.code, made.outcomes) == (0, {"passed": 1})
    assert "known.json has 1 finding now" in made.summary
    assert (used.code, used.outcomes) == (0, {"passed": 1})
    assert "Silenced: 1 by the baseline" in used.summary


@pytest.mark.parametrize("runner", ["asyncio", "anyio"])
def test_coroutines_and_their_fixtures(suite: Suite, runner: str) -> None:
    fixture = {"asyncio": "pytest_asyncio.fixture", "anyio": "pytest.fixture"}[runner]
    suite.write(app=ASYNC_APP)
    if runner == "asyncio":
        suite.settings("asyncio_default_fixture_loop_scope = function")

    done = suite.run(
        runner,
        REPORT,
        test_app=f"""
            import app, pytest
            {"import pytest_asyncio" if runner == "asyncio" else ""}
            from sqlalchemy.ext.asyncio import AsyncSession

            pytestmark = pytest.mark.{runner}

            @pytest.fixture
            def anyio_backend():
                return "asyncio"

            @{fixture}
            async def engine():
                engine = app.engine()
                yield engine
                for session in app.kept:
                    await session.close()
                app.kept.clear()
                await engine.dispose()

            @{fixture}
            async def keeping(engine):
                yield engine
                app.kept.clear()

            @{fixture}
            async def session(engine):
                async with AsyncSession(engine) as session:
                    yield session

            async def test_careful(engine, session):
                assert await app.careful(engine) == 1
                assert await session.scalar(app.text("SELECT 1")) == 1

            async def test_closed_by_its_fixture(engine):
                assert await app.leak(engine) == 1

            async def test_leaks(keeping):
                assert await app.leak(keeping) == 1
        """,
    )

    assert done.outcomes == {"passed": 3, "errors": 1}
    assert [(rule, tests) for rule, _, _, tests in suite.places()] == [("SES001", ["test_app.py::test_leaks"])]


def test_synchronous_work_in_a_test_that_is_a_coroutine(suite: Suite) -> None:
    done = suite.run(
        "anyio",
        REPORT,
        test_app="""
            import app, pytest

            @pytest.mark.anyio
            @pytest.mark.parametrize("anyio_backend", ["asyncio"])
            async def test_blocks(anyio_backend):
                app.careful()
        """,
    )

    assert done.outcomes == {"failed": 1}
    assert [(rule, tests) for rule, _, _, tests in suite.places()] == [
        ("SES004", ["test_app.py::test_blocks[asyncio]"])
    ]


def test_postgresql(suite: Suite, postgres_url: str) -> None:
    source = (suite.pytester.path / "app.py").read_text().replace("sqlite://", postgres_url)
    suite.write(app=source)

    done = suite.run(
        REPORT,
        test_app="""
            import app

            def test_leaks():
                app.leak()

            def test_careful():
                app.careful()
        """,
    )

    assert done.outcomes == {"passed": 2, "errors": 1}
    assert [tests for *_, tests in suite.places()] == [["test_app.py::test_leaks"]]


def test_an_application_of_fastapi(suite: Suite) -> None:
    suite.write(
        api="""
            import app
            from fastapi import Depends, FastAPI
            from sqlalchemy.orm import Session

            api = FastAPI()

            def get_db():
                with Session(app.engine) as session:
                    yield session

            def get_db_for_ever():
                yield Session(app.engine)

            @api.get("/careful")
            def careful(session: Session = Depends(get_db)):
                return session.scalar(app.text("SELECT 1"))

            @api.get("/leaks")
            def leaks(session: Session = Depends(get_db_for_ever)):
                return session.scalar(app.text("SELECT 1"))
        """,
        conftest="""
            import pytest
            from api import api
            from fastapi.testclient import TestClient

            @pytest.fixture(scope="session")
            def client():
                with TestClient(api) as client:
                    yield client
        """,
    )

    done = suite.run(
        REPORT,
        test_api="""
            def test_careful(client):
                assert client.get("/careful").json() == 1

            def test_leaks(client):
                assert client.get("/leaks").json() == 1

            def test_careful_again(client):
                assert client.get("/careful").json() == 1
        """,
    )

    assert done.outcomes == {"passed": 3, "errors": 1}
    assert [(rule, path, tests) for rule, path, _, tests in suite.places()] == [
        ("SES001", "api.py", ["test_api.py::test_leaks"])
    ]


def test_coroutines_of_unittest(suite: Suite) -> None:
    done = suite.run(
        REPORT,
        app=ASYNC_APP,
        test_app="""
            import app, unittest

            class Tests(unittest.IsolatedAsyncioTestCase):
                async def asyncSetUp(self):
                    self.engine = app.engine()
                    self.addAsyncCleanup(self.engine.dispose)

                async def test_careful(self):
                    self.assertEqual(await app.careful(self.engine), 1)

                async def test_leaks(self):
                    self.assertEqual(await app.leak(self.engine), 1)
        """,
    )

    assert done.outcomes == {"passed": 2, "errors": 1}
    assert [(rule, tests) for rule, _, _, tests in suite.places()] == [("SES001", ["test_app.py::Tests::test_leaks"])]


def test_workers_have_their_part_in_the_trace(suite: Suite) -> None:
    one = "import app\n\ndef test_careful():\n    app.careful()\n"
    suite.run("xdist", "-n2", "--dist=loadfile", "--hermetic-trace=trace.json", test_one=one, test_two=one)
    trace = Trace(suite.pytester.path / "trace.json")
    statements = trace.of("statement")

    assert len({event["pid"] for event in statements}) == 2
    assert len(trace.of("session")) == 2
    assert max(event["ts"] for event in statements) - min(event["ts"] for event in statements) < 60_000_000
    assert {event["args"]["name"] for event in trace.events if event["name"] == "process_name"} == {
        "pytest",
        "pytest gw0",
        "pytest gw1",
    }
    assert len({event["id"] for event in trace.of("connection")}) == 2

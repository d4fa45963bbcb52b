"""Who is charged with a finding: the test that caused it, and never the next one."""

from __future__ import annotations

import pytest

from runtime.integrations.suite import APP, Suite

RUN = ("--hermetic-report=report.json",)


def test_a_leak_is_charged_to_its_test_and_not_to_the_next(suite: Suite) -> None:
    suite.run(
        *RUN,
        test_app="""
            import app

            def test_before():
                app.careful()

            def test_leaks():
                app.leak()

            def test_after():
                app.careful()
        """,
    )

    assert [tests for *_, tests in suite.places()] == [["test_app.py::test_leaks"]]


def test_one_place_in_two_tests_fails_both(suite: Suite) -> None:
    done = suite.run(
        *RUN,
        test_app="""
            import app, pytest

            @pytest.mark.parametrize("number", [1, 2])
            def test_leaks(number):
                app.leak()
        """,
    )

    assert done.outcomes == {"passed": 2, "errors": 2}
    assert [tests for *_, tests in suite.places()] == [["test_app.py::test_leaks[1]", "test_app.py::test_leaks[2]"]]
    assert "by test_app.py::test_leaks[1] and 1 more" in done.summary


def test_a_fixture_that_closes_what_the_test_has_opened(suite: Suite) -> None:
    done = suite.run(
        test_app="""
            import app, pytest

            @pytest.fixture
            def closing():
                yield
                for session in app.kept:
                    session.close()

            def test_opens(closing):
                app.leak()
        """
    )

    assert (done.code, done.outcomes) == (0, {"passed": 1})


def test_a_fixture_of_one_test_leaks_for_its_test(suite: Suite) -> None:
    done = suite.run(
        *RUN,
        test_app="""
            import app, pytest

            @pytest.fixture
            def leaking():
                return app.leak()

            def test_uses(leaking):
                pass
        """,
    )

    assert done.outcomes == {"passed": 1, "errors": 1}
    assert [tests for *_, tests in suite.places()] == [["test_app.py::test_uses"]]


def test_a_fixture_of_a_module_answers_for_itself(suite: Suite) -> None:
    done = suite.run(
        *RUN,
        test_app="""
            import app, pytest
            from sqlalchemy import text
            from sqlalchemy.orm import Session

            @pytest.fixture(scope="module")
            def session():
                return Session(app.engine)

            def test_first(session):
                session.scalar(text("SELECT 1"))

            def test_second(session):
                session.scalar(text("SELECT 2"))
        """,
    )

    assert (done.code, done.outcomes) == (1, {"passed": 2})
    assert [tests for *_, tests in suite.places()] == [["fixture session (module test_app.py)"]]
    assert "This run fails for what no test could be failed for any more: fixture session (module" in done.summary


def test_a_fixture_of_the_session_that_closes_late_is_no_leak(suite: Suite) -> None:
    done = suite.run(
        test_app="""
            import app, pytest
            from sqlalchemy import text
            from sqlalchemy.orm import Session

            @pytest.fixture(scope="session")
            def session():
                with Session(app.engine) as session:
                    session.scalar(text("SELECT 1"))
                    yield session

            def test_first(session):
                session.scalar(text("SELECT 1"))
        """
    )

    assert (done.code, done.outcomes) == (0, {"passed": 1})


def test_what_a_wider_fixture_does_at_its_end_is_not_the_last_tests(suite: Suite) -> None:
    done = suite.run(
        *RUN,
        test_app="""
            import app, pytest

            @pytest.fixture(scope="module")
            def leaking():
                yield
                app.leak()

            @pytest.fixture
            def inner(leaking):
                yield

            def test_last(inner):
                pass
        """,
    )

    assert (done.code, done.outcomes) == (1, {"passed": 1})
    assert [tests for *_, tests in suite.places()] == [["fixture leaking (module test_app.py)"]]


def test_found_by_the_collector_when_the_test_has_been_reported(suite: Suite) -> None:
    done = suite.run(
        *RUN,
        test_app="""
            import app, gc
            from sqlalchemy import text
            from sqlalchemy.orm import Session, scoped_session, sessionmaker

            def test_forgets():
                registry = scoped_session(sessionmaker(app.engine))  # nobody judges it at the end of its test
                session = registry()
                session.scalar(text("SELECT 1"))
                session.own = session  # garbage that only the collector finds

            def test_next():
                gc.collect()
                app.careful()
        """,
    )

    assert (done.code, done.outcomes) == (1, {"passed": 2})
    assert [tests for *_, tests in suite.places()] == [["test_app.py::test_forgets"]]
    assert "This run fails for what no test could be failed for any more: test_app.py::test_forgets" in done.summary


def test_garbage_is_collected_after_each_file(suite: Suite) -> None:
    suite.write(
        test_one="""
            import app, gc
            from sqlalchemy import text
            from sqlalchemy.orm import scoped_session, sessionmaker

            def test_forgets():
                gc.disable()
                session = scoped_session(sessionmaker(app.engine))()
                session.scalar(text("SELECT 1"))
                session.own = session
        """,
        test_two="""
            from hermetic.sanitizer.watch import current

            def test_next():
                assert current().ledger.open == {}
        """,
    )

    done = suite.run(*RUN)

    assert (done.code, done.outcomes) == (1, {"passed": 2})
    assert [tests for *_, tests in suite.places()] == [["test_one.py::test_forgets"]]


def test_found_late_fails_nothing_where_findings_only_warn(suite: Suite) -> None:
    done = suite.run(
        "--hermetic=warn",
        test_app="""
            import app, pytest

            @pytest.fixture(scope="module")
            def leaking():
                return app.leak()

            def test_uses(leaking):
                pass
        """,
    )

    assert (done.code, done.outcomes) == (0, {"passed": 1})
    assert "by fixture leaking (module test_app.py)" in done.summary
    assert "This run fails" not in done.summary


def test_a_test_that_fails_anyway_shows_its_findings_too(suite: Suite) -> None:
    done = suite.run(
        test_app="""
            import app, pytest

            def test_fails():
                app.hold()
                assert app.careful() == 2
        """
    )

    assert done.outcomes == {"failed": 1}
    failure = done.out.partition("test_fails ___")[2].partition("=== hermetic")[0]
    assert "assert 1 == 2" in failure
    assert "--- hermetic ---" in failure
    assert "warning[SES102] transaction-held-across-slow-work: a transaction is kept" in failure


def test_a_test_that_is_expected_to_fail_is_left_alone(suite: Suite) -> None:
    done = suite.run(
        test_app="""
            import app, pytest

            @pytest.mark.xfail(strict=True)
            def test_known():
                app.hold("SES001")
                assert app.careful() == 2
        """
    )

    assert (done.code, done.outcomes) == (0, {"xfailed": 1})
    assert "SES001" in done.summary


def test_sessions_of_the_application_that_are_older_than_the_first_test(suite: Suite) -> None:
    done = suite.run(
        *RUN,
        conftest="from models import session",
        models="from app import engine, Session\nsession = Session(engine)\n",
        test_app="""
            import models
            from hermetic.sanitizer.watch import current

            def test_known():
                assert current().ledger.sessions_made == 1
                assert len(current().ledger.engines) == 1
        """,
    )

    assert done.outcomes == {"passed": 1}


def test_a_test_that_runs_again_is_charged_again(suite: Suite) -> None:
    done = suite.run(
        "--hermetic=fail",
        conftest="""
            import pytest
            from _pytest.runner import runtestprotocol

            @pytest.hookimpl(tryfirst=True)
            def pytest_runtest_protocol(item, nextitem):
                for _ in range(2):
                    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
                    runtestprotocol(item, nextitem=nextitem)
                    item._initrequest()
                return True
        """,
        test_app="""
            import app

            def test_holds():
                app.hold("SES001")
        """,
    )

    assert done.outcomes == {"failed": 2}


@pytest.mark.parametrize("when", ["setUp", "test_leaks", "tearDown"])
def test_unittest(suite: Suite, when: str) -> None:
    done = suite.run(
        *RUN,
        test_app=f"""
            import app, unittest

            class Tests(unittest.TestCase):
                def setUp(self): pass
                def test_leaks(self): pass
                def tearDown(self): pass

            setattr(Tests, "{when}", lambda self: app.leak() and None)
        """,
    )

    assert done.outcomes == {"passed": 1, "errors": 1}
    assert [tests for *_, tests in suite.places()] == [["test_app.py::Tests::test_leaks"]]


def test_unittest_that_fails_anyway(suite: Suite) -> None:
    done = suite.run(
        test_app="""
            import app, unittest

            class Tests(unittest.TestCase):
                def test_fails(self):
                    app.hold("SES001")
                    self.assertEqual(app.careful(), 2)
        """
    )

    assert done.outcomes == {"failed": 1}
    assert "AssertionError: 1 != 2" in done.out
    assert "--- hermetic ---" in done.out


def test_what_a_class_of_unittest_sets_up_answers_for_itself(suite: Suite) -> None:
    done = suite.run(
        *RUN,
        test_app="""
            import app, unittest

            class Tests(unittest.TestCase):
                @classmethod
                def setUpClass(cls):
                    app.leak()

                def test_passes(self): pass
        """,
    )

    ((*_, causes),) = suite.places()
    assert (done.code, done.outcomes) == (1, {"passed": 1})
    assert causes[0].startswith("fixture ")
    assert "(class test_app.py::Tests)" in causes[0]


@pytest.mark.parametrize("sources", ["shop", "src/shop"])
def test_the_installed_copy_of_the_project(suite: Suite, sources: str) -> None:
    suite.settings("pythonpath = site-packages", "testpaths = tests", "addopts = --import-mode=importlib")
    suite.write(**{f"{sources}/__init__": "", f"{sources}/stock": "", "site-packages/shop/__init__": ""})
    suite.write(**{"site-packages/shop/stock": APP, "site-packages/library": APP})

    done = suite.run(
        *RUN,
        **{
            "tests/test_shop": """
                import library, shop.stock

                def test_leaks():
                    shop.stock.leak()

                def test_library():
                    library.leak()
            """
        },
    )

    assert done.outcomes == {"passed": 2, "errors": 2}
    assert [(path, tests) for _, path, _, tests in suite.places()] == [
        ("site-packages/shop/stock.py", ["tests/test_shop.py::test_leaks"]),
        ("tests/test_shop.py", ["tests/test_shop.py::test_library"]),
    ]


def test_a_session_of_several_tests_waits_for_none_of_them(suite: Suite) -> None:
    suite.settings("hermetic_idle_ms = 100")

    done = suite.run(
        "--hermetic=fail",
        test_app="""
            import time, pytest
            from app import Session, engine, text

            @pytest.fixture(scope="module")
            def session():
                with Session(engine) as session:
                    yield session

            def test_uses_it(session):
                session.scalar(text("SELECT 1"))

            def test_takes_its_time():
                time.sleep(0.8)

            def test_uses_it_again(session):
                session.scalar(text("SELECT 1"))

            def test_waits(session):
                session.scalar(text("SELECT 1"))
                time.sleep(0.8)
                session.scalar(text("SELECT 1"))
        """,
    )

    assert done.outcomes == {"passed": 3, "failed": 1}
    assert "SES102 transaction-held-across-slow-work: 1 warning" in done.summary
    assert "by test_app.py::test_waits" in done.summary


def test_a_wait_of_the_test_between_two_calls_is_none_of_what_it_calls(suite: Suite) -> None:
    suite.settings("hermetic_idle_ms = 100")
    suite.write(
        shop="""
            import time
            from app import text

            def load(session):
                session.scalar(text("SELECT 1"))

            def load_slowly(session):
                load(session)
                time.sleep(0.8)
                load(session)
        """
    )

    done = suite.run(
        "--hermetic=fail",
        test_shop="""
            import time, pytest
            from app import Session, engine, text
            from shop import load, load_slowly

            @pytest.fixture
            def session():
                with Session(engine) as session:
                    load(session)
                    yield session
                    load(session)

            @pytest.fixture
            def late():
                with Session(engine) as session:
                    yield session
                    time.sleep(0.8)
                    session.rollback()

            def test_whose_fixture_takes_its_time(late):
                load(late)

            def test_takes_its_time(session):
                time.sleep(0.8)

            def test_waits_between_two_calls(session):
                load(session)
                time.sleep(0.8)
                load(session)

            def test_calls_what_waits(session):
                load_slowly(session)

            def test_waits_itself(session):
                session.scalar(text("SELECT 1"))
                time.sleep(0.8)
                session.scalar(text("SELECT 1"))
        """,
    )

    assert done.outcomes == {"passed": 3, "failed": 2}
    assert "SES102 transaction-held-across-slow-work: 2 warnings" in done.summary
    assert "by test_shop.py::test_calls_what_waits" in done.summary
    assert "by test_shop.py::test_waits_itself" in done.summary

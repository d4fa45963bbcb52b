"""Whatever goes wrong, with hermetic or without, the tests of the project run as they would without it."""

from __future__ import annotations

import pytest

from runtime.integrations.suite import Suite

# A `sitecustomize.py` that hides an installed package.
HIDE = """
    import importlib.machinery

    class Hiding:  # no function: pytest makes an attribute of a class of it
        def __init__(self, found):
            self.found = found

        def __call__(self, name, *details):
            return None if name.partition(".")[0] == "sqlalchemy" else self.found(name, *details)

    importlib.machinery.PathFinder.find_spec = Hiding(importlib.machinery.PathFinder.find_spec)
"""
PLAIN = """
    def test_plain():
        assert 1 + 1 == 2
"""
CAREFUL = """
    import app

    def test_careful():
        app.careful()
"""
LEAKS = """
    import app

    def test_leaks():
        app.leak()
"""


def test_one_line_where_sqlalchemy_is_not_installed(suite: Suite) -> None:
    done = suite.run("--hermetic-report=report.json", sitecustomize=HIDE, test_plain=PLAIN)

    assert (done.code, done.outcomes, done.err) == (0, {"passed": 1}, "")
    assert [line for line in done.out.splitlines() if line.startswith("hermetic")] == [
        "hermetic: SQLAlchemy is not installed; there is nothing to watch"
    ]
    assert suite.report()["findings"] == []


def test_one_line_where_sqlalchemy_is_too_old(suite: Suite) -> None:
    done = suite.run(
        sqlalchemy='__version__ = "1.4.54"',
        test_app="""
            import sqlalchemy

            def test_old():
                assert sqlalchemy.__version__ == "1.4.54"
        """,
    )

    assert (done.code, done.outcomes) == (0, {"passed": 1})
    assert done.summary == "SQLAlchemy 1.4.54 is too old to be watched; 2.0 is the oldest\n"


def test_sqlalchemy_that_only_the_settings_make_importable(suite: Suite) -> None:
    suite.settings("pythonpath = hidden")

    done = suite.run(
        **{"hidden/sqlalchemy": '__version__ = "1.4.54"'},
        test_app="""
            import sqlalchemy

            def test_old():
                assert sqlalchemy.__version__ == "1.4.54"
        """,
    )

    assert "hermetic: sessions are watched" in done.out
    assert "SQLAlchemy 1.4.54 is too old to be watched" in done.summary


def test_sqlalchemy_is_loaded_only_by_whoever_uses_it(suite: Suite) -> None:
    done = suite.run(
        test_plain="""
            import importlib.util, sys

            def test_plain():
                assert importlib.util.find_spec("sqlalchemy")
                assert [name for name in ("sqlalchemy", "asyncio", "hermetic.rules") if name in sys.modules] == []

            def test_used_later():
                import app, sqlalchemy
                assert sqlalchemy.__spec__.loader is sqlalchemy.__loader__
                app.leak()
        """
    )

    assert done.outcomes == {"passed": 2, "errors": 1}
    assert "ERROR at teardown of test_used_later" in done.out


def test_collecting_alone_reports_nothing(suite: Suite) -> None:
    done = suite.run("--co", "--hermetic-report=report.json", test_app=f"{LEAKS}\n    app.leak()\n")

    assert done.code == 0
    assert done.summary == ""
    assert not (suite.pytester.path / "report.json").exists()


def test_a_collection_that_fails(suite: Suite) -> None:
    done = suite.run("--hermetic-report=report.json", test_app=CAREFUL, test_broken="import nothing_of_that_name")

    assert done.code == pytest.ExitCode.INTERRUPTED
    assert done.outcomes == {"errors": 1}
    assert "INTERNALERROR" not in done.out
    assert suite.report()["findings"] == []


def test_interrupted(suite: Suite) -> None:
    done = suite.run(
        "--hermetic-report=report.json",
        test_app=f"""{LEAKS}
    def test_interrupted():
        raise KeyboardInterrupt

    def test_never_run():
        app.leak()
    """,
    )

    assert done.code == pytest.ExitCode.INTERRUPTED
    assert [tests for *_, tests in suite.places()] == [["test_app.py::test_leaks"]]
    assert suite.report()["summary"]["sessions"] == 1
    assert "SES001 session-not-closed: 1 error" in done.summary


def test_no_tests_at_all(suite: Suite) -> None:
    done = suite.run("--hermetic-report=report.json")

    assert done.code == pytest.ExitCode.NO_TESTS_COLLECTED
    assert suite.report()["findings"] == []


def test_the_first_failure_ends_the_run_if_asked_for(suite: Suite) -> None:
    done = suite.run("-x", test_app=f"{LEAKS}\n    def test_next():\n        pass\n")

    assert done.outcomes == {"passed": 1, "errors": 1}


@pytest.mark.parametrize(
    "broken",
    [
        "pytest_charges.Charges.add",
        "pytest_charges.Charges.take",
        "pytest_scopes.Scopes.enter",
        "pytest_scopes.Scopes.leave",
        "pytest_output.write",
    ],
)
def test_a_mistake_of_the_plugin_is_told_and_breaks_nothing(suite: Suite, broken: str) -> None:
    module, _, name = broken.partition(".")
    done = suite.run(
        "--hermetic-report=report.json",
        conftest=f"""
            from hermetic.integrations import pytest_charges, pytest_output, pytest_scopes

            def broken(*given, **more):
                raise LookupError("secret")

            {module}.{name} = broken
        """,
        test_app=f"{LEAKS}\n    def test_with_a_fixture(tmp_path):\n        app.careful()\n",
    )

    assert done.outcomes == {"passed": 2} or (done.outcomes == {"passed": 2, "errors": 1} and "take" not in broken)
    assert "INTERNALERROR" not in done.out
    assert "of its own; the last was LookupError in conftest.py:5" in done.summary
    assert "secret" not in done.out + done.err


def test_a_mistake_at_the_start_leaves_the_tests_alone(suite: Suite) -> None:
    done = suite.run(
        "-p",
        "breaking",
        breaking="""
            from hermetic.integrations import pytest_plugin

            def broken(*given):
                raise LookupError("secret")

            pytest_plugin._baseline = broken
        """,
        test_app=LEAKS,
    )

    assert (done.code, done.outcomes) == (0, {"passed": 1})
    assert "hermetic made a mistake and watches nothing: LookupError in breaking.py:5" in done.err
    assert "secret" not in done.out + done.err


def test_a_mistake_of_a_detector_is_told(suite: Suite) -> None:
    done = suite.run(
        conftest="""
            from hermetic.sanitizer.detectors import ses001_leaked

            ses001_leaked._is_at_work = None
        """,
        test_app=LEAKS,
    )

    assert (done.code, done.outcomes) == (0, {"passed": 1})
    assert "hermetic made 1 mistake of its own; the last was TypeError in ses001_leaked.py:" in done.summary


def test_a_program_that_tests_pytest_in_its_own_process(suite: Suite) -> None:
    done = suite.run(
        "-p",
        "pytester",
        "--hermetic-report=report.json",
        test_app="""
            import app

            def test_inner(pytester):
                pytester.makepyfile("import app\\ndef test_leaks(): app.leak()")
                result = pytester.inline_run()
                result.assertoutcome(passed=1)

            def test_leaks():
                app.leak()
        """,
    )

    assert [tests for *_, tests in suite.places()] == [["test_app.py::test_leaks"]]
    assert done.code == 1


def test_failures_of_fixtures_show_nothing_of_the_plugin(suite: Suite) -> None:
    done = suite.run(
        conftest="""
            import pytest

            @pytest.fixture
            def breaks_early():
                raise ValueError("early")

            @pytest.fixture
            def breaks_late():
                yield
                raise ValueError("late")
        """,
        test_app="""
            def test_early(breaks_early):
                pass

            def test_late(breaks_late):
                pass
        """,
    )

    assert done.outcomes == {"passed": 1, "errors": 2}
    assert "ValueError: early" in done.out
    assert "ValueError: late" in done.out
    assert "pytest_running" not in done.out

"""What fails a test, and what a failure shows."""

from __future__ import annotations

import pytest

from runtime.integrations.suite import LEAK_LINE, Suite

MIXED = """
    import app

    def test_leaks():
        assert app.leak() == 1

    def test_holds():
        app.hold()

    def test_careful():
        assert app.careful() == 1
"""


def test_an_error_fails_its_test_without_any_set_up_and_a_warning_does_not(suite: Suite) -> None:
    done = suite.run(test_app=MIXED)

    assert done.code == pytest.ExitCode.TESTS_FAILED
    assert done.outcomes == {"passed": 3, "errors": 1}
    assert "hermetic: sessions are watched; errors fail the test that caused it" in done.out
    failure = done.out.partition("ERROR at teardown of test_leaks")[2].partition("=== hermetic")[0]
    assert "error[SES001] session-not-closed: session is still open" in failure
    assert f"--> app.py:{LEAK_LINE}:15" in failure
    assert "1. the session was made in `leak`" in failure
    assert "3. its connection was taken from the pool in `leak`" in failure
    assert "2, 4. called by `test_leaks`" in failure
    assert "= help: open it in a `with` block" in failure
    assert f"= silence: `# hermetic: ignore[SES001] reason` on line {LEAK_LINE}, or" in failure
    assert "= more: hermetic explain SES001" in failure


def test_every_finding_fails_its_test_if_asked_for(suite: Suite) -> None:
    done = suite.run("--hermetic=fail", test_app=MIXED)

    assert (done.code, done.outcomes) == (1, {"failed": 1, "passed": 2, "errors": 1})
    assert "FAILED test_app.py::test_holds - Failed: warning[SES102]" in done.out


def test_nothing_fails_where_findings_only_warn(suite: Suite) -> None:
    done = suite.run("--hermetic=warn", test_app=MIXED)

    assert (done.code, done.outcomes) == (0, {"passed": 3})
    assert "SES001 session-not-closed: 1 error" in done.summary
    assert "SES102 transaction-held-across-slow-work: 1 warning" in done.summary


def test_nothing_is_watched_when_it_is_off(suite: Suite) -> None:
    done = suite.run(
        "--hermetic=off",
        "--strict-markers",
        test_app="""
            import app, pytest
            from hermetic.sanitizer.watch import current

            @pytest.mark.hermetic(ignore=["SES001"])
            def test_leaks():
                assert app.leak() == 1
                assert current() is None
        """,
    )

    assert (done.code, done.outcomes) == (0, {"passed": 1})
    assert "hermetic: " not in done.out
    assert done.summary == ""


def test_the_plugin_can_be_left_out(suite: Suite) -> None:
    done = suite.run(
        "-p",
        "no:hermetic",
        test_app="""
            import app, sys

            def test_leaks():
                assert app.leak() == 1
                assert not [name for name in sys.modules if name.startswith("hermetic")]
        """,
    )

    assert (done.code, done.outcomes) == (0, {"passed": 1})


def test_settings_that_cannot_be_meant_are_wrong_usage(suite: Suite) -> None:
    suite.settings("hermetic = loud")

    done = suite.run(test_app=MIXED)

    assert done.code == pytest.ExitCode.USAGE_ERROR
    assert "hermetic in the settings is 'loud'; it is one of: fail, errors, warn, off" in done.err
    assert "Traceback" not in done.err


def test_the_wait_that_is_too_long_can_be_set(suite: Suite) -> None:
    suite.settings("hermetic_idle_ms = 20")

    done = suite.run(
        test_app="""
            import app
            from hermetic.sanitizer.watch import current

            def test_idle():
                assert current().idle == 0.02
        """
    )

    assert done.outcomes == {"passed": 1}

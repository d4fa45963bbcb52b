"""What the plugin prints at the end of a run, and the report that it writes."""

from __future__ import annotations

import pytest

from runtime.integrations.suite import LEAK_LINE, Suite
from runtime.sanitizer.traces import Trace

MIXED = """
    import app

    def test_leaks():
        app.leak()

    def test_leaks_too():
        app.leak()

    def test_holds():
        app.hold()
"""
CAREFUL = """
    import app

    def test_careful():
        app.careful()
"""


def test_the_summary_is_by_rule_with_both_acts_of_each_place(suite: Suite) -> None:
    done = suite.run("--hermetic=warn", test_app=MIXED)

    assert done.summary.splitlines()[:5] == [
        "SES001 session-not-closed: 1 error",
        f"  app.py:{LEAK_LINE} in leak: session is still open, with its connection, when the test is over",
        f"      app.py:{LEAK_LINE}: the session was made in `leak`",
        f"      app.py:{LEAK_LINE + 2}: its connection was taken from the pool in `leak`",
        "      by test_app.py::test_leaks and 1 more",
    ]
    assert "SES102 transaction-held-across-slow-work: 1 warning" in done.summary
    assert done.summary.splitlines()[-1] == (
        "2 sessions, 2 statements watched; -v shows the code; more about a rule: hermetic explain SES001"
    )


def test_the_summary_shows_the_code_if_asked_for(suite: Suite) -> None:
    done = suite.run("--hermetic=warn", "-v", test_app=MIXED)

    assert f"{LEAK_LINE} │     session = Session(engine)" in done.summary
    assert "1. the session was made in `leak`" in done.summary


def test_one_line_where_nothing_was_found(suite: Suite) -> None:
    done = suite.run(test_app=CAREFUL)

    assert done.summary == "nothing to report: 1 session, 1 statement watched\n"


def test_not_a_word_where_nothing_was_found_and_little_is_to_be_said(suite: Suite) -> None:
    done = suite.run("-q", test_app=CAREFUL)

    assert "hermetic" not in done.out


def test_many_places_of_one_rule_are_cut(suite: Suite) -> None:
    places = "\n".join(f"    def test_{number}():\n        app.hold_{number}()" for number in range(23))
    holds = "\n".join(f"def hold_{number}():\n    hold()\n" for number in range(23))
    source = (suite.pytester.path / "app.py").read_text().replace("grab()", "grab()[1:]")
    suite.write(app=f"{source}\n\n{holds}")

    done = suite.run(test_app=f"    import app\n\n{places}\n")

    assert "SES102 transaction-held-across-slow-work: 23 warnings" in done.summary
    assert done.summary.count(": a transaction is kept") == 20
    assert "  and 3 more places; --hermetic-report=FILE lists all" in done.summary


def test_the_report_is_a_contract(suite: Suite) -> None:
    suite.run("--hermetic-report=out/report.json", test_app=MIXED)

    document = suite.report("out/report.json")
    leak, hold = document["findings"]
    assert list(document) == ["version", "findings", "not_analysed", "summary"]
    assert (leak["rule"], leak["name"], leak["severity"]) == ("SES001", "session-not-closed", "error")
    assert (leak["path"], leak["line"], leak["column"], leak["function"]) == ("app.py", LEAK_LINE, 15, "leak")
    assert [(step["path"], step["line"]) for step in leak["trace"]] == [
        ("app.py", LEAK_LINE),
        ("test_app.py", 5),
        ("app.py", LEAK_LINE + 2),
        ("test_app.py", 5),
    ]
    assert leak["tests"] == ["test_app.py::test_leaks", "test_app.py::test_leaks_too"]
    assert leak["fix"]["message"].startswith("open it in a `with` block")
    assert leak["fingerprint"] != hold["fingerprint"]
    assert {**document["summary"], "seconds": 0} == {
        "files": 1,
        "functions": 3,
        "sessions": 2,
        "unresolved": 0,
        "errors": 1,
        "warnings": 1,
        "seconds": 0,
    }


def test_the_report_is_written_also_when_nothing_was_found(suite: Suite) -> None:
    suite.run("--hermetic-report=report.json", test_app=CAREFUL)

    document = suite.report()
    assert document["findings"] == []
    assert (document["summary"]["sessions"], document["summary"]["functions"]) == (1, 1)


def test_no_hint_is_reported(suite: Suite) -> None:
    source = (suite.pytester.path / "app.py").read_text()
    suite.write(app=source.replace("Severity.WARNING", "Severity.HINT"))

    done = suite.run("--hermetic=fail", "--hermetic-report=report.json", test_app="import app\ntest_it = app.hold\n")

    assert done.code == 0
    assert suite.report()["findings"] == []


def test_paths_are_relative_to_where_pytest_was_started(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.settings("pythonpath = .")
    suite.write(tests__test_app=MIXED)
    monkeypatch.chdir(suite.pytester.path / "tests")

    done = suite.run("--hermetic-report=report.json")

    assert [path for _, path, *_ in suite.places("tests/report.json")] == ["../app.py", "../app.py"]
    assert f"--> ../app.py:{LEAK_LINE}:15" in done.out
    assert f"{LEAK_LINE} │     session = Session(engine)" in done.out


def test_a_fingerprint_does_not_hang_on_where_pytest_was_started(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.settings("pythonpath = .")
    suite.write(tests__test_app=MIXED)
    suite.run("--hermetic-report=report.json")
    monkeypatch.chdir(suite.pytester.path / "tests")
    suite.run("--hermetic-report=report.json")

    first, second = suite.report(), suite.report("tests/report.json")
    assert {each["fingerprint"] for each in first["findings"]} == {each["fingerprint"] for each in second["findings"]}


def test_a_report_that_cannot_be_written_fails_the_run(suite: Suite) -> None:
    done = suite.run("--hermetic-report=app.py/report.json", test_app=CAREFUL)

    assert (done.code, done.outcomes) == (1, {"passed": 1})
    assert "hermetic cannot write" in done.summary
    assert "Traceback" not in done.out + done.err


def test_a_finding_of_a_great_many_tests_is_shown_in_full_for_the_first(suite: Suite) -> None:
    done = suite.run(
        test_app="""
            import app, pytest

            @pytest.mark.parametrize("number", range(5))
            def test_leaks(number):
                app.leak()
        """
    )

    failures = done.out.partition("= hermetic =")[0]
    assert failures.count("= why: ") == 3
    assert failures.count("error[SES001] session-not-closed, as in other tests:") == 2
    assert failures.count(f"      app.py:{LEAK_LINE + 2}: its connection was taken from the pool in `leak`") == 2


def test_as_wide_as_the_terminal(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "72")

    done = suite.run(test_app=MIXED)

    failures = done.out.partition("= ERRORS =")[2].partition("= hermetic =")[0]
    assert "= why: An open session keeps" in failures
    assert max(map(len, failures.splitlines())) == 72


def test_for_a_terminal_without_box_drawing(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")

    done = suite.run(test_app=MIXED)

    assert f"{LEAK_LINE} |     session = Session(engine)" in done.out
    assert "\\u2502" not in done.out


def test_the_trace_has_sessions_and_findings(suite: Suite) -> None:
    suite.run("--hermetic=warn", "--hermetic-trace=trace.json", test_app=MIXED)
    trace = Trace(suite.pytester.path / "trace.json")

    assert len(trace.of("session")) == 2
    assert {each["name"] for each in trace.of("finding")} == {
        "SES001 session-not-closed",
        "SES102 transaction-held-across-slow-work",
    }
    assert {each["path"] for each in trace.args("finding")} == {"app.py"}


def test_a_trace_of_tests_without_sqlalchemy(suite: Suite) -> None:
    suite.run("--hermetic-trace=trace.json", test_app="def test_nothing():\n    pass\n")

    assert [event["ph"] for event in Trace(suite.pytester.path / "trace.json").events] == ["M"]


def test_a_trace_that_cannot_be_written(suite: Suite) -> None:
    done = suite.run("--hermetic-trace=nowhere/trace.json", test_app=MIXED)

    assert done.code == pytest.ExitCode.USAGE_ERROR
    assert "--hermetic-trace: cannot write" in done.err
    assert "No such file or directory" in done.err


def test_without_the_plugin_no_trace_is_written(suite: Suite) -> None:
    suite.run("--hermetic=off", "--hermetic-trace=trace.json", test_app=MIXED)

    assert not (suite.pytester.path / "trace.json").exists()


def test_of_equal_findings_in_a_function_the_first_is_reported(suite: Suite) -> None:
    done = suite.run(
        "--hermetic-report=report.json",
        shop="""
            from app import Session, engine, kept

            def leak_twice():
                kept.append(session := Session(engine))
                session.connection()
                kept.append(session := Session(engine))
                session.connection()
        """,
        test_shop="""
            import shop

            def test_leaks():
                shop.leak_twice()
        """,
    )

    assert done.outcomes == {"passed": 1, "errors": 1}
    assert suite.places() == [("SES001", "shop.py", 5, ["test_shop.py::test_leaks"])]

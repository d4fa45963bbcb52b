"""The harness itself: marks are read strictly, and every kind of disagreement is reported."""

from __future__ import annotations

import expectations
import pytest
from expectations import EXPECT, FALSE_ALARM, MISSED, Mark, MarkError

from hermetic.finding import Finding, Position, Severity


def marks_in(text: str) -> list[Mark]:
    return expectations.read({"app.py": text})


def found(line: int, code: str = "SES001", severity: Severity = Severity.ERROR) -> Finding:
    return Finding(Position("app.py", line), severity, "message", rule=code)


def test_marks_of_one_line() -> None:
    text = "x = 1  # noqa: E501  # expect: SES001, SES003 warning\ny = 2\n"

    assert marks_in(text) == [
        Mark("app.py", 1, "SES001", EXPECT),
        Mark("app.py", 1, "SES003", EXPECT, Severity.WARNING),
    ]


def test_known_mistakes_carry_a_reason() -> None:
    text = "x = 1  # missed: SES001 behind a lambda\ny = 2  # false-alarm: SES003 rolled back by the caller\n"

    assert marks_in(text) == [Mark("app.py", 1, "SES001", MISSED), Mark("app.py", 2, "SES003", FALSE_ALARM)]


def test_next_is_the_next_line_of_code() -> None:
    text = "if True:\n    # expect-next: SES001\n    # missed-next: SES004 why\n\n    # a remark\n    x = 1\n"

    assert marks_in(text) == [Mark("app.py", 6, "SES001", EXPECT), Mark("app.py", 6, "SES004", MISSED)]


@pytest.mark.parametrize(
    "text",
    [
        's = "# expect: SES001"',
        "x = 1  # we expect nothing of it",
        "x = 1  # hermetic: ignore[SES001] a known one",
    ],
)
def test_what_is_no_mark(text: str) -> None:
    assert marks_in(text + "\n") == []


@pytest.mark.parametrize(
    "comment",
    [
        "# expects: SES001",
        "# exepct: SES001",
        "# expect: ",
        "# expect SES001",
        "# expect:SES001",
        "# expect: SES999",
        "# expect: SES001 fatal",
        "# expect: SES001 for a reason",
        "# expect: SES001,",
        "# expect: SES001, SES001",
        "# expect: ses001",
        "# missed: SES001",
        "# false alarm: SES001 why",
        "# false-alarms: SES001 why",
    ],
)
def test_unreadable_marks_are_errors(comment: str) -> None:
    with pytest.raises(MarkError, match=r"app\.py:1"):
        marks_in(f"x = 1  {comment}\n")


@pytest.mark.parametrize(
    ("comment", "findings", "complaint"),
    [
        ("# expect: SES001", [], "app.py:1: SES001 missed alarm"),
        ("# expect: SES001", [found(1, severity=Severity.HINT)], "app.py:1: SES001 missed alarm"),
        ("# expect: SES001 warning", [found(1)], "app.py:1: SES001 expected as warning, found as error"),
        ("# fine", [found(1)], "app.py:1: SES001 false alarm, error (or an `expect` is missing)"),
        ("# missed: SES001 why", [found(1)], "app.py:1: SES001 flip: it is found now, change `missed` into `expect`"),
        ("# false-alarm: SES001 why", [], "app.py:1: SES001 flip: the false alarm is gone, remove its mark"),
    ],
)
def test_each_disagreement_is_told(comment: str, findings: list[Finding], complaint: str) -> None:
    assert expectations.mismatches(marks_in(f"x = 1  {comment}\n"), findings) == [complaint]


@pytest.mark.parametrize(
    ("comment", "findings"),
    [
        ("# expect: SES001", [found(1, severity=Severity.WARNING)]),
        ("# expect: SES001 error", [found(1)]),
        ("# missed: SES001 why", []),
        ("# false-alarm: SES001 why", [found(1)]),
        ("# fine", [found(1, severity=Severity.HINT)]),
    ],
)
def test_agreement_is_silent(comment: str, findings: list[Finding]) -> None:
    assert expectations.mismatches(marks_in(f"x = 1  {comment}\n"), findings) == []


def test_files_of_an_example() -> None:
    assert expectations.files_of("x = 1\n# file: app/db.py\ny = 2\n# file: app/main.py\nz = 3\n") == {
        "example.py": "x = 1\n",
        "app/db.py": "y = 2\n",
        "app/main.py": "z = 3\n",
    }


def test_an_example_may_begin_with_a_named_file() -> None:
    assert expectations.files_of("# file: app/db.py\ny = 2\n") == {"app/db.py": "y = 2\n"}

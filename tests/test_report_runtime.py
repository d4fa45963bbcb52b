"""What a run has shown is set beside what the code shows: which finding is meant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hermetic.finding import Finding, Position, Severity, Sighting, Step
from hermetic.report.runtime import Seen, confirm

STATIC = Finding(Position("app.py", 10), Severity.ERROR, "static", function="load", rule="SES001")
RUN = replace(STATIC, message="run")


def at(finding: Finding, line: int, *steps: int, path: str = "app.py", function: str | None = None) -> Finding:
    trace = tuple(Step(Position(path, step), "step") for step in steps)
    return replace(finding, at=Position(path, line), trace=trace, function=function or finding.function)


def marks(findings: list[Finding], *seen: Finding, least: Severity = Severity.WARNING) -> list[str]:
    return [
        found.sighting.label if found.sighting else ""
        for found in confirm(findings, [Seen(each, ()) for each in seen], least)
    ]


def test_on_one_line() -> None:
    assert marks([STATIC, at(STATIC, 20)], RUN) == ["confirmed", ""]


def test_another_rule_on_one_line() -> None:
    assert marks([STATIC], replace(RUN, rule="SES002")) == ["", "only"]


def test_another_line_of_the_function() -> None:
    assert marks([STATIC], at(RUN, 12)) == ["confirmed"]


def test_another_line_of_a_module() -> None:
    assert marks([at(STATIC, 10, function="<module>")], at(RUN, 12, function="<module>")) == ["", "only"]


def test_a_function_of_that_name_in_another_file() -> None:
    assert marks([STATIC], at(RUN, 12, path="other.py")) == ["", "only"]


def test_seen_on_the_way_that_the_code_shows() -> None:
    assert marks([at(STATIC, 10, 30)], at(RUN, 30, function="helper")) == ["confirmed"]


def test_reported_on_the_way_that_the_run_shows() -> None:
    assert marks([STATIC], at(RUN, 30, 10, function="helper")) == ["confirmed"]


def test_a_common_place_that_neither_is_reported_at() -> None:
    assert marks([at(STATIC, 10, 5, function="one")], at(RUN, 30, 5, function="two")) == ["", "only"]


def test_the_nearest_one_is_meant() -> None:
    assert marks([at(STATIC, 12), STATIC], RUN) == ["", "confirmed"]


@pytest.mark.parametrize(("least", "expected"), [(Severity.WARNING, ["", "only"]), (Severity.HINT, ["confirmed"])])
def test_a_hint_confirms_nothing_where_it_is_not_shown(least: Severity, expected: list[str]) -> None:
    assert marks([replace(STATIC, severity=Severity.HINT)], RUN, least=least) == expected


def test_by_several_tests() -> None:
    seen = [Seen(RUN, ("one", "two")), Seen(at(RUN, 11), ("two", "three"))]
    (finding,) = confirm([STATIC], seen, Severity.WARNING)

    assert finding.sighting == Sighting(False, RUN.at, ("one", "two", "three"))


def test_seen_several_times_and_nowhere_else() -> None:
    seen = [Seen(RUN, ("one",)), Seen(replace(RUN, message="again"), ("two",))]
    (finding,) = confirm([], seen, Severity.WARNING)

    assert (finding.message, finding.sighting) == ("run", Sighting(True, RUN.at, ("one", "two")))

"""The format for people: what it looks like, and that no source code can spoil it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from hermetic.finding import Finding, Fix, Position, Severity, Step
from hermetic.report import text
from hermetic.report.excerpt import cells, lines_of
from hermetic.report.results import NotAnalysed, Results, Summary
from hermetic.report.style import COLOUR, PLAIN

NOTHING = Summary(files=1, functions=1, sessions=1, unresolved=0, errors=0, warnings=0, seconds=0.25)

SERVICE = """\
from db import Session


def load(number):
    session = Session()
    invoice = find(session, number)
    if invoice is None:
        return None
    session.close()
    return invoice
"""
STORE = "def find(session, number):\n    return session.get(Invoice, number)\n"


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def position(path: str, source: str, part: str, occurrence: int = 0) -> Position:
    """Where a part of a source text is."""
    start = -1
    for _ in range(occurrence + 1):
        start = source.index(part, start + 1)
    line, column = source.count("\n", 0, start) + 1, start - source.rfind("\n", 0, start)
    return Position(path, line, column, line, column + len(part))


def render(sources: Mapping[str, str], *findings: Finding, width: int = 80, summary: Summary = NOTHING) -> str:
    lines_of.cache_clear()
    for path, source in sources.items():
        Path(path).write_bytes(source.encode())
    return text.render(Results(findings, (), summary), PLAIN, width)


def excerpt(source: str, *steps: Step, width: int = 80, at: Position | None = None) -> str:
    """Only the drawn lines of a finding in one file, `a.py`."""
    finding = Finding(at or steps[0].at, Severity.ERROR, "message", tuple(steps), None, "f", "X001", "name")
    drawn = render({"a.py": source}, finding, width=width)
    lines = drawn.splitlines()
    return "\n".join(lines[2 : lines.index("")]) + "\n"


def leak() -> Finding:
    opened = position("service.py", SERVICE, "Session()")
    return Finding(
        opened,
        Severity.ERROR,
        "the session opened here is still open when `load` returns",
        (
            Step(opened, "opened here"),
            Step(position("service.py", SERVICE, "find(session, number)"), "calls `find`"),
            Step(position("store.py", STORE, "session.get(Invoice, number)"), "used here"),
            Step(position("service.py", SERVICE, "return None"), "returns with the session open"),
        ),
        Fix("unsafe", "open it in a `with` block, or close it in `finally`"),
        "load",
        "SES001",
        "session-not-closed",
    )


GOLDEN = """\
error[SES001] session-not-closed: the session opened here is still open when
              `load` returns
 --> service.py:5:15
4 │ def load(number):
5 │     session = Session()
  │               ^^^^^^^^^ 1. opened here
6 │     invoice = find(session, number)
  │               --------------------- 2. calls `find`
7 │     if invoice is None:
8 │         return None
  │         ----------- 4. returns with the session open
 ::: store.py:2
1 │ def find(session, number):
2 │     return session.get(Invoice, number)
  │            ---------------------------- 3. used here
  = why: An open session keeps a connection checked out of the pool. It returns
         when the garbage collector finds the session, which may be late or
         never; under load the pool runs dry and every request waits for
         `pool_timeout`.
  = help: open it in a `with` block, or close it in `finally`

1 error: 61 sessions in 1,210 files; 3 calls on sessions could not be resolved (0.41 s)
More about a rule: hermetic explain SES001"""


def test_a_finding_across_files() -> None:
    summary = Summary(1210, 9000, 61, 3, 1, 0, 0.41)

    assert render({"service.py": SERVICE, "store.py": STORE}, leak(), summary=summary) == GOLDEN


def test_colour_adds_nothing_but_colour() -> None:
    render({"service.py": SERVICE, "store.py": STORE})
    results = Results((leak(), replace(leak(), severity=Severity.WARNING)), (NotAnalysed("b.py", "why"),), NOTHING)

    coloured = text.render(results, COLOUR, 80)

    assert "\033[" in coloured
    assert re.sub(r"\033\[[\d;]*m", "", coloured) == text.render(results, PLAIN, 80)


def test_what_a_rule_is_about_is_told_once() -> None:
    drawn = render({"service.py": SERVICE, "store.py": STORE}, leak(), leak())

    assert drawn.count("= why:") == 1
    assert drawn.count("= help:") == 2


def test_steps_on_one_line() -> None:
    source = "return label(product.sku, product.name, product.stock)\n"
    first = position("a.py", source, "product.sku")

    drawn = excerpt(
        source,
        Step(position("a.py", source, source.strip()), "all of it"),
        Step(first, "read here"),
        Step(position("a.py", source, "product.name"), "and `name` here"),
        Step(position("a.py", source, "product.stock"), "and `stock` here"),
        Step(first, "and again"),
        at=first,
        width=60,
    )

    assert drawn == dedent("""\
        1 │ return label(product.sku, product.name, product.stock)
          │ ------------------------------------------------------
          │ 1. all of it
          │              ^^^^^^^^^^^  ------------  -------------
          │              │            │          4. and `stock` here
          │              │            3. and `name` here
          │              2. read here
          │              5. and again
        """)


def test_the_same_step_twice_has_one_label() -> None:
    source = "save(one)\nsave(two)\ncommit()\n"
    commit = Step(position("a.py", source, "commit()"), "commits")

    drawn = excerpt(source, Step(position("a.py", source, "save(one)"), "x"), commit, commit, at=commit.at)
    assert "2. commits" in drawn

    between = Step(position("a.py", source, "save(two)"), "y")
    drawn = excerpt(source, commit, between, commit)
    assert "1, 3. commits" in drawn


def test_tabs_and_wide_signs() -> None:
    source = 'def 保存():\n\t名前 = "東京"; session = Session()\t# ﬁn\n'

    drawn = excerpt(source, Step(position("a.py", source, "Session()"), "opened here"))

    assert drawn == (
        "1 │ def 保存():\n"
        '2 │     名前 = "東京"; session = Session()  # ﬁn\n'
        "  │                              ^^^^^^^^^ opened here\n"
    )


def test_a_long_line_is_cut_around_the_place() -> None:
    source = f"values = [{', '.join(map(str, range(40)))}, Session(), {', '.join(map(str, range(40)))}]\n"

    drawn = excerpt(source, Step(position("a.py", source, "Session()"), "opened here"), width=60)

    assert drawn == dedent("""\
        1 │ … 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, Session()…
          │                                               ^^^^^^^^^
          │                                              opened here
        """)


def test_what_cannot_be_shown() -> None:
    """The file is gone or has become shorter, or a place has no end."""
    gone = Finding(Position("gone.py", 7, 3), Severity.HINT, "message", (), None, "f", "X001", "name")
    assert " --> gone.py:7:3\n7 │\n  │ ^ here\n" in render({}, gone)

    assert excerpt("x = 1\n", Step(Position("a.py", 9, 5, 9, 9), "text")) == "9 │\n  │ ^ text\n"
    assert excerpt("x = 1\n", Step(Position("a.py", 1, 5), "text")) == "1 │ x = 1\n  │     ^ text\n"
    assert excerpt("x = (\n1)\n", Step(Position("a.py", 1, 5, 2, 3), "text")) == "1 │ x = (\n  │     ^ text\n"


def test_lines_are_counted_as_python_counts_them() -> None:
    source = "x = '\u2028\x0c'\r\n# coding: nonsense\rleak()\n"

    assert excerpt(source, Step(Position("a.py", 3, 1, 3, 7), "here")).startswith("3 │ leak()\n")


def test_nothing_found() -> None:
    assert render({}) == "nothing to report: 1 session in 1 file (0.25 s)"


def test_what_was_not_analysed() -> None:
    results = Results((), (NotAnalysed("old.py", "line 3: invalid syntax"),), NOTHING)

    assert text.render(results, PLAIN).splitlines()[:2] == ["Not analysed", "  old.py: line 3: invalid syntax"]


SIGNS = st.text(
    st.sampled_from("ab =(é\t \u0301名\U0001f600\033\u202e") | st.characters(codec="utf-8", exclude_characters="\r\n"),
    max_size=150,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(
    line=SIGNS,
    spans=st.lists(st.tuples(st.integers(1, 160), st.integers(0, 80)), min_size=1, max_size=4),
    data=st.data(),
)
def test_no_line_spoils_the_frame(line: str, spans: list[tuple[int, int]], data: st.DataObject) -> None:
    width = data.draw(st.integers(50, 120))
    steps = [Step(Position("a.py", 2, start, 2, start + size), "some words") for start, size in spans]

    drawn = excerpt(f"def f():\n{line}\n", *steps, width=width)

    for row in drawn.splitlines():
        assert cells(row) <= width
        assert row == row.rstrip()
        assert all(sign.isprintable() for sign in row)
        assert re.match(r"[ \d] [│┆]", row)
    assert drawn.count("words") == len({step.at for step in steps})
    assert "^" in drawn


def test_one_finding_with_notes_and_a_root_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines_of.cache_clear()
    (tmp_path / "a.py").write_text("session = Session()\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    at = Position("a.py", 1, 11, 1, 20)
    finding = Finding(at, Severity.ERROR, "message", (), Fix("manual", "close it"), "f", "SES001", "name")

    shown = text.render_finding(finding, [("silence", "with a comment")], PLAIN, str(tmp_path))

    assert "1 │ session = Session()\n  │           ^^^^^^^^^ here" in shown
    assert re.findall(r"= (\w+):", shown) == ["why", "help", "silence"]

"""Whatever bytes a tree holds, hermetic has an answer: facts or a reason, findings or none, and never a traceback."""

from __future__ import annotations

import random
import sysconfig
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from situations import FIXTURES

from hermetic import driver
from hermetic.engine.source import NotAnalysed, facts_of

STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))
SOURCES = [
    *(path.read_bytes() for path in sorted(FIXTURES.rglob("*.py"))),
    *(path.read_bytes() for path in sorted(STANDARD_LIBRARY.glob("*.py")) if path.stat().st_size < 40_000),
]
# Pieces that begin, end or nest something, or that other versions of Python read differently.
PIECES = (
    *(bytes((sign,)) for sign in b"()[]{}:,=@*\\\n\r\t\"'\0\xff"),
    *(b"    ", b":=", b"**", b'"""', b"f'", b't"', b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"1_000", b"0o"),
    *(b"# -*- coding: latin-1 -*-\n", b"async ", b"await ", b"yield ", b"lambda: ", b"with ", b"del ", b"global x\n"),
    *(b"match x:\n", b"case _:\n", b"type X = int\n", b"def f[T]():\n", b"except A, B:\n", b"finally:\n"),
    *(b"return\n", b"import a.b as c\n", b"from . import *\n"),
)


def mutated(seed: int) -> bytes:
    """A real file with pieces cut out, doubled, moved and put in."""
    chance = random.Random(seed)
    data = bytearray(chance.choice(SOURCES))
    for _ in range(chance.randint(1, 6)):
        start = chance.randrange(len(data) + 1)
        end = min(len(data), start + chance.randint(0, 40))
        match chance.randrange(4):
            case 0:
                del data[start:end]
            case 1:
                data[start:start] = data[start:end] * chance.randint(1, 3)
            case 2:
                data[start:start] = chance.choice(PIECES)
            case _:
                data[start:end] = chance.choice(SOURCES)[start:end]
    return bytes(data)


def outcome(data: bytes) -> object:
    """The facts of a file, or the reason why there are none."""
    try:
        return facts_of(data)
    except NotAnalysed as reason:
        return str(reason)


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1 << 40))
def test_facts_or_a_reason(seed: int) -> None:
    assert outcome(mutated(seed))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=300))
def test_bytes_of_any_kind(data: bytes) -> None:
    assert outcome(data)


@pytest.mark.parametrize("round_", range(30))
def test_mutated_projects_are_checked(round_: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    for number in range(8):
        (tmp_path / f"module{number}.py").write_bytes(mutated(round_ * 8 + number))
    results = driver.check(driver.Request((".",), isolated=True, hints=True))

    assert results.summary.files == 8
    assert all(entry.reason for entry in results.not_analysed)


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "(" * 3_000 + ")" * 3_000,
        "x = " + "[" * 150 + "]" * 150,
        "x = " + "+".join(["a"] * 20_000),
        "x = a" + ".b" * 20_000,
        "x = " + "not " * 5_000 + "a",
        "x = f" + "(a)" * 5_000,
        "def f(a):\n" + "".join(f"    {'el' if n else ''}if a == {n}:\n        x = {n}\n" for n in range(3_000)),
        "".join(f"{' ' * n}if a:\n" for n in range(95)) + " " * 95 + "x = 1\n",
    ],
    ids=["parentheses", "lists", "sum", "attributes", "not", "calls", "elif", "blocks"],
)
def test_deep_nesting_loses_nothing_else(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep.py").write_text(source)
    (tmp_path / "leak.py").write_text(
        "from sqlalchemy.orm import Session\n\n\ndef load(engine):\n    s = Session(engine)\n    s.commit()\n"
    )
    results = driver.check(driver.Request((".",), isolated=True))

    assert "SES001" in {finding.rule for finding in results.findings}
    assert {entry.path for entry in results.not_analysed} <= {"deep.py"}


def test_a_large_generated_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    row = "    {'id': 12345, 'name': 'a name of some length', 'tags': ['one', 'two', 'three']},\n"
    (tmp_path / "data.py").write_text("ROWS = [\n" + row * (5_000_000 // len(row)) + "]\n")
    results = driver.check(driver.Request((".",), isolated=True))

    assert (results.findings, results.not_analysed) == ((), ())

"""Baselines: what is known stays known, and what is no baseline is said to be none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hermetic.finding import Finding, Position, Severity
from hermetic.report import baseline
from hermetic.report.baseline import BaselineError

LEAK = Finding(Position("b.py", 3), Severity.ERROR, "open", function="load", rule="SES001", fingerprint="0f")
SHARED = replace(LEAK, at=Position("a.py", 9), rule="SES002", fingerprint="a1")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    count = baseline.write(tmp_path / "known.json", [LEAK, SHARED, LEAK])

    assert count == 2
    assert baseline.read(tmp_path / "known.json") == {"0f", "a1"}


def test_it_is_ordered_and_names_what_people_look_for(tmp_path: Path) -> None:
    baseline.write(tmp_path / "known.json", [LEAK, SHARED])

    assert json.loads((tmp_path / "known.json").read_text()) == {
        "version": 1,
        "findings": [
            {"fingerprint": "a1", "rule": "SES002", "path": "a.py", "function": "load"},
            {"fingerprint": "0f", "rule": "SES001", "path": "b.py", "function": "load"},
        ],
    }


def test_a_missing_one(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match=r"known\.json: No such file or directory"):
        baseline.read(tmp_path / "known.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": 1, "findings": [1]}', "[" * 100_000])
def test_another_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "known.json").write_text(text)

    with pytest.raises(BaselineError, match=r"known\.json is no baseline of hermetic"):
        baseline.read(tmp_path / "known.json")


def test_one_of_another_version(tmp_path: Path) -> None:
    (tmp_path / "known.json").write_text('{"version": 2, "findings": []}')

    with pytest.raises(BaselineError, match="is a baseline of version 2; this hermetic knows 1"):
        baseline.read(tmp_path / "known.json")

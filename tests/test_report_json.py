"""`--output-format json`: the contract that programs rely on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shell import CLEAN, LEAK, LEAK_LINE, check_json, hermetic, places, write

from hermetic.finding import Finding, Fix, Position, Severity, Step
from hermetic.report import json as json_report

FINDING: dict[str, type] = {
    "rule": str,
    "name": str,
    "severity": str,
    "path": str,
    "line": int,
    "column": int,
    "end_line": int,
    "end_column": int,
    "function": str,
    "message": str,
    "trace": list,
    "fix": dict,
    "fingerprint": str,
}
STEP: dict[str, type] = {"path": str, "line": int, "text": str}
FIX: dict[str, type] = {"safety": str, "message": str}
SUMMARY: dict[str, type] = {
    "files": int,
    "functions": int,
    "sessions": int,
    "unresolved": int,
    "errors": int,
    "warnings": int,
    "seconds": float,
}


def shape(value: dict[str, Any]) -> dict[str, type]:
    return {key: type(item) for key, item in value.items()}


def test_keys_and_types_in_order(tmp_path: Path) -> None:
    document = check_json(write(tmp_path, {"app.py": LEAK, "old.py": "print 'x'\n"}))
    (finding,) = document["findings"]

    assert shape(document) == {"version": int, "findings": list, "not_analysed": list, "summary": dict}
    assert list(document) == ["version", "findings", "not_analysed", "summary"]
    assert document["version"] == 1
    assert shape(finding) == FINDING
    assert list(finding) == list(FINDING)
    assert [shape(step) for step in finding["trace"]] == [STEP] * len(finding["trace"])
    assert shape(finding["fix"]) == FIX
    assert [shape(entry) for entry in document["not_analysed"]] == [{"path": str, "reason": str}]
    assert shape(document["summary"]) == SUMMARY
    assert list(document["summary"]) == list(SUMMARY)


def test_values_of_a_finding(tmp_path: Path) -> None:
    (finding,) = check_json(write(tmp_path, {"app.py": LEAK}))["findings"]
    del finding["fingerprint"], finding["message"], finding["trace"], finding["fix"]

    assert finding == {
        "rule": "SES001",
        "name": "session-not-closed",
        "severity": "error",
        "path": "app.py",
        "line": LEAK_LINE,
        "column": 15,
        "end_line": LEAK_LINE,
        "end_column": 15 + len("Session(engine)"),
        "function": "load",
    }


def test_a_finding_without_fix_and_end() -> None:
    finding = Finding(Position("a.py", 3, 5), Severity.HINT, "m", (Step(Position("b.py", 1), "t"),), rule="SES009")

    shown = json_report.as_dict(finding)

    assert shown["fix"] is None
    assert (shown["end_line"], shown["end_column"], shown["severity"]) == (3, 5, "hint")
    assert shown["trace"] == [{"path": "b.py", "line": 1, "text": "t"}]
    assert json_report.as_dict(Finding(Position("a.py", 1), Severity.ERROR, "m", fix=Fix("safe", "f")))["fix"] == {
        "safety": "safe",
        "message": "f",
    }


def test_summary_counts_what_was_seen(tmp_path: Path) -> None:
    document = check_json(write(tmp_path, {"a.py": LEAK, "b.py": CLEAN, "c.py": "x = 1\n"}))
    seconds = document["summary"].pop("seconds")

    assert 0 <= seconds < 60
    assert document["summary"] == {
        "files": 3,
        "functions": 5,  # module bodies count
        "sessions": 2,
        "unresolved": 0,
        "errors": 1,
        "warnings": 0,
    }


@pytest.mark.parametrize("before", ["größe = '日本'; ", "é = '👩‍👩‍👧'; ", "a = 'e\u0301';\t"])
def test_columns_count_characters(before: str, tmp_path: Path) -> None:
    source = LEAK.replace("    session = Session(engine)", f"    {before}session = Session(engine)")
    (finding,) = check_json(write(tmp_path, {"app.py": source}))["findings"]

    text = source.splitlines()[finding["line"] - 1]
    assert text[finding["column"] - 1 : finding["end_column"] - 1] == "Session(engine)"


def test_columns_in_another_encoding(tmp_path: Path) -> None:
    line = "    größe = 'äöü'; session = Session(engine)"
    source = "# -*- coding: latin-1 -*-\n" + LEAK.replace("    session = Session(engine)", line)
    (finding,) = check_json(write(tmp_path, {"app.py": source.encode("latin-1")}))["findings"]

    assert (finding["line"], finding["column"]) == (LEAK_LINE + 1, line.index("Session") + 1)
    assert finding["end_column"] - finding["column"] == len("Session(engine)")


@pytest.mark.parametrize("sign", ["\f", "\v", "\x1c", "\x85", "\u2028"])
def test_lines_end_where_python_says_so(sign: str, tmp_path: Path) -> None:
    """`str.splitlines` knows more line ends than Python's own parser."""
    source = LEAK.replace("\n\n\ndef", f"\n# {sign}{sign} é\n\ndef").replace(" session = ", " é = ''; session = ")
    (finding,) = check_json(write(tmp_path, {"app.py": source}))["findings"]

    text = source.split("\n")[finding["line"] - 1]
    assert text[finding["column"] - 1 : finding["end_column"] - 1] == "Session(engine)"


def test_a_range_over_several_lines_ends_behind_its_last_character(tmp_path: Path) -> None:
    source = LEAK.replace("Session(engine)", "Session(\n        engine,\n    )")
    (finding,) = check_json(write(tmp_path, {"app.py": source}))["findings"]

    assert [finding[key] for key in ("line", "column", "end_line", "end_column")] == [8, 15, 10, 6]


def test_functions_are_dotted_inside_their_module(tmp_path: Path) -> None:
    nested = "class Store:\n    def load(self, s):\n        def inner():\n            session = Session(engine)\n"
    source = LEAK.partition("\n\n\n")[0] + f"\n\n\n{nested}            session.scalar(s)\n\n        inner()\n"
    source += "\n\nsession = Session(engine)\nsession.scalar(1)\n"
    findings = check_json(write(tmp_path, {"pkg/app.py": source}), "--select", "SES001")["findings"]

    assert "Store.load.inner" in {found["function"] for found in findings}
    assert {found["function"] for found in findings} <= {"Store.load.inner", "<module>"}


def fingerprints(root: Path) -> list[str]:
    return [found["fingerprint"] for found in check_json(root)["findings"]]


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: "import os\n\n# a remark\n" + text,
        lambda text: text.replace("\n\n\ndef", "\n\n\ndef other():\n    return 1\n\n\ndef"),
        lambda text: text.replace("    session = ", "    statement = statement + 1\n    session = "),
        lambda text: text + "\n\ndef later():\n    return Session(engine)\n",
        lambda text: text.replace("def load(statement)", "def load(statement, *, limit=None)"),
        lambda text: text.replace("\n", "\r\n"),
    ],
    ids=["lines above", "a function above", "a line inside", "a function below", "the signature", "line ends"],
)
def test_fingerprints_survive_unrelated_edits(edit: Callable[[str], str], tmp_path: Path) -> None:
    before = fingerprints(write(tmp_path / "before", {"app.py": LEAK}))
    after = fingerprints(write(tmp_path / "after", {"app.py": edit(LEAK)}))

    assert len(before) == 1
    assert before == after


def test_fingerprints_tell_places_apart(tmp_path: Path) -> None:
    other = LEAK.replace("def load", "def fetch")
    prints = fingerprints(write(tmp_path, {"a.py": LEAK, "b.py": LEAK, "c.py": other}))

    assert len(set(prints)) == 3


def test_equal_places_are_told_apart_by_their_order(tmp_path: Path) -> None:
    body = "    session = Session(engine)\n    session.scalar(statement)\n"
    twice = LEAK.partition("    session")[0] + body + body
    prints = fingerprints(write(tmp_path / "twice", {"app.py": twice}))
    first = fingerprints(write(tmp_path / "once", {"app.py": LEAK.partition("    session")[0] + body}))

    assert len(prints) == len(set(prints)) == 2
    assert prints[0] == first[0]


def test_findings_are_in_the_order_of_paths_and_lines(tmp_path: Path) -> None:
    twice = LEAK + LEAK.partition("\n\n\n")[2].join(("\n\n", "")).replace("load", "again")
    found = places(check_json(write(tmp_path, {"b.py": twice, "a/z.py": LEAK, "c.py": LEAK, "B.py": LEAK})))

    assert found == sorted(found)
    assert len(found) == 5


def test_paths_are_relative_to_the_working_directory(tmp_path: Path) -> None:
    root = write(tmp_path / "project", {"src/shop/orders.py": LEAK, "src/shop/old.py": "print 'x'\n"})

    for cwd, argument, beginning in [
        (root, ".", "src/shop/"),
        (root, str(root / "src"), "src/shop/"),
        (root / "src" / "shop", ".", ""),
        (root / "src" / "shop", "../../src", ""),
        (tmp_path, "project", "project/src/shop/"),
        (root / "src", "shop/../shop", "shop/"),
    ]:
        document = check_json(cwd, argument)
        assert places(document) == [(f"{beginning}orders.py", LEAK_LINE, "SES001")], cwd
        assert {step["path"] for found in document["findings"] for step in found["trace"]} == {f"{beginning}orders.py"}
        assert [entry["path"] for entry in document["not_analysed"]] == [f"{beginning}old.py"]

    other = tmp_path / "elsewhere"
    other.mkdir()
    assert places(check_json(other, str(root))) == [("../project/src/shop/orders.py", LEAK_LINE, "SES001")]


def test_the_output_is_one_document_and_nothing_else(tmp_path: Path) -> None:
    run = hermetic("check", "--output-format", "json", cwd=write(tmp_path, {"größe.py": LEAK}))

    assert run.stdout.startswith("{\n")
    assert run.stdout.endswith("\n}\n")
    assert run.stdout.isascii()

"""A program is run, then checked with `--runtime`: what the run confirms, and what only it shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from shell import check_json, hermetic

from runtime.programs import PYTEST, run

APP = """\
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

engine = create_engine("sqlite:///app.db")


def load():
    session = Session(engine)
    return session.scalar(text("SELECT 1"))


def dynamic(maker):
    session = maker(engine)
    return session.scalar(text("SELECT 2"))


def unused():
    session = Session(engine)
    return session.scalar(text("SELECT 3"))


def main():
    load()
    dynamic(getattr(sys.modules["sqlalchemy.orm"], "Sess" + "ion"))
"""
PROGRAM = APP.replace("from sql", "import sys\n\nfrom sql", 1) + '\n\nif __name__ == "__main__":\n    main()\n'
CONFIRMED, ONLY, STATIC = 10, 15, 20  # lines of the sessions


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A program that was run, with `report.json`."""
    run(tmp_path, {"app.py": PROGRAM}, "--report", "report.json", "app.py")
    return tmp_path


def seen(document: dict[str, Any]) -> list[tuple[int, str]]:
    """Line of each finding, and what the run says of it."""
    return [(each["line"], each.get("runtime", "")) for each in document["findings"]]


def test_confirmed_only_there_and_not_seen(project: Path) -> None:
    document = check_json(project, "--runtime", "report.json")

    assert seen(document) == [(CONFIRMED, "confirmed"), (ONLY, "only"), (STATIC, "")]
    assert document["findings"][0]["message"] != document["findings"][1]["message"]


def test_without_a_report_nothing_is_said(project: Path) -> None:
    document = check_json(project)

    assert seen(document) == [(CONFIRMED, ""), (STATIC, "")]


def test_for_people(project: Path) -> None:
    shown = hermetic("check", "--runtime", "report.json", cwd=project)

    assert shown.returncode == 1
    assert shown.stdout.count("= run time: confirmed\n") == 1
    assert shown.stdout.count("= run time: seen there only\n") == 1


def test_one_line_a_finding(project: Path) -> None:
    lines = hermetic("check", "--runtime", "report.json", "--output-format", "concise", cwd=project).stdout.splitlines()

    assert [line.endswith(" (confirmed at run time)") for line in lines] == [True, False, False]
    assert [line.endswith(" (seen at run time only)") for line in lines] == [False, True, False]


def test_from_another_directory_of_the_project(project: Path) -> None:
    (project / "deep").mkdir()
    document = json.loads((project / "report.json").read_text())
    for finding in document["findings"]:
        finding["path"] = f"../{finding['path']}"
    (project / "deep" / "report.json").write_text(json.dumps(document))

    assert seen(check_json(project / "deep", "--runtime", "report.json", "..")) == [
        (CONFIRMED, "confirmed"),
        (ONLY, "only"),
        (STATIC, ""),
    ]


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["--ignore", "SES001"], []),
        (["--select", "SES002"], []),
        (["deep"], []),
        (["--exclude", "app.py"], []),
        (["app.py"], [(CONFIRMED, "confirmed"), (ONLY, "only"), (STATIC, "")]),
    ],
    ids=["ignored", "others", "elsewhere", "excluded", "named"],
)
def test_what_is_selected(project: Path, arguments: list[str], left: list[tuple[int, str]]) -> None:
    (project / "deep").mkdir()
    (project / "deep" / "empty.py").touch()

    assert seen(check_json(project, "--runtime", "report.json", *arguments)) == left


def test_suppressions(project: Path) -> None:
    lines = PROGRAM.splitlines()
    for line in (CONFIRMED, ONLY):
        lines[line - 1] += "  # hermetic: ignore[SES001] the process ends right after"
    (project / "app.py").write_text("\n".join(lines))

    assert seen(check_json(project, "--runtime", "report.json")) == [(STATIC, "")]


def test_files_that_settings_leave_out(project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.hermetic.per-file-ignores]\n"app.py" = ["SES001"]\n')

    assert seen(check_json(project, "--runtime", "report.json")) == []


def test_tests_are_named(tmp_path: Path) -> None:
    files = {"app.py": PROGRAM, "test_app.py": "import app\n\n\ndef test_main():\n    app.main()\n"}
    run(tmp_path, files, *PYTEST, "--hermetic-report", "report.json")
    shown = hermetic("check", "--runtime", "report.json", cwd=tmp_path)

    assert "= run time: confirmed, by test_app.py::test_main\n" in shown.stdout
    assert "= run time: seen there only, by test_app.py::test_main\n" in shown.stdout


def test_a_review(project: Path) -> None:
    shown = hermetic("review", "--runtime", "report.json", cwd=project)
    document = json.loads(hermetic("review", "--runtime", "report.json", "--output-format", "json", cwd=project).stdout)
    evidence = document["questions"][0]["evidence"]

    assert "load: SES001 session-not-closed, confirmed at run time\n" in shown.stdout
    assert "dynamic: SES001 session-not-closed, seen at run time only\n" in shown.stdout
    assert [(each["line"], each.get("runtime", "")) for each in evidence] == seen(
        check_json(project, "--runtime", "report.json")
    )


@pytest.mark.parametrize("command", ["check", "review"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot read report.json: No such file or directory"),
        ("{", "report.json is no report of a run: it is no JSON"),
        ("[" * 100_000, "report.json is no report of a run: it is no JSON"),
        ("\xff", "report.json is no report of a run: it is no JSON"),
        ("[]", "report.json is no report of a run: it has no `findings` of version 1"),
        ('{"traceEvents": []}', "report.json is no report of a run: it has no `findings` of version 1"),
        ('{"version": 1, "findings": [{}]}', "report.json is no report of a run: a finding in it cannot be read"),
        ('{"version": 1, "findings": 3}', "report.json is no report of a run: a finding in it cannot be read"),
    ],
)
def test_a_file_that_is_no_report(tmp_path: Path, command: str, content: str | None, says: str) -> None:
    (tmp_path / "pyproject.toml").touch()
    if content is not None:
        (tmp_path / "report.json").write_bytes(content.encode("latin-1"))
    ended = hermetic(command, "--runtime", "report.json", cwd=tmp_path)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"hermetic: {says}")


@pytest.mark.parametrize("arguments", [[], ["--runtime", "report.json"]])
def test_a_report_of_check_itself(project: Path, arguments: list[str]) -> None:
    own = hermetic("check", "--output-format", "json", *arguments, cwd=project).stdout
    (project / "own.json").write_text(own)
    ended = hermetic("check", "--runtime", "own.json", cwd=project)

    assert ended.returncode == 2
    assert ended.stderr == "hermetic: own.json is a report of `hermetic check`, and none of a run\n"


def test_no_report_of_an_earlier_check_is_printed_again(project: Path) -> None:
    cache = str(project / "cache")
    arguments = ("check", "--runtime", "report.json", "--output-format", "concise")
    first = hermetic(*arguments, cwd=project, XDG_CACHE_HOME=cache).stdout
    (project / "report.json").write_text('{"version": 1, "findings": []}')
    second = hermetic(*arguments, cwd=project, XDG_CACHE_HOME=cache).stdout

    assert "confirmed" in first
    assert second.splitlines() == [line for line in second.splitlines() if "run time" not in line]

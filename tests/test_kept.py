"""Results of an earlier run after an edit: kept where it cannot change more than lines, made anew otherwise."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from shell import write

from hermetic import driver
from hermetic.cache import inputs
from hermetic.cli import instant, main as cli
from hermetic.engine.neutral import moved_lines
from hermetic.engine.source import facts_of

MODULE = """
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

engine = create_engine("postgresql:///shop")


def count(names):
    return len(names)


def load(key):
    session = Session(engine)
    return session.get(dict, key)
"""
OTHER = """
from app import load

def name(key):
    return load(key).name
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = write(tmp_path / "project", {"app.py": MODULE, "other.py": OTHER})
    monkeypatch.chdir(root)
    return root


Check = Callable[..., dict[str, object]]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    def run(*arguments: str) -> dict[str, object]:
        capsys.readouterr()
        cli.main(["check", "--output-format", "json", *arguments])
        document: dict[str, object] = json.loads(capsys.readouterr().out)
        assert document.pop("summary")
        return document

    return run


@pytest.fixture
def analysed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One entry for each analysis that was made with a cache."""
    found: list[object] = []
    analyse = driver.check

    def count(request: driver.Request, progress: object, caches: object, measures: object) -> object:
        if caches is not None:
            found.append(request)
        return analyse(request, caches=caches)  # type: ignore[arg-type]

    monkeypatch.setattr(driver, "check", count)
    return found


NEUTRAL = {
    "a comment at the end": lambda text: text + "# the end\n",
    "a comment in a line": lambda text: text.replace("return len(names)", "return len(names)  # how many"),
    "lines at the top": lambda text: "# one\n\n# two\n" + text,
    "fewer lines between": lambda text: text.replace("\n\n\n", "\n"),
    "a docstring": lambda text: text.replace("(key):\n", '(key):\n    """By its key."""\n'),
    "lines inside of a function": lambda text: text.replace("    return", "\n    # so\n    return"),
    "other line ends": lambda text: text.replace("\n", "\r\n"),
    "only touched": lambda text: text,
}


@pytest.mark.parametrize("is_settled", [False, True], ids=["by content", "by times"])
@pytest.mark.parametrize("edit", NEUTRAL.values(), ids=NEUTRAL.keys())
def test_nothing_is_analysed_after(
    edit: Callable[[str], str],
    is_settled: bool,
    project: Path,
    check: Check,
    analysed: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inputs, "COARSEST_NS", -1 if is_settled else 2_000_000_000)
    check()
    for name in ("app.py", "other.py"):
        (project / name).write_bytes(edit((project / name).read_text()).encode())
        report = check()

        assert report == check("--no-cache")
        assert report["findings"]
        assert instant.answer(["check", "--output-format", "json"]) == 1
    assert len(analysed) == 1


@pytest.mark.parametrize("output_format", ["text", "concise", "json"])
@pytest.mark.parametrize("edit", NEUTRAL.values(), ids=NEUTRAL.keys())
def test_every_format_shows_the_file_as_it_is(
    edit: Callable[[str], str], output_format: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(*arguments: str) -> str:
        cli.main(["check", "--output-format", output_format, *arguments])
        return re.sub(r'\([0-9.]+ s\)|"seconds": [0-9.]+', "", capsys.readouterr().out)

    printed()
    for name in ("app.py", "other.py"):
        (project / name).write_bytes(edit((project / name).read_text()).encode())
        assert printed() == printed("--no-cache")
        assert printed() == printed("--no-cache")


def test_a_check_after_an_edit_leaves_what_is_known_of_a_text(
    project: Path, check: Check, check_text: Check, analysed: list[object]
) -> None:
    check()
    found = check_text(MODULE)
    (project / "app.py").write_text(MODULE + "# the end\n")

    assert check() == found
    assert check_text(MODULE) == found
    assert len(analysed) == 2


MATTERS = {
    "another call": lambda text: text.replace("len(names)", "sum(names)"),
    "a constant": lambda text: text.replace("postgresql:///shop", "sqlite://"),
    "a name": lambda text: text.replace("key", "number"),
    "the column of a finding": lambda text: text.replace("session = Session", "session  =  Session"),
    "the end of its line": lambda text: text.replace("Session(engine)", "Session(engine)  # opened"),
    "a suppression": lambda text: text.replace("    session =", "    # hermetic: ignore[SES001] so\n    session ="),
    "two lines on one": lambda text: text.replace("\n    return session", "; return session"),
    "no Python": lambda text: text + "def\n",
    "a line more": lambda text: text + "print(engine)\n",
}


@pytest.mark.parametrize("edit", MATTERS.values(), ids=MATTERS.keys())
def test_all_is_analysed_after(edit: Callable[[str], str], project: Path, check: Check, analysed: list[object]) -> None:
    check()
    (project / "app.py").write_text(edit(MODULE))

    assert check() == check("--no-cache")
    assert len(analysed) == 2


def test_a_suppression_that_goes_is_noticed(project: Path, check: Check, analysed: list[object]) -> None:
    (project / "app.py").write_text(MODULE.replace("Session(engine)", "Session(engine)  # hermetic: ignore[SES001] so"))
    assert not check()["findings"]
    (project / "app.py").write_text(MODULE)

    assert check()["findings"]
    assert len(analysed) == 2


@pytest.mark.parametrize("name", [".gitignore", "new.py"])
def test_a_new_file_is_noticed(name: str, project: Path, check: Check, analysed: list[object]) -> None:
    check()
    (project / "app.py").write_text(MODULE + "# the end\n")
    (project / name).touch()
    check()

    assert len(analysed) == 2


def test_settings_that_change_are_noticed(project: Path, check: Check, analysed: list[object]) -> None:
    (project / "pyproject.toml").write_text("[tool.hermetic]\n")
    check()
    (project / "pyproject.toml").write_text('[tool.hermetic]\nignore = ["SES001"]\n')

    assert check() == check("--no-cache")
    assert len(analysed) == 2


def test_after_many_edits_all_is_analysed(tmp_path: Path, project: Path, check: Check, analysed: list[object]) -> None:
    files = {f"part{number}.py": MODULE for number in range(20)}
    write(project, files)
    check()
    write(project, {name: "# moved\n" + text for name, text in files.items()})

    assert check() == check("--no-cache")
    assert len(analysed) == 2


# -- texts that were not saved --------------------------------------------------------------------------------------


@pytest.fixture
def check_text(check: Check, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Check a text in the place of `app.py`."""

    def run(text: str, *arguments: str) -> dict[str, object]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        return check("--stdin-filename", "app.py", *arguments, "-")

    return run


@pytest.mark.parametrize("edit", NEUTRAL.values(), ids=NEUTRAL.keys())
def test_a_text_is_not_analysed_after(
    edit: Callable[[str], str], project: Path, check_text: Check, analysed: list[object]
) -> None:
    (project / "app.py").write_text("what is on disk does not matter\n")
    check_text(MODULE)
    for _ in range(2):
        assert check_text(edit(MODULE)) == check_text(edit(MODULE), "--no-cache")
    (project / "app.py").write_text("nor does what is there later\n")
    (project / "other.py").write_text(edit(OTHER))

    assert check_text(edit(MODULE))["findings"]
    assert len(analysed) == 1


@pytest.mark.parametrize("edit", MATTERS.values(), ids=MATTERS.keys())
def test_a_text_is_analysed_after(
    edit: Callable[[str], str], project: Path, check_text: Check, analysed: list[object]
) -> None:
    check_text(MODULE)

    assert check_text(edit(MODULE)) == check_text(edit(MODULE), "--no-cache")
    assert len(analysed) == 2


def test_a_text_and_a_file_are_not_taken_for_each_other(
    project: Path, check: Check, check_text: Check, analysed: list[object]
) -> None:
    found = check("app.py")
    assert found["findings"]
    assert not check_text("")["findings"]
    assert check("app.py") == found
    assert check_text(MODULE) == found
    assert not check_text("\n# nothing\n")["findings"]
    assert len(analysed) == 4


# -- lines --------------------------------------------------------------------------------------------------------


def moved(before: str, now: str) -> dict[int, int] | None:
    return moved_lines(facts_of(before.encode()), now.encode())


def test_lines_move() -> None:
    assert moved("a()\nb()\n", "\na()\n\n\nb()\n") == {1: 2, 2: 5}
    assert moved("a()\nb()\n", "a()  # so\nb()") == {1: 1, 2: 2}


def test_lines_that_no_fact_names_may_go() -> None:
    assert moved('"""Said."""\n\na(1 + 2)\n', "a(3 + 4)\n") == {3: 1}


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("a(); b()\n", "a()\nb()\n"),
        ("a()\nb()\n", "a(); b()\n"),
        ("a(1)\n", "a(True)\n"),
        ("a(1)\n", "a(2)\n"),
        ("a()\n", "a ()\n"),
        ("a()\nb()\n", "b()\na()\n"),
        ("a()\n", "a(\n"),
        ("if a:\n    b()\n", "if a:\n     b()\n"),
    ],
)
def test_edits_that_may_matter(before: str, now: str) -> None:
    assert moved(before, now) is None

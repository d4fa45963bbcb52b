"""`hermetic check` for editors and people who wait: unsaved files, `--watch`, `--jobs`, figures about a run."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from shell import CLEAN, HERMETIC, LEAK, PATIENCE, check_json, environment, hermetic, places, write
from situations import SITUATIONS, project_at

from hermetic.engine import forked

FACTORY = """\
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

engine = create_engine("sqlite://")


def make():
    return Session(engine)
"""
USER = """\
from factory import make


def load(statement):
    session = make()
    return session.scalar(statement)
"""


def check_unsaved(root: Path, path: str, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [HERMETIC, "check", "--stdin-filename", path, *arguments]
    return subprocess.run(
        command, cwd=root, env=environment(), input=text, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


# -- unsaved files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dash", [(), ("-",)], ids=["no path", "dash"])
def test_the_unsaved_text_is_checked_in_the_place_of_the_file(dash: tuple[str, ...], tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": CLEAN, "other.py": LEAK})
    run = check_unsaved(root, "app.py", LEAK, "--output-format", "json", *dash)

    assert places(json.loads(run.stdout)) == [("app.py", 8, "SES001")]
    assert run.returncode == 1
    assert (root / "app.py").read_text() == CLEAN


def test_the_project_around_an_unsaved_file_is_read(tmp_path: Path) -> None:
    root = write(tmp_path, {"factory.py": FACTORY, "user.py": ""})
    run = check_unsaved(root, "user.py", USER, "--output-format", "json")

    assert places(json.loads(run.stdout)) == [("user.py", 5, "SES001")]


def test_a_file_that_was_never_saved(tmp_path: Path) -> None:
    root = write(tmp_path, {"factory.py": FACTORY})
    run = check_unsaved(root, "new/user.py", USER, "--output-format", "json")

    assert places(json.loads(run.stdout)) == [("new/user.py", 5, "SES001")]


def test_the_text_that_is_shown_is_the_unsaved_one(tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": LEAK})
    run = check_unsaved(root, "app.py", "# a line more\n" + LEAK.replace("load", "fetch"))

    assert "def fetch(statement):" in run.stdout
    assert "app.py:9:15" in run.stdout


def test_an_unsaved_text_leaves_no_report(tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": CLEAN})
    arguments = ("--stdin-filename", "app.py", "--output-format", "json")
    first = check_unsaved(root, "app.py", LEAK, *arguments[2:])
    second = check_unsaved(root, "app.py", CLEAN, *arguments[2:])

    assert places(json.loads(first.stdout)) == [("app.py", 8, "SES001")]
    assert places(json.loads(second.stdout)) == []
    assert places(check_json(root)) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("-",), "`-` needs --stdin-filename: where the text belongs decides what it means"),
        (("--stdin-filename", "app.py", "app.py"), "with --stdin-filename the only path is `-`"),
        (("--stdin-filename", "app.py", "--watch"), "--watch waits for files to be saved, and standard input never is"),
        (("--jobs", "0"), "a number from 1 on is needed"),
        (("--jobs", "many"), "a number from 1 on is needed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_arguments_that_contradict_each_other(arguments: tuple[str, ...], complaint: str, tmp_path: Path) -> None:
    run = hermetic("check", *arguments, cwd=write(tmp_path, {"app.py": CLEAN}))

    assert (run.returncode, run.stdout) == (2, "")
    assert complaint in run.stderr


# -- watch --------------------------------------------------------------------------------------------------------


@contextmanager
def watching(root: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`hermetic check --watch`, with its output on a pipe; it has to end well when it is interrupted."""
    command = [HERMETIC, "check", "--watch", "--output-format", "json", *arguments]
    with subprocess.Popen(
        command, cwd=root, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        try:
            yield run
            run.send_signal(signal.SIGINT)
            output, complaints = run.communicate(timeout=PATIENCE)
            assert (run.returncode, output) == (0, "")
            assert "Traceback" not in complaints
        finally:
            run.kill()


def next_places(run: subprocess.Popen[str]) -> list[tuple[str, int, str]]:
    """What the next report says."""
    assert run.stdout is not None
    text = ""
    for line in run.stdout:
        text += line
        if line == "}\n":
            break
    return places(json.loads(text))


def test_watch_checks_again_when_a_file_is_saved(tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": CLEAN})
    with watching(root) as run:
        assert next_places(run) == []
        (root / "app.py").write_text(LEAK)
        assert next_places(run) == [("app.py", 8, "SES001")]
        (root / "app.py").write_text(CLEAN)
        assert next_places(run) == []


def test_watch_notices_new_files_and_settings(tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": CLEAN})
    with watching(root) as run:
        assert next_places(run) == []
        (root / "new.py").write_text(LEAK)
        assert next_places(run) == [("new.py", 8, "SES001")]
        (root / "pyproject.toml").write_text('[tool.hermetic]\nignore = ["SES001"]\n')
        assert next_places(run) == []


def test_watch_lives_through_settings_that_are_half_written(tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": CLEAN})
    with watching(root) as run:
        assert next_places(run) == []
        (root / "pyproject.toml").write_text("[tool.hermetic\n")
        assert run.stderr is not None
        assert "is not valid TOML" in run.stderr.readline()
        (root / "pyproject.toml").write_text("")
        assert next_places(run) == []


def test_watch_ends_at_once_where_nothing_can_be_checked(tmp_path: Path) -> None:
    run = hermetic("check", "--watch", "missing.py", cwd=write(tmp_path, {"app.py": CLEAN}))

    assert (run.returncode, run.stderr) == (2, "hermetic: no such file or directory: missing.py\n")


def test_watch_without_watchfiles(tmp_path: Path) -> None:
    (tmp_path / "watchfiles.py").write_text("raise ImportError\n")
    root = write(tmp_path / "project", {"app.py": CLEAN})
    run = hermetic("check", "--watch", cwd=root, PYTHONPATH=f"{tmp_path}:{':'.join(sys.path)}")

    assert run.returncode == 2
    assert run.stderr == "hermetic: --watch needs watchfiles: python -m pip install 'hermetic[watch]'\n"


# -- jobs ---------------------------------------------------------------------------------------------------------


def test_findings_are_the_same_with_any_number_of_processes(tmp_path: Path) -> None:
    files = {
        f"{situation.parent.name}_{situation.name}/{path}": text
        for situation in SITUATIONS[::12]
        for path, text in project_at(situation).items()
    }
    root = write(tmp_path, {**files, "broken.py": "def\n", "deep.py": "x = " + "(" * 3_000 + ")" * 3_000})
    reports = [check_json(root, "--no-cache", "--all", "--jobs", jobs) for jobs in ("1", "2", "7", "1000")]
    for report in reports:
        del report["summary"]["seconds"]

    assert len(reports[0]["findings"]) > 10
    assert {entry["path"] for entry in reports[0]["not_analysed"]} >= {"broken.py"}
    assert reports[1:] == reports[:1] * 3


def test_facts_of_workers_are_kept(tmp_path: Path) -> None:
    root = write(tmp_path, {f"module{number}.py": LEAK + f"# {number}\n" for number in range(9)})
    check_json(root, "--jobs", "3")
    (root / "module0.py").write_text(CLEAN)
    run = hermetic("check", "--statistics", cwd=root)

    assert re.search(r"files with facts in the cache +8\n", run.stderr)


KILLED = """
import os, signal
from hermetic.engine import forked
real = forked.outcome_of
parent = os.getpid()
def outcome_of(data):
    if os.getpid() != parent and data == b"x = 3\\n":
        os.kill(os.getpid(), signal.SIGKILL)
    return real(data)
forked.outcome_of = outcome_of
sources = [b"x = %d\\n" % number for number in range(9)]
assert forked.lower_all(sources, 4, lambda done: None) == [real(source) for source in sources]
print("all there")
"""


def test_what_a_killed_worker_had_to_do_is_done() -> None:
    run = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert (run.stdout, run.stderr) == ("all there\n", "")


def test_small_trees_get_no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threading.active_count", lambda: 1)
    monkeypatch.setattr(forked, "_cores", lambda: 4)

    assert [forked.jobs_for(size, None) for size in (0, 999_999, 1_000_000, 90_000_000)] == [1, 1, 2, 4]
    assert forked.jobs_for(10, 3) == 3


def test_there_are_no_processes_beside_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threading.active_count", lambda: 2)

    assert forked.jobs_for(90_000_000, 8) == 1


def test_there_are_no_processes_where_none_can_be_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.fork")

    assert forked.jobs_for(90_000_000, 8) == 1


# -- figures ------------------------------------------------------------------------------------------------------


def test_timings_tell_the_stages(tmp_path: Path) -> None:
    run = hermetic("check", "--timings", "--output-format", "json", cwd=write(tmp_path, {"app.py": LEAK}))
    rows = re.findall(r"^(.+?) +(\d+\.\d{3}) s$", run.stderr, flags=re.MULTILINE)
    seconds = [float(figure) for _, figure in rows]

    assert [name for name, _ in rows[:3]] == ["settings and cache", "list", "read"]
    assert rows[-1][0] == "together, without start-up"
    assert sum(seconds[:-1]) == pytest.approx(seconds[-1], abs=0.01)
    assert places(json.loads(run.stdout))


def test_statistics_tell_what_was_in_the_cache(tmp_path: Path) -> None:
    root = write(tmp_path / "project", {"app.py": LEAK, "clean.py": CLEAN})
    cold = hermetic("check", "--statistics", cwd=root, XDG_CACHE_HOME=str(tmp_path))
    warm = hermetic("check", "--statistics", cwd=root, XDG_CACHE_HOME=str(tmp_path))

    assert re.search(r"files with facts in the cache +0\n", cold.stderr)
    assert re.search(r"files with facts in the cache +2\n", warm.stderr)
    assert re.search(rf"^cache: {tmp_path}/hermetic/project-\w+\.cache, 0\.0 MB$", warm.stderr, flags=re.MULTILINE)
    assert warm.stdout.partition(": ")[0] == cold.stdout.partition(": ")[0]


def test_statistics_without_a_cache(tmp_path: Path) -> None:
    run = hermetic("check", "--statistics", "--no-cache", cwd=write(tmp_path, {"app.py": LEAK}))

    assert run.stderr.endswith("cache: not used\n")


@pytest.mark.parametrize("flags", [("--timings",), ("--statistics",)], ids=" ".join)
def test_figures_are_those_of_each_run(flags: tuple[str, ...], tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": LEAK})

    assert hermetic("check", *flags, cwd=root).stderr != ""
    assert hermetic("check", *flags, cwd=root).stderr != ""


def test_watch_goes_on_where_it_was_used_before(tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": CLEAN})
    for _ in range(2):
        with watching(root) as run:
            assert next_places(run) == []
            assert run.poll() is None

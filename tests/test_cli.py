"""The installed command: flags, exit codes, and what it says to who mistypes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from shell import CLEAN, FRAGILE, LEAK, check_json, hermetic, paths, places, write

from hermetic import __version__, driver
from hermetic.cli.main import main

BROKEN = "def broken(:\n"


@pytest.mark.parametrize(
    ("files", "flags", "code"),
    [
        ({"app.py": CLEAN}, (), 0),
        ({"app.py": LEAK}, (), 1),
        ({"app.py": FRAGILE}, (), 0),
        ({"app.py": FRAGILE}, ("--strict",), 1),
        ({"app.py": CLEAN}, ("--strict",), 0),
        ({"app.py": LEAK}, ("--exit-zero",), 0),
        ({"app.py": FRAGILE}, ("--strict", "--exit-zero"), 0),
        ({"app.py": BROKEN}, (), 3),
        ({"app.py": BROKEN}, ("--exit-zero",), 3),
        ({"app.py": BROKEN, "leak.py": LEAK}, (), 1),
        ({"app.py": BROKEN, "leak.py": LEAK}, ("--exit-zero",), 0),
        ({"app.py": BROKEN, "fragile.py": FRAGILE}, (), 3),
        ({"app.py": BROKEN, "fragile.py": FRAGILE}, ("--strict",), 1),
        ({"app.py": LEAK}, ("--ignore", "SES001"), 0),
        ({"app.py": LEAK}, ("nowhere",), 2),
        ({"app.py": LEAK}, ("--exit-zero", "nowhere"), 2),
        ({"app.py": LEAK}, ("--select", "SES999"), 2),
        ({"app.py": LEAK}, ("--frobnicate",), 2),
        ({}, (), 0),
    ],
)
@pytest.mark.parametrize("output_format", ["text", "concise", "json"])
def test_exit_codes(
    files: dict[str, str], flags: tuple[str, ...], code: int, output_format: str, tmp_path: Path
) -> None:
    run = hermetic("check", "--output-format", output_format, *flags, cwd=write(tmp_path, files))

    assert run.returncode == code, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    assert bool(run.stderr) == (code == 2)


def test_a_usage_error_prints_no_report(tmp_path: Path) -> None:
    run = hermetic("check", "--output-format", "json", "nowhere", cwd=write(tmp_path, {"app.py": LEAK}))

    assert run.stdout == ""
    assert run.stderr == "hermetic: no such file or directory: nowhere\n"


def test_version(tmp_path: Path) -> None:
    assert hermetic("--version", cwd=tmp_path).stdout == f"hermetic {__version__}\n"


def test_as_a_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hermetic", "check", "--no-cache"]
    run = subprocess.run(command, cwd=write(tmp_path, {"app.py": LEAK}), capture_output=True, text=True, check=False)

    assert run.returncode == 1
    assert "SES001" in run.stdout


def test_no_cache_is_accepted_and_nothing_is_written(tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": LEAK})

    assert check_json(root, "--no-cache")["findings"]
    assert sorted(path.name for path in root.iterdir()) == ["app.py", "pyproject.toml"]


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ((), {"SES001", "SES005"}),
        (("--select", "SES001"), {"SES001"}),
        (("--select", "SES00"), {"SES001", "SES005"}),
        (("--select", "ses001,SES005"), {"SES001", "SES005"}),
        (("--select", "SES001", "--select", "SES005"), {"SES001", "SES005"}),
        (("--select", "SES", "--ignore", "SES001"), {"SES005"}),
        (("--ignore", "SES00"), set()),
        (("--ignore", "SES001", "--ignore", "SES005"), set()),
    ],
)
def test_rules_are_chosen_by_code_or_beginning(flags: tuple[str, ...], found: set[str], tmp_path: Path) -> None:
    document = check_json(write(tmp_path, {"leak.py": LEAK, "fragile.py": FRAGILE}), *flags)

    assert {rule for _, _, rule in places(document)} == found


def test_exclude_is_a_pattern_as_in_gitignore(tmp_path: Path) -> None:
    root = write(
        tmp_path, {"app.py": LEAK, "old/app.py": LEAK, "old/deep/x.py": LEAK, "gen_a.py": LEAK, "b/gen_b.py": LEAK}
    )

    assert paths(check_json(root, "--exclude", "old/", "--exclude", "gen_*.py")) == ["app.py"]
    assert paths(check_json(root, "--exclude", "/app.py", "--exclude", "gen_*")) == ["old/app.py", "old/deep/x.py"]


def test_isolated_reads_no_settings(tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": LEAK, "pyproject.toml": '[tool.hermetic]\nignore = ["SES001"]\n'})

    assert check_json(root)["findings"] == []
    assert places(check_json(root, "--isolated")) == [("app.py", 8, "SES001")]


def test_isolated_survives_a_broken_settings_file(tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": LEAK, "pyproject.toml": "[tool.hermetic\n"})

    assert hermetic("check", cwd=root).returncode == 2
    assert hermetic("check", "--isolated", cwd=root).returncode == 1


def test_hints_only_with_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def record(request: driver.Request, *rest: object) -> object:
        asked.append(request.hints)
        raise driver.UsageError("enough")

    monkeypatch.setattr("hermetic.driver.check", record)

    assert main(["check", str(tmp_path)]) == main(["check", "--all", str(tmp_path)]) == 2
    assert asked == [False, True]


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("chek",), "unknown `chek`; did you mean `check`?"),
        (("check", "--stict"), "unknown `--stict`; did you mean `--strict`?"),
        (("check", "--output-fromat=json"), "unknown `--output-fromat`; did you mean `--output-format`?"),
        (("check", "--sel", "SES001"), "unknown `--sel`; did you mean `--select`?"),
        (("check", "--output-format", "jsn"), "unknown `jsn`; did you mean `json`?"),
        (("check", "--select", "SES0001"), "unknown rule `SES0001`; did you mean SES001?"),
        (("check", "--ignore", "SES01"), "unknown rule `SES01`; did you mean SES101?"),
        (("check", "--select", "XYZ"), "unknown rule `XYZ`; known rules are SES001, "),
        (("check", "--select", ","), "at least one code is needed"),
        (("check", "--exclude", "[z-a]"), "--exclude: `[z-a]` is no pattern of paths"),
        (("explain", "SES0001"), "unknown rule `SES0001`; did you mean SES001?"),
        (("explain", "sesion-not-closed"), "unknown rule `sesion-not-closed`; did you mean session-not-closed?"),
        (("app.py",), "`app.py` is no command; did you mean `hermetic check app.py`?"),
        ((), "COMMAND"),
    ],
)
def test_mistyped(arguments: tuple[str, ...], answer: str, tmp_path: Path) -> None:
    run = hermetic(*arguments, cwd=write(tmp_path, {"app.py": LEAK}))

    assert (run.returncode, run.stdout) == (2, "")
    assert answer in run.stderr
    assert "Traceback" not in run.stderr


def test_rules_lists_every_rule(tmp_path: Path) -> None:
    listed = json.loads(hermetic("rules", "--output-format", "json", cwd=tmp_path).stdout)
    text = hermetic("rules", cwd=tmp_path).stdout.splitlines()

    assert [rule["code"] for rule in listed] == [line.split()[0] for line in text]
    assert {"SES001", "SES008"} <= {rule["code"] for rule in listed}
    assert all(set(rule) == {"code", "name", "summary"} for rule in listed)


@pytest.mark.parametrize("given", ["SES001", "ses001", "session-not-closed", "HERMETIC001"])
def test_explain_prints_the_page(given: str, tmp_path: Path) -> None:
    run = hermetic("explain", given, cwd=tmp_path)

    assert run.returncode == 0
    assert run.stdout.startswith("HERMETIC001 unused" if given == "HERMETIC001" else "SES001 session-not-closed\n\n")
    assert len(run.stdout.splitlines()) > 5


def test_an_internal_error_is_told_without_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(request: driver.Request, *rest: object) -> object:
        raise KeyError("surprise")

    monkeypatch.setattr("hermetic.driver.check", fail)

    assert main(["check", str(tmp_path)]) == 4
    told = capsys.readouterr().err
    assert "internal error: KeyError: 'surprise'" in told
    assert "Please report it" in told
    assert __version__ in told
    assert "Traceback" not in told


def test_clean_says_what_it_would_remove_and_removes_it(tmp_path: Path) -> None:
    root = write(tmp_path / "project", {"app.py": LEAK})
    home = str(tmp_path / "cache")
    hermetic("check", cwd=root, XDG_CACHE_HOME=home)
    (tmp_path / "cache/hermetic/notes.txt").touch()
    where = f"1 file, 0.0 MB, in {home}/hermetic\n"

    assert hermetic("clean", "--dry-run", cwd=root, XDG_CACHE_HOME=home).stdout == f"would remove {where}"
    assert hermetic("clean", cwd=root, XDG_CACHE_HOME=home).stdout == f"removed {where}"
    assert [file.name for file in (tmp_path / "cache/hermetic").iterdir()] == ["notes.txt"]


def test_clean_removes_nothing_that_others_may_have_put_there(tmp_path: Path) -> None:
    (tmp_path / "hermetic").mkdir()
    (tmp_path / "hermetic/a.cache").touch()
    (tmp_path / "hermetic").chmod(0o777)
    run = hermetic("clean", cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path))

    assert run.returncode == 2
    assert run.stderr == f"hermetic: others may write to {tmp_path}/hermetic\n"
    assert (tmp_path / "hermetic/a.cache").exists()

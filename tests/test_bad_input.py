"""A stranger's tree: whatever lies in it gets a clear answer, nothing hangs, and nothing else is lost."""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from shell import CLEAN, HERMETIC, LEAK, LEAK_LINE, PATIENCE, check_json, environment, hermetic, paths, places, write

LEAKING = [("leak.py", LEAK_LINE, "SES001")]


@pytest.mark.parametrize("path", ["nowhere", "nowhere/x.py", "leak.py/x.py", "", "\n"])
def test_a_missing_path(path: str, tmp_path: Path) -> None:
    run = hermetic("check", path, ".", cwd=write(tmp_path, {"leak.py": LEAK}))

    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("hermetic: no such file or directory: ")


UNREADABLE = {
    "no text": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)), r"."),
    "not UTF-8": (b"x = '\xff'\n", r"utf-?8"),
    "NUL bytes": (b"x = 1\n\0\0\0", r"null byte"),
    "only NUL bytes": (b"\0" * 5000, r"null byte"),
    "UTF-16": (LEAK.encode("utf-16"), r"."),
    "unknown encoding": (b"# -*- coding: klingon -*-\nx = 1\n", r"unknown encoding: klingon"),
    "encoding that is none": (b"# -*- coding: rot13 -*-\nk = 1\n", r"."),
    "wrong encoding": (b"# coding: ascii\nx = '\xe9'\n", r"."),
    "two encodings": (b"\xef\xbb\xbf# coding: latin-1\nx = 1\n", r"encoding problem"),
    "syntax": (b"x = 1\ndef f(:\n", r"line 2: invalid syntax"),
    "17 MB": (b"x = 1\n" * (17 * 1024 * 1024 // 6), r"larger than 16 MB"),
}


@pytest.mark.parametrize(("data", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_bytes_that_are_no_source(data: bytes, reason: str, tmp_path: Path) -> None:
    root = write(tmp_path, {"bad.py": data, "leak.py": LEAK, "clean.py": CLEAN})
    document = check_json(root)
    (entry,) = document["not_analysed"]

    assert places(document) == LEAKING
    assert entry["path"] == "bad.py"
    assert len(entry["reason"].splitlines()) == 1
    assert re.search(reason, entry["reason"])
    assert hermetic("check", "bad.py", "clean.py", cwd=root).returncode == 3


READABLE = {
    "empty": (b"", 0),
    "a byte order mark alone": (b"\xef\xbb\xbf", 0),
    "blanks": (b" \n\t\n\f\n", 0),
    "a comment without line end": (b"# nothing", 0),
    "byte order mark": (b"\xef\xbb\xbf" + LEAK.encode(), LEAK_LINE),
    "byte order mark and cookie": (b"\xef\xbb\xbf# coding: utf-8\n" + LEAK.encode(), LEAK_LINE + 1),
    "latin-1": (b"# coding: latin-1\n" + LEAK.replace("load", "l\u00e4d").encode("latin-1"), LEAK_LINE + 1),
    "cookie in line 2": (
        b"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n# \x80\n" + LEAK.encode(),
        LEAK_LINE + 3,
    ),
    "Japanese": (b"# coding: euc-jp\n" + LEAK.replace("load", "日本").encode("euc-jp"), LEAK_LINE + 1),
    "Windows line ends": (LEAK.replace("\n", "\r\n").encode(), LEAK_LINE),
    "old Mac line ends": (LEAK.replace("\n", "\r").encode(), LEAK_LINE),
    "mixed line ends": (LEAK.replace("\n", "\r\n", 3).replace("\n    ", "\r    ").encode(), LEAK_LINE),
    "form feeds": (LEAK.replace("\ndef", "\n\f\ndef").encode(), LEAK_LINE + 1),
    "an invalid escape": (b"x = '\\d'\n" + LEAK.encode(), LEAK_LINE + 1),
    "a long line": (b"x = '" + b"a" * 3_000_000 + b"'\n" + LEAK.encode(), LEAK_LINE + 1),
}


@pytest.mark.parametrize(("data", "line"), READABLE.values(), ids=READABLE)
def test_odd_but_readable(data: bytes, line: int, tmp_path: Path) -> None:
    root = write(tmp_path, {"odd.py": data})
    document = check_json(root)
    text = hermetic("check", cwd=root)

    assert document["not_analysed"] == []
    assert places(document) == ([("odd.py", line, "SES001")] if line else [])
    assert text.stderr == ""
    assert ("Session(engine)" in text.stdout) == bool(line)


def test_a_large_generated_file(tmp_path: Path) -> None:
    rows = "".join(
        f'    {{"id": {number}, "name": "row {number}", "tags": ["a", "b"]}},\n' for number in range(100_000)
    )
    root = write(tmp_path, {"data.py": f"ROWS = [\n{rows}]\n\n{LEAK}", "leak.py": LEAK})
    assert (root / "data.py").stat().st_size > 5_000_000

    document = check_json(root)

    assert document["not_analysed"] == []
    assert places(document) == [("data.py", LEAK_LINE + 100_003, "SES001"), *LEAKING]


def test_a_file_with_holes_is_not_read(tmp_path: Path) -> None:
    """A terabyte on paper."""
    root = write(tmp_path, {"leak.py": LEAK})
    with open(root / "huge.py", "wb") as file:
        file.truncate(1024**4)
    document = check_json(root)

    assert document["not_analysed"] == [{"path": "huge.py", "reason": "larger than 16 MB"}]
    assert places(document) == LEAKING


N = 10_000
DEEP = {
    "parentheses": "x = " + "(" * N + "1" + ")" * N,
    "sum": "x = " + " + ".join(["a"] * N),
    "powers": "x = " + " ** ".join(["a"] * N),
    "attributes": "x = a" + ".b" * N,
    "calls": "x = a" + ".b()" * N,
    "indexes": "x = a" + "[0]" * N,
    "elifs": "if a:\n    pass\n" + "elif b:\n    pass\n" * N,
    "minuses": "x = " + "-" * N + "1",
    "conditions": "x = " + "1 if a else " * N + "1",
    "lambdas": "x = " + "lambda: " * N + "1",
    "dicts": "x = " + "{1:" * N + "1" + "}" * N,
    "chained comparison": "x = " + " < ".join(["a"] * N),
    "targets": "x = " * N + "1",
    "decorators": "@a\n" * N + "def f():\n    pass",
    "patterns": "match x:\n    case " + "[" * 150 + "]" * 150 + ":\n        pass",
    "blocks": "".join(" " * depth + "if a:\n" for depth in range(N // 10)),
    "strings": "x = " + 'f"{' * N,
    "comprehensions": "x = " + "[" * 150 + "a" + " for a in b]" * 150,
    "annotation": "x: a" + "[0]" * N + " = 1",
    "quoted annotation": "def f(x: '" + "(" * N + "a" + ")" * N + "'): pass",
}


def test_deep_nesting(tmp_path: Path) -> None:
    """The names say what is deep; each file also leaks, so that those which can be read show it."""
    files = {f"{name.replace(' ', '_')}.py": f"{LEAK}\n\n{source}\n" for name, source in DEEP.items()}
    document = check_json(write(tmp_path, files | {"leak.py": LEAK}))
    unread = {entry["path"]: entry["reason"] for entry in document["not_analysed"]}

    assert set(unread) | set(paths(document)) == {*files, "leak.py"}
    assert {"sum.py", "attributes.py", "calls.py", "indexes.py", "targets.py"} <= set(paths(document))
    assert all("too" in reason or "line" in reason for reason in unread.values()), unread


def test_deep_nesting_around_a_leak(tmp_path: Path) -> None:
    source = LEAK.partition("    return")[0]
    root = write(tmp_path, {"deep.py": f"{source}    return session.scalar(a{'.b' * N} + a{'.b()' * N})\n"})

    assert places(check_json(root)) == [("deep.py", LEAK_LINE, "SES001")]


def test_special_files_are_passed_by(tmp_path: Path) -> None:
    root = write(tmp_path, {"leak.py": LEAK, "sub/x.txt": ""})
    os.mkfifo(root / "pipe.py")
    os.mkfifo(root / "sub" / ".gitignore")
    os.mkfifo(root / "setup.cfg")
    for name, target in (("null", "/dev/null"), ("zero", "/dev/zero"), ("tty", "/dev/tty"), ("fd", "/dev/stdin")):
        (root / f"{name}.py").symlink_to(target)

    assert places(check_json(root)) == LEAKING


@pytest.mark.parametrize("name", ["pipe.py", "zero.py"])
def test_a_named_file_that_is_none(name: str, tmp_path: Path) -> None:
    root = write(tmp_path, {"clean.py": CLEAN})
    os.mkfifo(root / "pipe.py")
    (root / "zero.py").symlink_to("/dev/zero")
    run = hermetic("check", name, "clean.py", cwd=root)

    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == f"hermetic: neither a file nor a directory: {name}\n"


def test_a_named_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    root = write(tmp_path, {"bin/job": f"#!/usr/bin/env python3\n{LEAK}", "notes.txt": "no program"})
    document = check_json(root, "bin/job", "notes.txt")

    assert places(document) == [("bin/job", LEAK_LINE + 1, "SES001")]
    assert [entry["path"] for entry in document["not_analysed"]] == ["notes.txt"]
    assert check_json(root)["summary"]["files"] == 0


def test_links_that_loop(tmp_path: Path) -> None:
    root = write(tmp_path, {"leak.py": LEAK, "a/b/clean.py": CLEAN})
    (root / "a" / "b" / "up").symlink_to(root)
    (root / "a" / "self").symlink_to("self")
    (root / "self.py").symlink_to("self.py")
    (root / "one.py").symlink_to("two.py")
    (root / "two.py").symlink_to("one.py")

    assert places(check_json(root)) == LEAKING


def test_a_path_through_a_link(tmp_path: Path) -> None:
    root = write(tmp_path / "project", {"app/leak.py": LEAK})
    (tmp_path / "link").symlink_to(root)
    (root / "shortcut").symlink_to(root / "app")

    assert paths(check_json(tmp_path, "link")) == ["link/app/leak.py"]
    assert paths(check_json(root, "shortcut")) == ["app/leak.py"]


CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, PR_CAPBSET_DROP = 1, 2, 24


def obey_permissions() -> None:
    """Take from a root process, where tests run as one, the right to read and write everything."""
    if os.geteuid() == 0:
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def unprivileged(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HERMETIC, "check", "--output-format", "json"],
        cwd=root,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        preexec_fn=obey_permissions,
    )


def test_files_and_directories_without_permission(tmp_path: Path) -> None:
    root = write(tmp_path, {"leak.py": LEAK, "secret.py": LEAK, "closed/x.py": LEAK, "closed/.gitignore": "y"})
    (root / "secret.py").chmod(0)
    (root / "closed").chmod(0)
    try:
        run = unprivileged(root)
    finally:
        (root / "closed").chmod(0o755)
    document = json.loads(run.stdout)

    assert (run.returncode, run.stderr) == (1, "")
    assert places(document) == LEAKING
    assert {"path": "secret.py", "reason": "Permission denied"} in document["not_analysed"]
    assert {"path": "closed", "reason": "Permission denied"} in document["not_analysed"]


def test_settings_without_permission(tmp_path: Path) -> None:
    root = write(tmp_path, {"leak.py": LEAK})
    (root / "pyproject.toml").chmod(0)
    run = unprivileged(root)

    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == f"hermetic: cannot read {root / 'pyproject.toml'}: Permission denied\n"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    root = write(tmp_path, {"leak.py": LEAK})
    before = {path: path.stat().st_mtime_ns for path in (root, *root.iterdir())}
    root.chmod(0o555)
    try:
        run = unprivileged(root)
    finally:
        root.chmod(0o755)

    assert places(json.loads(run.stdout)) == LEAKING
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    root = write(tmp_path, {"leak.py": LEAK})
    command = f'mkdir gone && cd gone && rmdir ../gone && "{HERMETIC}" check "{root}"; echo $?'
    run = subprocess.run(
        ["bash", "-c", command],
        cwd=root,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert run.stdout == "2\n"
    assert run.stderr == "hermetic: the working directory does not exist any more\n"


def test_the_tree_is_never_run(tmp_path: Path) -> None:
    trap = "import pathlib\npathlib.Path(__file__).with_name('sprung').touch()\nraise SystemExit(7)\n"
    names = (
        "sitecustomize",
        "json",
        "argparse",
        "hermetic/__init__",
        "setup",
        "conftest",
        "pathspec",
        "encodings/trap",
    )
    root = write(tmp_path, {f"{name}.py": trap for name in names} | {"leak.py": LEAK, "x.py": "# coding: trap\n"})
    document = check_json(root)

    assert places(document) == LEAKING
    assert list(root.rglob("sprung")) == []
    assert list(root.rglob("*.pyc")) == []


def test_hard_patterns_do_not_hang(tmp_path: Path) -> None:
    """Patterns of a stranger, on a name that almost matches: backtracking must not take forever."""
    pattern = "a*" * 30 + "b"
    root = write(tmp_path, {"leak.py": LEAK, "a" * 200 + ".py": CLEAN, ".gitignore": f"{pattern}\n"})
    began = time.monotonic()

    assert places(check_json(root, "--exclude", "**/" * 20 + pattern)) == LEAKING
    assert time.monotonic() - began < PATIENCE / 2

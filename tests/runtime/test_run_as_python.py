"""`hermetic run` starts, fails and ends a program as `python` does: both are run and compared."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from shell import PATIENCE, Run, completed, environment, write

from runtime.programs import run

WORLD = """\
import sys

spec = __spec__ and (__spec__.name, __spec__.origin, __spec__.parent)
print([__name__, __file__, __package__, spec, __cached__, __doc__, type(__loader__).__name__])
print(sys.argv, sys.path[0], sys.modules["__main__"].__dict__ is globals(), type(__builtins__))
"""
FILES = {
    "app.py": WORLD,
    "scripts/task.py": WORLD,
    "package/__init__.py": "",
    "package/__main__.py": WORLD,
    "package/module.py": WORLD,
    "directory/__main__.py": "import beside\n" + WORLD,
    "directory/beside.py": "",
}

# Frames that Python shows of the machinery that starts a module.
RUNPY = re.compile(r'  File "<frozen runpy>".*\n')


def python(directory: Path, *arguments: str) -> Run:
    return completed([sys.executable, *arguments], directory)


@pytest.mark.parametrize(
    "arguments",
    [
        ["app.py", "one", "--two", "-m", "three"],
        ["scripts/task.py"],
        ["./scripts/../app.py", "--", "-x"],
        ["linked.py"],
        ["directory", "one"],
        ["archive.zip", "one"],
        ["./directory/../directory/"],
        ["-m", "app", "one", "--two"],
        ["-m", "package", "--trace", "x"],
        ["-m", "package.module"],
    ],
    ids=" ".join,
)
def test_the_world_of_a_program(tmp_path: Path, arguments: list[str]) -> None:
    write(tmp_path, FILES)
    (tmp_path / "linked.py").symlink_to("scripts/task.py")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", WORLD)

    wanted, ended = python(tmp_path, *arguments), run(tmp_path, FILES, *arguments)

    assert wanted.stdout.count("\n") == 2
    assert (ended.stdout, ended.returncode) == (wanted.stdout, 0)


def test_a_compiled_file(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": WORLD})
    python(tmp_path, "-c", "import py_compile; py_compile.compile('app.py', 'app.pyc')")

    assert run(tmp_path, {}, "app.pyc").stdout == python(tmp_path, "app.pyc").stdout


@pytest.mark.parametrize(
    "source",
    [
        "def pay():\n    raise ValueError('no money')\n\n\npay()\n",
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ValueError('no money') from error\n",
        "raise ExceptionGroup('several', [ValueError('one'), TypeError('two')])\n",
        "import nowhere\n",
        "print('begun'\n",
        "import json\njson.loads('{')\n",
        "import sys\nsys.excepthook = lambda *error: print('hooked', error[0].__name__)\nraise ValueError\n",
        "import sys\nsys.excepthook = None\nraise ValueError('shown anyway')\n",
    ],
)
def test_failures_of_a_script(tmp_path: Path, source: str) -> None:
    write(tmp_path, {"app.py": source})
    wanted, ended = python(tmp_path, "app.py"), run(tmp_path, {}, "app.py")

    assert wanted.returncode == ended.returncode == 1
    assert ended.stdout == wanted.stdout
    told = ended.stderr.removesuffix("hermetic: nothing to report: 0 sessions, 0 statements watched\n")
    assert told != ended.stderr
    shown = wanted.stderr if "excepthook = None" not in source else wanted.stderr[wanted.stderr.index("Traceback") :]
    assert told == shown


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"app.py": "def pay():\n    raise ValueError('no money')\n\n\npay()\n"}, "app"),
        ({"package/__init__.py": "raise ValueError('broken package')\n", "package/app.py": ""}, "package.app"),
        ({"package/__init__.py": "import nowhere\n", "package/__main__.py": ""}, "package"),
    ],
)
def test_failures_of_a_module(tmp_path: Path, files: dict[str, str], name: str) -> None:
    write(tmp_path, files)
    wanted, ended = python(tmp_path, "-m", name), run(tmp_path, {}, "-m", name)

    assert wanted.returncode == ended.returncode == 1
    last = wanted.stderr.splitlines()[-1]
    assert f"{last}\n" in ended.stderr
    assert "hermetic/cli" not in ended.stderr
    if "broken" not in last and "nowhere" not in last:
        assert ended.stderr.startswith(RUNPY.sub("", wanted.stderr))


def test_without_the_directory_of_the_script_on_the_path(tmp_path: Path) -> None:
    program = "import sys\nprint(sys.path[0])\n"
    write(tmp_path, {"app.py": program})
    safe = {**environment(), "PYTHONSAFEPATH": "1"}
    command = [str(Path(sys.executable).with_name("hermetic")), "run", "app.py"]
    ended = subprocess.run(
        command, cwd=tmp_path, env=safe, capture_output=True, text=True, check=True, timeout=PATIENCE
    )

    assert ended.stdout.strip() != str(tmp_path)

"""Which files make up the program: the project's root, and the Python files below it."""

from __future__ import annotations

import os
from collections.abc import Callable

MARKERS = ("pyproject.toml", "setup.cfg", "setup.py")

# Directories that hold no source of the project: version control, caches, environments, builds, vendored code.
SKIPPED_DIRECTORIES = frozenset(
    """
    .bzr .direnv .eggs .git .hg .svn .tox .nox .venv venv .env env virtualenv __pycache__ __pypackages__ .mypy_cache
    .pytest_cache .ruff_cache .pytype .pyre .hypothesis .ipynb_checkpoints node_modules site-packages dist-packages
    build dist _build buck-out bazel-out _vendor vendor vendored third_party thirdparty extern .idea .vscode
    """.split()
)

# What lies in the top directory of a virtual environment, whatever that is called.
ENVIRONMENT_MARKERS = frozenset(("pyvenv.cfg", "conda-meta"))


def find_root(path: str) -> str:
    """The project around a file or directory: the outermost directory with a project file, within one repository.

    The outermost, so that a single file and the whole tree are read as the same program.
    """
    directory = path if os.path.isdir(path) else os.path.dirname(path)
    found = start = os.path.abspath(directory)
    while True:
        entries = _entries(directory := os.path.abspath(directory))
        if ".git" in entries:
            return directory
        if not entries.isdisjoint(MARKERS):
            found = directory
        parent = os.path.dirname(directory)
        if parent == directory:
            return found or start
        directory = parent


def _entries(directory: str) -> set[str]:
    return {name for name in (*MARKERS, ".git") if os.path.lexists(os.path.join(directory, name))}


def python_files(
    root: str, excluded: Callable[[str], bool], closed: Callable[[str, OSError], None] = lambda path, error: None
) -> list[str]:
    """Relative paths of the regular `.py` files below `root`, sorted. Links to directories are not followed.

    `closed` is told of each directory that cannot be listed.
    """
    found: list[str] = []
    pending = [""]
    while pending:
        relative = pending.pop()
        try:
            with os.scandir(os.path.join(root, relative) if relative else root) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            closed(relative or ".", error)
            continue
        if relative and any(entry.name in ENVIRONMENT_MARKERS for entry in listed):
            continue
        for entry in listed:
            name = entry.name
            path = f"{relative}/{name}" if relative else name
            if _is_directory(entry):
                if name not in SKIPPED_DIRECTORIES and not excluded(path + "/"):
                    pending.append(path)
            elif name.endswith(".py") and not excluded(path) and _is_file(entry):
                found.append(path)
    found.sort()
    return found


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False  # a link that leads nowhere or to itself


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False

"""Which files make up the program: the project's root, and the Python files below it."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as in typing, which a run that has its report already need not import
if TYPE_CHECKING:
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
ENVIRONMENT_MARKERS = frozenset(("pyvenv.cfg", "conda-meta/"))

# Files that decide about others.
TELLING = frozenset(("pyvenv.cfg", ".gitignore"))


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


def without_links(path: str, root: str) -> str:
    """A path as the scan of its project meets it: links to directories are not followed there."""
    inside = os.path.relpath(os.path.realpath(path), os.path.realpath(root))
    return path if inside.startswith(os.pardir) else os.path.normpath(os.path.join(root, inside))


def listing(directory: str) -> tuple[str, ...]:
    """All that the scan needs of a directory, sorted: regular `.py` files, directories with a `/` behind their names,
    and files that decide about others. Raises OSError for a directory that cannot be listed."""
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            if _is_directory(entry):
                if name not in SKIPPED_DIRECTORIES:
                    found.append(name + "/")
            elif (name.endswith(".py") and _is_file(entry)) or name in TELLING:
                found.append(name)
    found.sort()
    return tuple(found)


def python_files(
    root: str,
    excluded: Callable[[str], bool],
    closed: Callable[[str, OSError], None] = lambda path, error: None,
    listing: Callable[[str], tuple[str, ...]] = listing,
) -> list[str]:
    """Relative paths of the regular `.py` files below `root`, sorted. Links to directories are not followed.

    `closed` is told of each directory that cannot be listed.
    """
    found: list[str] = []
    pending = [""]
    while pending:
        relative = pending.pop()
        try:
            names = listing(os.path.join(root, relative[:-1]) if relative else root)
        except OSError as error:
            closed(relative.removesuffix("/") or ".", error)
            continue
        if relative and (not ENVIRONMENT_MARKERS.isdisjoint(names) or _is_installed(names)):
            continue
        for name in names:
            path = relative + name
            if name.endswith("/"):
                if not excluded(path):
                    pending.append(path)
            elif name.endswith(".py") and not excluded(path):
                found.append(path)
    found.sort()
    return found


def _is_installed(names: tuple[str, ...]) -> bool:
    """Does a directory hold packages that pip has put there, `pip install --target libs`? One alone may be a wheel that
    somebody has unpacked to look at it."""
    return sum(name.endswith(".dist-info/") for name in names) > 1


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

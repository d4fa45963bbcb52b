"""The project's own packages, found where libraries are: suites often test the installed copy, as with tox."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from hermetic.sanitizer.stacks import LIBRARIES, in_packages


def installed_copies(root: Path) -> list[str]:
    """Packages (directories that end in a separator) and modules (files) of the project which would count as libraries.

    The project's packages are those in its root and in `src/`, its modules those in `src/`. Nothing is imported.
    """
    names = {*_packages(root), *_packages(root / "src"), *_modules(root / "src")}.difference(LIBRARIES)
    return [place for name in sorted(names) for place in _places(name) if in_packages(place)]


def _packages(directory: Path) -> Iterator[str]:
    for path in directory.glob("*/__init__.py"):
        if path.parent.name.isidentifier():
            yield path.parent.name


def _modules(directory: Path) -> Iterator[str]:
    for path in directory.glob("*.py"):
        if path.stem.isidentifier():
            yield path.stem


def _places(name: str) -> list[str]:
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):  # a module in sys.modules may have no spec
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [os.path.join(place, "") for place in spec.submodule_search_locations]
    return [spec.origin] if spec.has_location and spec.origin else []

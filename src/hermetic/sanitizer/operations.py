"""What is test code: files that arrange and assert, as opposed to the application under test."""

from __future__ import annotations

import os
from collections.abc import Iterable

_told: set[str] = set()  # test files by other names, absolute


def is_test_file(filename: str) -> bool:
    """Is this file test code, by pytest's customs or because whoever runs the tests has said so?"""
    name = os.path.basename(filename)
    return (
        name == "conftest.py"
        or (name.startswith("test_") and name.endswith(".py"))
        or name.endswith("_test.py")
        or os.path.abspath(filename) in _told
    )


def add_test_files(filenames: Iterable[str]) -> None:
    """Say that files are test code whatever they are called: collected ones, and those that define fixtures."""
    _told.update(map(os.path.abspath, filenames))

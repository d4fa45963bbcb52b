"""Whose code a file is."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

import pytest
import sqlalchemy

from hermetic.sanitizer.stacks import is_library

SCRIPT = os.path.join(sysconfig.get_path("scripts"), "hermetic")


@pytest.mark.parametrize("filename", [SCRIPT, os.path.relpath(SCRIPT), sqlalchemy.__file__, os.__file__, "<string>"])
def test_a_library(filename: str) -> None:
    assert is_library(filename)


@pytest.mark.parametrize("filename", [__file__, "app.py", str(Path("app", "users.py").absolute())])
def test_the_application(filename: str) -> None:
    assert not is_library(filename)

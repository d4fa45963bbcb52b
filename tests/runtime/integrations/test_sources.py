"""The project's own packages, where they are installed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hermetic.integrations.sources import installed_copies


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for libraries that packages are imported from."""
    directory = tmp_path / "venv" / "site-packages"
    directory.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(directory))
    return directory


def make(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_packages_of_the_root_and_of_src(tmp_path: Path, installed: Path) -> None:
    root = tmp_path / "project"
    make(root / "shop_in_root" / "__init__.py", root / "src" / "shop_in_src" / "__init__.py")
    make(installed / "shop_in_root" / "__init__.py", installed / "shop_in_src" / "__init__.py")

    assert installed_copies(root) == [f"{installed / 'shop_in_root'}{os.sep}", f"{installed / 'shop_in_src'}{os.sep}"]


def test_modules_of_src(tmp_path: Path, installed: Path) -> None:
    root = tmp_path / "project"
    make(root / "src" / "shop_module.py", installed / "shop_module.py", root / "script_of_root.py")
    make(installed / "script_of_root.py")

    assert installed_copies(root) == [str(installed / "shop_module.py")]


def test_imported_from_its_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "project"
    make(root / "shop_in_root" / "__init__.py")
    monkeypatch.syspath_prepend(str(root))

    assert installed_copies(root) == []


def test_what_is_never_the_project(tmp_path: Path, installed: Path) -> None:
    root = tmp_path / "project"
    make(root / "test" / "__init__.py", root / "sqlalchemy" / "__init__.py", root / "no_such_package" / "__init__.py")
    make(root / "not-a-name" / "__init__.py")

    assert installed_copies(root) == []

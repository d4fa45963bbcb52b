"""Something to do once a module has been imported."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hermetic.integrations.on_import import when_imported

NAME = "imported_by_this_test"


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / f"{NAME}.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = list(sys.meta_path)
    yield
    sys.modules.pop(NAME, None)
    assert sys.meta_path == before, "a finder is left over"


def test_after_the_import_with_the_module_complete() -> None:
    seen: list[int] = []

    when_imported(NAME, lambda: seen.append(sys.modules[NAME].value))
    assert seen == []
    module = importlib.import_module(NAME)

    assert seen == [1]
    assert module.__spec__ is not None
    assert module.__loader__ is module.__spec__.loader
    assert type(module.__loader__).__module__ != "hermetic.integrations.on_import"


def test_at_once_if_it_is_imported_already() -> None:
    importlib.import_module(NAME)
    seen: list[int] = []

    when_imported(NAME, lambda: seen.append(1))

    assert seen == [1]


def test_a_look_without_an_import_changes_nothing() -> None:
    seen: list[int] = []
    when_imported(NAME, lambda: seen.append(1))

    assert importlib.util.find_spec(NAME) is not None
    assert seen == []
    importlib.import_module(NAME)

    assert seen == [1]


def test_taken_back() -> None:
    seen: list[int] = []
    forget = when_imported(NAME, lambda: seen.append(1))

    forget()
    forget()
    importlib.import_module(NAME)

    assert seen == []


def test_a_module_that_fails_and_then_does_not(tmp_path: Path) -> None:
    seen: list[int] = []
    when_imported(NAME, lambda: seen.append(1))
    path = tmp_path / f"{NAME}.py"

    path.write_text("raise ValueError\n")
    with pytest.raises(ValueError, match=r"^$"):
        importlib.import_module(NAME)
    assert seen == []
    path.write_text("value = 'another'\n")
    importlib.invalidate_caches()
    importlib.import_module(NAME)

    assert seen == [1]


def test_a_module_that_does_not_exist() -> None:
    forget = when_imported("no_module_of_that_name", lambda: None)

    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("no_module_of_that_name")
    forget()

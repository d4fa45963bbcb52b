"""The fixtures on disk: a folder `fixtures/ses001/<situation>/` is one mini-project."""

from __future__ import annotations

from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent / "fixtures"
SITUATIONS = sorted(path for path in FIXTURES.glob("ses*/*") if path.is_dir() and path.name != "__pycache__")


def name_of(situation: Path) -> str:
    """As tests name it: `ses001/<situation>`."""
    return f"{situation.parent.name}/{situation.name}"


each_situation = pytest.mark.parametrize("situation", SITUATIONS, ids=name_of)


def project_at(situation: Path) -> dict[str, str]:
    """The files of a fixture folder, by path below it."""
    return {
        path.relative_to(situation).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(situation.rglob("*.py"))
    }

"""Imports go one way, and importing hermetic costs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hermetic

PACKAGE = Path(hermetic.__file__).parent

# From the top down: nothing imports what stands above it.
LAYERS = (
    "__main__",
    "cli",
    "review",
    "kept",
    "driver",
    "reading",
    "tree",
    "cache",
    "integrations",
    "toolkit",
    "sanitizer",
    "report",
    "rules",
    "engine",
    "models",
    "requirements",
    "settings",
    "patterns",
    "rule",
    "files",
    "measures",
)
BASE = ("finding", "__init__")

# `rule` names the program in a type.
FOR_TYPES_ONLY = {("rule", "engine")}
RUNTIME_HALF = {"sanitizer", "toolkit"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def layer_of(dotted: str) -> str:
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module == "hermetic":
                found.update(f"hermetic.{alias.name}" for alias in node.names if not alias.name.startswith("_"))
            else:
                found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_down(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    wrong = []
    for module in imports_of(path):
        if module.split(".")[0] != "hermetic":
            continue
        other = layer_of(module)
        if other == own or other in BASE or own in BASE or (own, other) in FOR_TYPES_ONLY:
            continue
        if LAYERS.index(other) < LAYERS.index(own):
            wrong.append(module)

    assert wrong == [], f"{own} stands below"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_the_static_half_needs_no_sqlalchemy(path: Path) -> None:
    if path.relative_to(PACKAGE).parts[0] in RUNTIME_HALF:
        return

    assert {module for module in imports_of(path) if module.split(".")[0] == "sqlalchemy"} == set()


def test_no_file_is_missing_from_the_layers() -> None:
    names = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}

    assert names - {"__pycache__", "py.typed"} == {*LAYERS, *BASE}


def test_importing_hermetic_loads_no_engine() -> None:
    code = "import sys, hermetic; print(sorted(name for name in sys.modules if name.startswith('hermetic.')))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout == "[]\n"

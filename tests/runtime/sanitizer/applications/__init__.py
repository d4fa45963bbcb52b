"""Application code that the tests run. `load` copies a file out of the test suite first: here it would be test code."""

from __future__ import annotations

import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent


def load(name: str, directory: Path) -> ModuleType:
    """The module `name` of this package, imported from a copy in a directory."""
    path = shutil.copy(HERE / f"{name}.py", directory / f"{name}.py")
    spec = spec_from_file_location(f"application_{directory.name}_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module

"""Which file an import names: modules of the project, found without running anything.

A file's dotted name depends on the directory that stands on `sys.path`, which nobody tells us. So every file
is known by all suffixes of its path, and an import is answered by the file whose remaining prefix can be such
a directory: one that is no package itself. Of several answers the nearest to the importing file wins.

Two directories may be on it though they are packages: the project's root, and where nothing else answers, a directory
above the importing file, as of programs that are started in `backend/`. A file there that imports its own name
(`celery.py` with `from celery import Celery`), or has one of the standard library or of SQLAlchemy
(`extensions/sqlalchemy/`), hides a library from nobody.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from hermetic.models.sqlalchemy import SYMBOLS

LIBRARIES = sys.stdlib_module_names | {symbol.partition(".")[0] for symbol in SYMBOLS}


class ModuleIndex:
    """Files by dotted name. `paths` are relative to the project root, with `/`, sorted."""

    def __init__(
        self,
        paths: list[str],
        source_roots: tuple[str, ...] = (),
        imports_own_name: Callable[[int], bool] = lambda number: False,
    ) -> None:
        self._imports_own_name = imports_own_name
        self.parts: list[tuple[str, ...]] = []
        self.packages: set[tuple[str, ...]] = set()
        self.is_package: list[bool] = []
        self._by_last: dict[str, list[int]] = {}
        self._memo: dict[tuple[str, tuple[str, ...]], int | None] = {}
        self._source_roots = {tuple(root.strip("/").split("/")) for root in source_roots if root.strip("/")}
        for number, path in enumerate(paths):
            parts = tuple(path[:-3].split("/")) if path.endswith(".py") else tuple(path.split("/"))
            package = parts[-1] == "__init__"
            if package:
                parts = parts[:-1]
                self.packages.add(parts)
            self.parts.append(parts)
            self.is_package.append(package)
            if parts:
                self._by_last.setdefault(parts[-1], []).append(number)

    def resolve(self, name: str, importer: int) -> int | None:
        """The file that `import name` means in file number `importer`, or None when it is not in the project."""
        directory = self._directory(importer)
        key = (name, directory)
        if key not in self._memo:
            self._memo[key] = self._search(tuple(name.split(".")), directory)
        return self._memo[key]

    def resolve_relative(self, name: str, level: int, importer: int) -> int | None:
        """The file of `from ..name import x` (`level` dots)."""
        directory = self._directory(importer)
        base = directory[: len(directory) - (level - 1)] if level > 1 else directory
        wanted = (*base, *name.split(".")) if name else base
        return self._exact(wanted)

    def submodule(self, package: int, name: str) -> int | None:
        """`package.name` as a file, for `from package import name` and `package.name`."""
        return self._exact((*self.parts[package], name)) if self.is_package[package] else None

    def _directory(self, number: int) -> tuple[str, ...]:
        parts = self.parts[number]
        return parts if self.is_package[number] else parts[:-1]

    def _exact(self, wanted: tuple[str, ...]) -> int | None:
        for number in self._by_last.get(wanted[-1], ()) if wanted else ():
            if self.parts[number] == wanted:
                return number
        return None

    def _search(self, wanted: tuple[str, ...], directory: tuple[str, ...]) -> int | None:
        best: tuple[int, int, int] | None = None
        found = None
        for number in self._by_last.get(wanted[-1], ()):
            parts = self.parts[number]
            if parts[-len(wanted) :] != wanted:
                continue
            root = parts[: len(parts) - len(wanted)]
            if not self._may_be_root(root, wanted, number, directory):
                continue
            common = 0
            for ours, theirs in zip(root, directory, strict=False):
                if ours != theirs:
                    break
                common += 1
            rank = (root not in self._source_roots, -common, len(root))
            score = (int(rank[0]), rank[1], rank[2])
            if best is None or score < best:
                best, found = score, number
        return self._beside(wanted, directory) if found is None else found

    def _beside(self, wanted: tuple[str, ...], directory: tuple[str, ...]) -> int | None:
        """The file below the nearest package around the importing file, as if that were on `sys.path`."""
        if wanted[0] in LIBRARIES:
            return None
        for length in range(len(directory), 0, -1):
            found = self._exact((*directory[:length], *wanted))
            if found is not None:
                return None if self._imports_own_name(found) else found
        return self._in_another_src(wanted)

    def _in_another_src(self, wanted: tuple[str, ...]) -> int | None:
        """The package of another part of the repository that is below a `src/`, be that by mistake a package too."""
        found = [
            number
            for number in self._by_last.get(wanted[-1], ())
            if self.parts[number][-len(wanted) - 1 :] == ("src", *wanted)
            if len(wanted) > 1 or self.is_package[number]
        ]
        return found[0] if len(found) == 1 else None

    def _may_be_root(
        self, root: tuple[str, ...], wanted: tuple[str, ...], number: int, directory: tuple[str, ...]
    ) -> bool:
        if root and root in self.packages and root not in self._source_roots:
            return False
        if root == directory[: len(root)]:
            return True
        # Another tree of the same repository: believe a package there, not a lone file of the same name.
        return len(wanted) > 1 or self.is_package[number]

"""Patterns of paths, as in `.gitignore`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec


class Patterns:
    """Matches paths relative to the project root; a directory's path ends in `/`."""

    __slots__ = ("_specs",)

    def __init__(self, patterns: tuple[str, ...] = ()) -> None:
        self._specs: list[tuple[str, GitIgnoreSpec]] = []
        self._add("", patterns)

    @classmethod
    def of_gitignores(cls, root: str) -> Patterns:
        """Of the root's `.gitignore`; those further down are rare, and `exclude` does their work."""
        found = cls()
        try:
            with open(os.path.join(root, ".gitignore"), encoding="utf-8", errors="replace") as file:
                found._add("", tuple(file.read().splitlines()))
        except OSError:
            pass
        return found

    def _add(self, directory: str, patterns: tuple[str, ...]) -> None:
        lines = [line for line in patterns if line.strip() and not line.startswith("#")]
        if lines:
            # Loaded only where there is something to match: most of the time of a small check would go into it.
            from pathspec import GitIgnoreSpec

            self._specs.append((directory, GitIgnoreSpec.from_lines(lines)))

    def match(self, path: str) -> bool:
        return any(
            spec.match_file(path[len(directory) :]) for directory, spec in self._specs if path.startswith(directory)
        )

"""Patterns of paths, as in `.gitignore`, and the `.gitignore` files of a tree."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hermetic import files

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

LARGEST_FILE = 1024 * 1024


class Patterns:
    """Matches paths relative to the project root; a directory's path ends in `/`."""

    __slots__ = ("_spec",)

    def __init__(self, patterns: tuple[str, ...] = ()) -> None:
        self._spec = _compile(patterns)

    @staticmethod
    def of_gitignores(root: str) -> GitIgnores:
        """Of all `.gitignore` files below a root."""
        return GitIgnores(root)

    def match(self, path: str) -> bool:
        return self._spec is not None and self._spec.match_file(path)


class GitIgnores:
    """The `.gitignore` files of a tree; each is read when the first path beside or below it is asked about.

    As in git, the file nearest to a path decides, and in it the last pattern that matches; `.git/info/exclude` comes
    last of all. Whoever walks the tree leaves out the directories that match: nothing below them can come back.
    """

    __slots__ = ("_chains", "_root")

    def __init__(self, root: str) -> None:
        self._root = root
        self._chains: dict[str, tuple[tuple[str, GitIgnoreSpec], ...]] = {}

    def match(self, path: str) -> bool:
        for directory, spec in self._chain(path.rstrip("/").rpartition("/")[0]):
            verdict = spec.check_file(path[len(directory) :]).include
            if verdict is not None:
                return verdict
        return False

    def _chain(self, directory: str) -> tuple[tuple[str, GitIgnoreSpec], ...]:
        """The specs that hold in a directory, nearest first, each with the beginning of the paths it is about."""
        chain = self._chains.get(directory)
        if chain is None:
            spec = _compile(_lines(os.path.join(self._root, directory, ".gitignore")))
            own = () if spec is None else ((f"{directory}/" if directory else "", spec),)
            chain = own + (self._chain(directory.rpartition("/")[0]) if directory else self._everywhere())
            self._chains[directory] = chain
        return chain

    def _everywhere(self) -> tuple[tuple[str, GitIgnoreSpec], ...]:
        spec = _compile(_lines(os.path.join(self._root, ".git", "info", "exclude")))
        return () if spec is None else (("", spec),)


def is_valid(pattern: str) -> bool:
    """Can the pattern be matched at all?"""
    return not pattern.strip() or pattern.startswith("#") or _compile((pattern,)) is not None


def _lines(path: str) -> tuple[str, ...]:
    try:
        return tuple(files.read(path, LARGEST_FILE).decode("utf-8", "replace").removeprefix("\ufeff").splitlines())
    except OSError:
        return ()


def _compile(patterns: tuple[str, ...]) -> GitIgnoreSpec | None:
    """None where there is nothing to match. A pattern that cannot be read matches nothing, as in git."""
    lines = [line for line in patterns if line.strip() and not line.startswith("#")]
    if not lines:
        return None
    # Loaded only where there is something to match: most of the time of a small check would go into it.
    import re
    import warnings

    from pathspec import GitIgnoreSpec

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `re` on strange sets of characters
        try:
            return GitIgnoreSpec.from_lines(lines)
        except (ValueError, re.error):
            good = tuple(line for line in lines if _compile((line,)) is not None) if len(lines) > 1 else ()
            return _compile(good)

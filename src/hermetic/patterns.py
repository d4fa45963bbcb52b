"""Patterns of paths, as in `.gitignore`, and the `.gitignore` files of a tree.

Both come with the tree under analysis, which is a stranger's. So a match takes time in proportion to the lengths of
pattern and path: a star is never given a second chance, where a regular expression would try all of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from hermetic import files

LARGEST_FILE = 1024 * 1024


class Patterns:
    """Matches paths relative to the project root; a directory's path ends in `/`."""

    __slots__ = ("_patterns",)

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._patterns = _read(patterns)

    @staticmethod
    def of_gitignores(root: str, read: files.Read = files.read) -> GitIgnores:
        """Of all `.gitignore` files below a root."""
        return GitIgnores(root, read)

    def match(self, path: str) -> bool:
        """Does the path match, or a directory that it lies in?"""
        if not self._patterns:
            return False
        parts = path.rstrip("/").split("/")
        above = any(_verdict(self._patterns, parts[:end], True) for end in range(1, len(parts)))
        return above or bool(_verdict(self._patterns, parts, path.endswith("/")))


class GitIgnores:
    """The `.gitignore` files of a tree; each is read when the first path beside or below it is asked about.

    As in git, the file nearest to a path decides, and in it the last pattern that matches; `.git/info/exclude` comes
    last of all. Whoever walks the tree leaves out the directories that match: nothing below them can come back.
    """

    __slots__ = ("_chains", "_read", "_root")

    def __init__(self, root: str, read: files.Read) -> None:
        self._root = root
        self._read = read
        self._chains: dict[str, tuple[tuple[int, list[_Pattern]], ...]] = {}

    def match(self, path: str) -> bool:
        chain = self._chain(path.rstrip("/").rpartition("/")[0])
        if chain:
            parts = path.rstrip("/").split("/")
            for depth, patterns in chain:
                verdict = _verdict(patterns, parts[depth:], path.endswith("/"))
                if verdict is not None:
                    return verdict
        return False

    def _chain(self, directory: str) -> tuple[tuple[int, list[_Pattern]], ...]:
        """The patterns that hold in a directory, nearest first, each with the depth of the directory they begin in."""
        chain = self._chains.get(directory)
        if chain is None:
            depth = len(directory.split("/")) if directory else 0
            own = _read(_lines(os.path.join(self._root, directory, ".gitignore"), self._read))
            outer = self._chain(directory.rpartition("/")[0]) if directory else self._everywhere()
            chain = self._chains[directory] = ((depth, own), *outer) if own else outer
        return chain

    def _everywhere(self) -> tuple[tuple[int, list[_Pattern]], ...]:
        patterns = _read(_lines(os.path.join(self._root, ".git", "info", "exclude"), self._read))
        return ((0, patterns),) if patterns else ()


def is_valid(pattern: str) -> bool:
    """Can the pattern match anything at all? Blank ones and remarks need not."""
    return _is_nothing(pattern) or bool(_read((pattern,)))


def _lines(path: str, read: files.Read) -> list[str]:
    try:
        text = read(path, LARGEST_FILE).decode("utf-8", "replace").removeprefix("\ufeff")
    except OSError:
        return []
    return [line.removesuffix("\r") for line in text.split("\n")]


def _is_nothing(line: str) -> bool:
    return not line.strip(" ") or line.startswith("#")


# -- one pattern ------------------------------------------------------------------------------------------------------


class _Segment(NamedTuple):
    """What a name between two slashes has to look like: pieces in this order, with anything between them."""

    pieces: tuple[re.Pattern[str], ...]
    last: int  # the length of the last piece; every sign of a piece is one of the name

    def match(self, name: str) -> bool:
        first = self.pieces[0]
        if len(self.pieces) == 1:
            return first.fullmatch(name) is not None
        found, end = first.match(name), len(name) - self.last
        for piece in self.pieces[1:-1]:
            if found is None:
                return False
            found = piece.search(name, found.end(), max(end, 0))  # the first place is as good as any later one
        return found is not None and found.end() <= end and self.pieces[-1].match(name, end) is not None


class _Pattern(NamedTuple):
    segments: tuple[_Segment | None, ...]  # None stands for any number of directories: `**`
    negated: bool
    only_directories: bool
    anchored: bool

    def match(self, parts: list[str], is_directory: bool) -> bool:
        if self.only_directories and not is_directory:
            return False
        return _match(self.segments, parts if self.anchored else parts[-1:])


def _match(segments: tuple[_Segment | None, ...], parts: list[str]) -> bool:
    at = position = 0
    retry: tuple[int, int] | None = None  # behind the last `**`, and where to go on if that fails
    while position < len(parts):
        segment = segments[at] if at < len(segments) else None
        if at < len(segments) and segment is None:
            at += 1
            retry = (at, position)
        elif segment is not None and segment.match(parts[position]):
            at, position = at + 1, position + 1
        elif retry is not None:
            at, position = retry[0], retry[1] + 1
            retry = (at, position)
        else:
            return False
    return all(segment is None for segment in segments[at:])


def _verdict(patterns: list[_Pattern], parts: list[str], is_directory: bool) -> bool | None:
    """What the last matching pattern says; None if none matches."""
    for pattern in reversed(patterns):
        if pattern.match(parts, is_directory):
            return not pattern.negated
    return None


def _read(lines: Iterable[str]) -> list[_Pattern]:
    """Patterns that cannot be read match nothing, as in git."""
    found = []
    for line in lines:
        if not _is_nothing(line):
            with suppress(ValueError, IndexError):
                found.append(_pattern(line))
    return found


def _pattern(line: str) -> _Pattern:
    """Raises ValueError or IndexError for a line that can match nothing."""
    text = _without_trailing_spaces(line)
    negated = text.startswith("!")
    text = text[negated:]
    only_directories = text.endswith("/")
    text = text.removesuffix("/")
    anchored = "/" in text
    names = text.removeprefix("/").split("/")
    if not text or "" in names:
        raise ValueError
    segments = [None if anchored and name == "**" else _segment(name) for name in names]
    if segments[-1] is None:
        segments.append(_segment("*"))  # everything inside, but not the directory itself
    return _Pattern(tuple(segments), negated, only_directories, anchored)


def _without_trailing_spaces(line: str) -> str:
    """A space behind a backslash stays."""
    position = end = 0
    while position < len(line):
        escaped = line[position] == "\\"
        blank = line[position] == " "
        position += 1 + escaped
        if not blank:
            end = position
    return line[:end]


def _segment(name: str) -> _Segment:
    pieces: list[list[str]] = [[]]
    position = 0
    while position < len(name):
        sign = name[position]
        position += 1
        if sign == "*":
            pieces.append([])
        elif sign == "?":
            pieces[-1].append(".")
        elif sign == "[":
            text, position = _set(name, position)
            pieces[-1].append(text)
        else:
            if sign == "\\":
                sign, position = name[position], position + 1
            pieces[-1].append(re.escape(sign))
    kept = [piece for number, piece in enumerate(pieces) if piece or number in (0, len(pieces) - 1)]
    return _Segment(tuple(re.compile("".join(piece), re.DOTALL) for piece in kept), len(kept[-1]))


_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r" \t-\r",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}


def _set(name: str, position: int) -> tuple[str, int]:
    """`[a-z]` as a regular expression, from behind its bracket, and the position behind its end."""
    negated = name[position] in "!^"
    position += negated
    items: list[str] = []
    first = True
    while first or name[position] != "]":
        first = False
        close = name.find(":]", position)
        if name.startswith("[:", position) and name[position + 2 : close] in _CLASSES:
            items.append(_CLASSES[name[position + 2 : close]])
            position = close + 2
            continue
        low, position = _sign(name, position)
        high = low
        if name[position] == "-" and name[position + 1] != "]":
            high, position = _sign(name, position + 1)
        if low <= high:
            items.append(f"{re.escape(low)}-{re.escape(high)}")
    if not items and not negated:
        raise ValueError
    return (f"[{'^' * negated}{''.join(items)}]" if items else "."), position + 1


def _sign(name: str, position: int) -> tuple[str, int]:
    position += name[position] == "\\"
    return name[position], position + 1

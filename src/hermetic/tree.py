"""One project and what is to be reported of it: its settings, its files, and those of them that are wanted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from hermetic import settings as settings_module
from hermetic.cache.looked import Looked
from hermetic.engine.scan import SKIPPED_DIRECTORIES, find_root, python_files, without_links
from hermetic.files import is_migration, is_test
from hermetic.patterns import GitIgnores, Patterns
from hermetic.report.runtime import Seen
from hermetic.settings import Settings


class UsageError(Exception):
    """A request that cannot be carried out; the message says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to check. `flags` override settings; `hints` shows weak evidence too. `unsaved` holds texts that stand for
    the files at those absolute paths. `jobs` is how many processes parse; None: as many as pay. `seen` is what a run
    has found, its paths relative to the working directory."""

    paths: tuple[str, ...]
    flags: tuple[tuple[str, object], ...] = ()
    isolated: bool = False
    hints: bool = False
    unsaved: Mapping[str, bytes] | None = None
    jobs: int | None = None
    seen: tuple[Seen, ...] = ()


@dataclass(frozen=True, slots=True)
class Tree:
    """One project root and what is to be reported below it. `places` are the paths, as they were given and as the scan
    meets them; `looked` reads all files of the project."""

    root: str
    settings: Settings
    places: tuple[tuple[str, str], ...]
    codes: frozenset[str]
    looked: Looked

    @property
    def selected(self) -> tuple[str, ...]:
        """The paths as the scan meets them."""
        return tuple(met for _, met in self.places)

    def display(self, path: str) -> str:
        """A path as the user would write it: relative to the working directory."""
        return os.path.relpath(os.path.join(self.root, path)).replace(os.sep, "/")

    def relative(self, path: str) -> str:
        """A path as the program knows it: relative to the root, with `/`."""
        return os.path.relpath(path, self.root).replace(os.sep, "/")


def trees(request: Request, known: tuple[str, ...]) -> list[Tree]:
    """The project roots around the paths, each with the paths below it. `known` are the codes of all rules.

    Raises UsageError for a path that does not exist, SettingsError for settings of no use.
    """
    unsaved = request.unsaved or {}
    by_root: dict[str, list[tuple[str, str]]] = {}
    for path in request.paths:
        absolute = os.path.abspath(path)
        if absolute not in unsaved:
            _check_path(path)
        root = find_root(absolute)
        by_root.setdefault(root, []).append((absolute, without_links(absolute, root)))
    return [_tree(root, tuple(places), request, known) for root, places in sorted(by_root.items())]


def _check_path(path: str) -> None:
    if not os.path.lexists(path):
        raise UsageError(f"no such file or directory: {path}")
    if not (os.path.isfile(path) or os.path.isdir(path)):
        raise UsageError(f"neither a file nor a directory: {path}")


def _tree(root: str, places: tuple[tuple[str, str], ...], request: Request, known: tuple[str, ...]) -> Tree:
    unsaved = request.unsaved or {}
    looked = Looked({met: unsaved[given] for given, met in places if given in unsaved})
    first = places[0][1]
    start = first if os.path.isdir(first) else os.path.dirname(first)
    settings = Settings() if request.isolated else settings_module.find(start, root, looked.read)
    settings = settings.with_flags(**dict(request.flags))
    return Tree(root, settings, places, settings_module.selected_codes(settings, known), looked)


def files_of(tree: Tree, closed: Callable[[str, OSError], None]) -> list[str]:
    """The files of the program, sorted. `closed` is told of each directory that cannot be listed."""
    patterns = Patterns(tree.settings.exclude)
    ignored = Patterns.of_gitignores(tree.root, tree.looked.read)

    def excluded(path: str) -> bool:
        return patterns.match(path) or ignored.match(path)

    selected = [tree.relative(path) for path in tree.selected]
    files = set(python_files(tree.root, excluded, closed, tree.looked.listing))
    for path, relative in zip(tree.selected, selected, strict=True):
        # What is named is wanted, even where it is vendored code or .gitignore leaves it out.
        if os.path.isfile(path) or path in tree.looked.unsaved:
            files.update(() if patterns.match(relative) else (relative,))
        elif _is_left_out(relative, ignored):

            def excluded_below(below: str, named: str = relative) -> bool:
                return patterns.match(f"{named}/{below}")

            inside = python_files(path, excluded_below, listing=tree.looked.listing)
            files.update(f"{relative}/{file}" for file in inside)
    return sorted(files)


def _is_left_out(directory: str, ignored: GitIgnores) -> bool:
    """Does the scan of the project not enter the directory, or one around it?"""
    parts = [] if directory == "." else directory.split("/")
    around = ["/".join(parts[: number + 1]) + "/" for number in range(len(parts))]
    return not SKIPPED_DIRECTORIES.isdisjoint(parts) or any(ignored.match(path) for path in around)


def wanted_of(tree: Tree, files: Iterable[str]) -> frozenset[str]:
    """The files to report on: below the given paths, tests and migrations only when named or asked for."""
    wanted: set[str] = set()
    for path in tree.selected:
        relative = tree.relative(path)
        below = "" if relative == "." else relative + "/"
        for file in files:
            if file == relative:
                wanted.add(file)
            elif file.startswith(below):
                inside = file[len(below) :]
                if (tree.settings.tests or not is_test(inside) or is_test(below + "x.py")) and (
                    tree.settings.migrations or not is_migration(inside) or is_migration(below + "x.py")
                ):
                    wanted.add(file)
    return frozenset(wanted)

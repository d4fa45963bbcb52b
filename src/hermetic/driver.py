"""The pipeline: discover, read, lower, link, solve, ask the rules, suppress, order."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, partial
from hashlib import blake2b

from hermetic import requirements, rules as rule_files, settings as settings_module
from hermetic.engine.ir import Node
from hermetic.engine.link import Codebase
from hermetic.engine.program import Program, Versions
from hermetic.engine.scan import SKIPPED_DIRECTORIES, find_root, python_files
from hermetic.engine.solve import Solver
from hermetic.engine.source import LARGEST_FILE, NotAnalysed, facts_of
from hermetic.files import is_migration, is_test, read
from hermetic.finding import Finding, Position, Severity, Step
from hermetic.patterns import GitIgnores, Patterns
from hermetic.report import suppress
from hermetic.report.results import NotAnalysed as Unread, Results, Summary
from hermetic.rule import Rule
from hermetic.settings import Settings, SettingsError

# The interpreter recurses with the nesting of the code under analysis and with its call chains.
RECURSION_LIMIT = 40_000

Progress = Callable[[int, int], None]


class UsageError(Exception):
    """A request that cannot be carried out; the message says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to check. `flags` override settings; `hints` shows weak evidence too."""

    paths: tuple[str, ...]
    flags: tuple[tuple[str, object], ...] = ()
    isolated: bool = False
    hints: bool = False


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A program with its census. `files` are those to report on, `display` makes their paths ones to show."""

    program: Program
    files: frozenset[str]
    findings: tuple[Finding, ...]
    not_analysed: tuple[Unread, ...]
    display: Callable[[str], str]


@dataclass(slots=True)
class _Tree:
    """One project root and what is to be reported below it."""

    root: str
    settings: Settings
    selected: list[str]
    codes: frozenset[str]


def check(request: Request, progress: Progress = lambda done, total: None) -> Results:
    """Check paths. Raises UsageError for a path that does not exist, SettingsError for settings of no use."""
    collecting = gc.isenabled()
    gc.disable()  # what a run builds is large, acyclic and needed to its end; the collector would only walk it
    try:
        return _check(request, progress)
    finally:
        if collecting:
            gc.enable()


def _check(request: Request, progress: Progress) -> Results:
    began = time.perf_counter()
    known = rule_files.load()
    findings: list[Finding] = []
    unread: list[Unread] = []
    counts = [0, 0, 0, 0]
    strict: list[Finding] = []  # warnings of projects in which warnings fail
    for tree in _trees(request, known):
        _check_tree(tree, known, request, progress, findings, unread, counts, strict)
    findings.sort(key=lambda finding: (finding.at, finding.rule, finding.message))
    summary = Summary(
        files=counts[0],
        functions=counts[1],
        sessions=counts[2],
        unresolved=counts[3],
        errors=sum(finding.severity == Severity.ERROR for finding in findings),
        warnings=sum(finding.severity == Severity.WARNING for finding in findings),
        seconds=time.perf_counter() - began,
    )
    return Results(tuple(findings), tuple(sorted(unread, key=lambda entry: entry.path)), summary, bool(strict))


def _trees(request: Request, known: tuple[Rule, ...]) -> list[_Tree]:
    """The project roots around the paths, each with the paths below it."""
    by_root: dict[str, list[str]] = {}
    for path in request.paths:
        if not os.path.lexists(path):
            raise UsageError(f"no such file or directory: {path}")
        if not (os.path.isfile(path) or os.path.isdir(path)):
            raise UsageError(f"neither a file nor a directory: {path}")
        absolute = os.path.abspath(path)
        root = find_root(absolute)
        by_root.setdefault(root, []).append(_without_links(absolute, root))
    trees = []
    for root, paths in sorted(by_root.items()):
        start = paths[0] if os.path.isdir(paths[0]) else os.path.dirname(paths[0])
        settings = Settings() if request.isolated else settings_module.find(start, root)
        settings = settings.with_flags(**dict(request.flags))
        codes = settings_module.selected_codes(settings, tuple(rule.code for rule in known))
        trees.append(_Tree(root, settings, paths, codes))
    return trees


def _without_links(path: str, root: str) -> str:
    """A path as the scan of its project meets it: links to directories are not followed there."""
    inside = os.path.relpath(os.path.realpath(path), os.path.realpath(root))
    return path if inside.startswith(os.pardir) else os.path.normpath(os.path.join(root, inside))


def _check_tree(
    tree: _Tree,
    known: tuple[Rule, ...],
    request: Request,
    progress: Progress,
    findings: list[Finding],
    unread: list[Unread],
    counts: list[int],
    strict: list[Finding],
) -> None:
    sources: dict[str, bytes] = {}
    program, wanted = _read(tree, progress, sources, unread)
    counts[0] += len(wanted)
    reported = {function.id for function in program.code.functions if program.code.path_of(function) in wanted}
    counts[1] += len(reported)
    counts[2] += sum(function in reported for function in program.session_sites())
    counts[3] += sum(function in reported for function, _ in program.solver.unresolved)
    shown = _found(tree, program, wanted, sources, known, request.hints)
    shown = [_for_display(tree, finding) for finding in _fingerprinted(shown, program)]
    findings.extend(shown)
    if tree.settings.strict:
        strict.extend(finding for finding in shown if finding.severity == Severity.WARNING)


def _found(
    tree: _Tree,
    program: Program,
    wanted: frozenset[str],
    sources: dict[str, bytes],
    known: tuple[Rule, ...],
    hints: bool = False,
) -> list[Finding]:
    """What the rules find in the wanted files, by settings and suppression comments; weak evidence only if asked."""
    found = [finding for rule in known for finding in _of_rule(program, rule)]
    shown = _suppressed(_selected(tree, found, wanted), sources, wanted, tree, known)
    return [finding for finding in shown if hints or finding.severity > Severity.HINT]


def _read(
    tree: _Tree, progress: Progress, sources: dict[str, bytes], unread: list[Unread], takes_census: bool = False
) -> tuple[Program, frozenset[str]]:
    """The solved program of a tree, and the files to report on."""
    files = _files(tree, unread)
    wanted = _wanted(tree, files)
    facts: list[tuple[str, Node | None]] = []
    for number, path in enumerate(files):
        progress(number, len(files))
        facts.append((path, _facts(tree, path, path in wanted, sources, unread)))
    program = solve(
        facts,
        cache(lambda path: _lines(sources.get(path, b""))),
        tree.settings.src,
        tree.settings.slow_calls,
        cache(lambda library, directory: requirements.versions(tree.root, directory, library)),
        takes_census,
    )
    return program, wanted


def survey(request: Request, progress: Progress = lambda done, total: None) -> list[Surveyed]:
    """The programs around the paths with their census, and what `check` finds in the files below the paths.

    Raises UsageError for a path that does not exist, SettingsError for settings of no use.
    """
    known = rule_files.load()
    surveyed = []
    for tree in _trees(request, known):
        sources: dict[str, bytes] = {}
        unread: list[Unread] = []
        program, wanted = _read(tree, progress, sources, unread, takes_census=True)
        shown = [_for_display(tree, finding) for finding in _found(tree, program, wanted, sources, known)]
        surveyed.append(Surveyed(program, wanted, tuple(shown), tuple(unread), partial(_display, tree)))
    return surveyed


def program_around(path: str, progress: Progress = lambda done, total: None) -> tuple[Program, str]:
    """The solved program of the project around a path, and the project's root.

    Raises UsageError for a path that does not exist, SettingsError for settings of no use.
    """
    (tree,) = _trees(Request((path,)), rule_files.load())
    program, _ = _read(tree, progress, {}, [])
    return program, tree.root


def solve(
    facts: list[tuple[str, Node | None]],
    lines: Callable[[str], list[str]],
    source_roots: tuple[str, ...] = (),
    slow_calls: tuple[str, ...] = (),
    versions: Versions = lambda library, directory: None,
    takes_census: bool = False,
) -> Program:
    """Link facts and interpret every function in them."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, RECURSION_LIMIT))
    try:
        solver = Solver(Codebase(facts, source_roots), slow_calls, takes_census)
        solver.solve()
        return Program(solver, lines, versions)
    finally:
        sys.setrecursionlimit(limit)


def _files(tree: _Tree, unread: list[Unread]) -> list[str]:
    patterns = Patterns(tree.settings.exclude)
    ignored = Patterns.of_gitignores(tree.root)

    def excluded(path: str) -> bool:
        return patterns.match(path) or ignored.match(path)

    selected = [_relative(path, tree.root) for path in tree.selected]

    def closed(path: str, error: OSError) -> None:
        if any(path == named or named == "." or path.startswith(f"{named}/") for named in selected):
            unread.append(Unread(_display(tree, path), error.strerror or str(error)))

    files = set(python_files(tree.root, excluded, closed))
    for path, relative in zip(tree.selected, selected, strict=True):
        # What is named is wanted, even where it is vendored code or .gitignore leaves it out.
        if os.path.isfile(path):
            files.update(() if patterns.match(relative) else (relative,))
        elif _is_left_out(relative, ignored):
            inside = python_files(path, lambda below, named=relative: patterns.match(f"{named}/{below}"))  # type: ignore[misc]
            files.update(f"{relative}/{file}" for file in inside)
    return sorted(files)


def _is_left_out(directory: str, ignored: GitIgnores) -> bool:
    """Does the scan of the project not enter the directory, or one around it?"""
    parts = [] if directory == "." else directory.split("/")
    around = ["/".join(parts[: number + 1]) + "/" for number in range(len(parts))]
    return not SKIPPED_DIRECTORIES.isdisjoint(parts) or any(ignored.match(path) for path in around)


def _relative(path: str, root: str) -> str:
    return os.path.relpath(path, root).replace(os.sep, "/")


def _wanted(tree: _Tree, files: list[str]) -> frozenset[str]:
    """The files to report on: below the given paths, tests and migrations only when named or asked for."""
    wanted: set[str] = set()
    for path in tree.selected:
        relative = _relative(path, tree.root)
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


def _facts(tree: _Tree, path: str, wanted: bool, sources: dict[str, bytes], unread: list[Unread]) -> Node | None:
    if not wanted and (is_test(path) or is_migration(path)):
        return None
    try:
        data = read(os.path.join(tree.root, path), LARGEST_FILE)
    except OSError as error:
        if wanted:
            unread.append(Unread(_display(tree, path), error.strerror or str(error)))
        return None
    sources[path] = data
    try:
        return facts_of(data)
    except NotAnalysed as error:
        del sources[path]  # nothing more can be said about it, not of its comments either
        if wanted:
            unread.append(Unread(_display(tree, path), str(error)))
        return None


def _lines(data: bytes) -> list[str]:
    return decode(data).replace("\r\n", "\n").replace("\r", "\n").split("\n")  # Python's; str.splitlines knows more


def decode(data: bytes) -> str:
    """Source text for display, by its encoding cookie, whatever is wrong with it."""
    import io
    import tokenize

    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding, "replace").removeprefix("\ufeff")
    except (SyntaxError, LookupError):
        return data.decode("utf-8", "replace")


def _of_rule(program: Program, rule: Rule) -> Iterable[Finding]:
    """A rule's findings; of equal ones on one line the first."""
    seen: set[tuple[str, int]] = set()
    for finding in rule.check(program):
        key = (finding.at.path, finding.at.line)
        if key not in seen:
            seen.add(key)
            function = program.function_name(finding.at)
            yield replace(finding, rule=rule.code, name=rule.name, function=function)


def _selected(tree: _Tree, findings: list[Finding], wanted: frozenset[str]) -> list[Finding]:
    ignores = [(Patterns((pattern,)), codes) for pattern, codes in tree.settings.per_file_ignores]
    shown = []
    for finding in findings:
        if finding.at.path not in wanted or finding.rule not in tree.codes:
            continue
        if any(finding.rule.startswith(codes) and patterns.match(finding.at.path) for patterns, codes in ignores):
            continue
        shown.append(finding)
    return shown


def _suppressed(
    findings: list[Finding], sources: dict[str, bytes], wanted: frozenset[str], tree: _Tree, known: tuple[Rule, ...]
) -> list[Finding]:
    by_path: dict[str, list[Finding]] = {}
    for finding in findings:
        by_path.setdefault(finding.at.path, []).append(finding)
    codes = frozenset(rule.code for rule in known)
    for path in sorted(wanted):
        data = sources.get(path, b"")
        if b"hermetic:" in data:
            comments = suppress.read(path, decode(data))
            by_path[path] = suppress.apply(by_path.get(path, []), comments, tree.codes, codes)
    return [finding for path in sorted(by_path) for finding in by_path[path]]


def _fingerprinted(findings: list[Finding], program: Program) -> list[Finding]:
    """Fingerprints survive edits elsewhere: they are made of names and the line's text, not of its number."""
    count: dict[str, int] = {}
    out = []
    for finding in sorted(findings, key=lambda finding: (finding.at, finding.rule)):
        lines = program.lines(finding.at.path)
        text = " ".join(lines[finding.at.line - 1].split()) if finding.at.line <= len(lines) else ""
        key = "\0".join((finding.rule, finding.at.path, finding.function, text))
        count[key] = count.get(key, 0) + 1
        digest = blake2b(f"{key}\0{count[key]}".encode("utf-8", "replace"), digest_size=8).hexdigest()
        out.append(replace(finding, fingerprint=digest))
    return out


def _display(tree: _Tree, path: str) -> str:
    """A path as the user would write it: relative to the working directory."""
    return os.path.relpath(os.path.join(tree.root, path)).replace(os.sep, "/")


def _for_display(tree: _Tree, finding: Finding) -> Finding:
    trace = tuple(Step(_shown_at(tree, step.at), step.text) for step in finding.trace)
    return replace(finding, at=_shown_at(tree, finding.at), trace=trace)


def _shown_at(tree: _Tree, at: Position) -> Position:
    return replace(at, path=_display(tree, at.path))


__all__ = ["Request", "SettingsError", "UsageError", "check", "decode", "program_around", "solve"]

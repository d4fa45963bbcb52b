"""The pipeline: discover, read, lower, link, solve, ask the rules, suppress, order."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, replace
from functools import cache
from hashlib import blake2b

from hermetic import requirements, rules as rule_files
from hermetic.cache.caches import Caches
from hermetic.cache.stored import Texts
from hermetic.engine.ir import Node
from hermetic.engine.link import Codebase
from hermetic.engine.program import Program, Versions
from hermetic.engine.solve import Solver
from hermetic.files import SUPPRESSION, decode
from hermetic.finding import Finding, Position, Severity, Step
from hermetic.measures import Measures
from hermetic.patterns import Patterns
from hermetic.reading import Progress, Reading, read
from hermetic.report import runtime, suppress
from hermetic.report.results import NotAnalysed as Unread, Results, Summary
from hermetic.report.runtime import Seen
from hermetic.rule import Rule
from hermetic.settings import SettingsError
from hermetic.tree import Request, Tree, UsageError, trees

# The interpreter recurses with the nesting of the code under analysis and with its call chains.
RECURSION_LIMIT = 40_000


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A program with its census. `files` are those to report on, `display` makes their paths ones to show."""

    program: Program
    files: frozenset[str]
    findings: tuple[Finding, ...]
    not_analysed: tuple[Unread, ...]
    display: Callable[[str], str]


def check(
    request: Request,
    progress: Progress = lambda done, total: None,
    caches: Caches | None = None,
    measures: Measures | None = None,
) -> Results:
    """Check paths, with what the caches have, if any. Raises UsageError for a path that does not exist, SettingsError
    for settings of no use."""
    collecting = gc.isenabled()
    gc.disable()  # what a run builds is large, acyclic and needed to its end; the collector would only walk it
    try:
        return _check(request, progress, caches, measures or Measures())
    finally:
        if collecting:
            gc.enable()


def _check(request: Request, progress: Progress, caches: Caches | None, measures: Measures) -> Results:
    began = time.perf_counter()
    known = rule_files.load()
    findings: list[Finding] = []
    unread: list[Unread] = []
    counts = [0, 0, 0, 0]
    strict: list[Finding] = []  # warnings of projects in which warnings fail
    for tree in _trees(request, known):
        memory = None if caches is None else caches.of(tree.root, tree.looked, tree.places)
        measures.ended("settings and cache")
        reading = read(tree, progress, memory, request.jobs, measures)
        unread += reading.unread
        shown = _check_tree(tree, reading, known, request, findings, counts, strict, measures)
        if memory is not None:
            memory.hangs_on(_texts(tree, reading, shown))
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


def _trees(request: Request, known: tuple[Rule, ...]) -> list[Tree]:
    return trees(request, tuple(rule.code for rule in known))


def _check_tree(
    tree: Tree,
    reading: Reading,
    known: tuple[Rule, ...],
    request: Request,
    findings: list[Finding],
    counts: list[int],
    strict: list[Finding],
    measures: Measures,
) -> list[Finding]:
    """Add what one tree gives. Returns its findings, with paths as the program has them."""
    program = _solved(tree, reading, measures=measures, files=reading.wanted)
    wanted = reading.wanted
    counts[0] += len(wanted)
    reported = {function.id for function in program.code.functions if program.code.path_of(function) in wanted}
    counts[1] += len(reported)
    counts[2] += sum(function in reported for function in program.session_sites())
    counts[3] += sum(function in reported for function, _ in program.solver.unresolved)
    shown = _fingerprinted(_found(tree, program, reading, known, request), program)
    findings.extend(_for_display(tree, finding) for finding in shown)
    measures.ended("rules")
    if tree.settings.strict:
        strict.extend(finding for finding in shown if finding.severity == Severity.WARNING)
    return shown


def _texts(tree: Tree, reading: Reading, findings: list[Finding]) -> Texts:
    """What the findings hang on beside facts."""
    found: Texts = {os.path.join(tree.root, path): None for path in reading.wanted if _has_suppressions(reading, path)}
    for at in (at for finding in findings for at in (finding.at, *(step.at for step in finding.trace))):
        named = found.setdefault(os.path.join(tree.root, at.path), {})
        if named is not None:
            text = reading.lines(at.path)
            named.update({line: text[line - 1] for line in (at.line, at.end_line) if line <= len(text)})
    return found


def _found(tree: Tree, program: Program, reading: Reading, known: tuple[Rule, ...], request: Request) -> list[Finding]:
    """What the rules find in the wanted files, and what a run has, by settings and suppression comments; weak evidence
    only if asked."""
    least = Severity.HINT if request.hints else Severity.WARNING
    found = _of_rules(program, known, reading.wanted)
    if request.seen:
        found = runtime.confirm(found, (_in_tree(tree, seen) for seen in request.seen), least)
    shown = _suppressed(_selected(tree, found, reading.wanted), reading, tree, known)
    return [finding for finding in shown if finding.severity >= least]


def _in_tree(tree: Tree, seen: Seen) -> Seen:
    """With paths as the program has them."""
    finding = seen.finding

    def inside(at: Position) -> Position:
        return replace(at, path=tree.relative(os.path.abspath(at.path)))

    trace = tuple(Step(inside(step.at), step.text) for step in finding.trace)
    return Seen(replace(finding, at=inside(finding.at), trace=trace), seen.tests)


def _solved(
    tree: Tree,
    reading: Reading,
    takes_census: bool = False,
    measures: Measures | None = None,
    files: Container[str] | None = None,
) -> Program:
    """The solved program of a tree, or as much of it as matters for some files."""
    return solve(
        reading.facts,
        reading.lines,
        tree.settings.src,
        tree.settings.slow_calls,
        cache(lambda library, directory: requirements.versions(tree.root, directory, library, tree.looked.read)),
        takes_census,
        measures,
        files,
    )


def survey(
    request: Request, progress: Progress = lambda done, total: None, caches: Caches | None = None
) -> list[Surveyed]:
    """The programs around the paths with their census, and what `check` finds in the files below the paths.

    Raises UsageError for a path that does not exist, SettingsError for settings of no use.
    """
    known = rule_files.load()
    surveyed = []
    for tree in _trees(request, known):
        memory = None if caches is None else caches.of(tree.root, tree.looked, tree.places)
        reading = read(tree, progress, memory)
        program = _solved(tree, reading, takes_census=True)
        shown = [_for_display(tree, finding) for finding in _found(tree, program, reading, known, request)]
        surveyed.append(Surveyed(program, reading.wanted, tuple(shown), tuple(reading.unread), tree.display))
    return surveyed


def program_around(path: str, progress: Progress = lambda done, total: None) -> tuple[Program, str]:
    """The solved program of the project around a path, and the project's root.

    Raises UsageError for a path that does not exist, SettingsError for settings of no use.
    """
    (tree,) = _trees(Request((path,)), rule_files.load())
    return _solved(tree, read(tree, progress)), tree.root


def solve(
    facts: list[tuple[str, Node | None]],
    lines: Callable[[str], list[str]],
    source_roots: tuple[str, ...] = (),
    slow_calls: tuple[str, ...] = (),
    versions: Versions = lambda library, directory: None,
    takes_census: bool = False,
    measures: Measures | None = None,
    files: Container[str] | None = None,
) -> Program:
    """Link facts and interpret every function in them, or, if only some files matter, what is needed for those."""
    measures = measures or Measures()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, RECURSION_LIMIT))
    try:
        solver = Solver(Codebase(facts, source_roots), slow_calls, takes_census)
        measures.count("functions", len(solver.code.functions))
        measures.ended("link")
        measures.count("functions that can have to do with sessions", len(solver.select()))
        measures.ended("relevance")
        solver.solve(files)
        measures.count("summaries", solver.size)
        measures.ended("interpret")
        program = Program(solver, lines, versions)
        measures.ended("contexts")
        return program
    finally:
        sys.setrecursionlimit(limit)


def _of_rules(program: Program, known: tuple[Rule, ...], wanted: frozenset[str]) -> list[Finding]:
    """What all rules find. Where tests are wanted, too, the rest is judged as if they were not there: how a test calls
    a function says nothing of the function."""
    tests = {module.path for module in program.code.modules if program.code.is_test(module.number)} & wanted
    if not tests:
        return [finding for rule in known for finding in _of_rule(program, rule)]
    found = [finding for rule in known for finding in _of_rule(program, rule) if finding.at.path in tests]
    program.with_tests = False
    found += [finding for rule in known for finding in _of_rule(program, rule) if finding.at.path not in tests]
    program.with_tests = True
    return found


def _of_rule(program: Program, rule: Rule) -> Iterable[Finding]:
    """A rule's findings; of equal ones on one line the first."""
    seen: set[tuple[str, int]] = set()
    for finding in rule.check(program):
        key = (finding.at.path, finding.at.line)
        if key not in seen:
            seen.add(key)
            function = program.function_name(finding.at)
            yield replace(finding, rule=rule.code, name=rule.name, function=function)


def _selected(tree: Tree, findings: list[Finding], wanted: frozenset[str]) -> list[Finding]:
    ignores = [(Patterns((pattern,)), codes) for pattern, codes in tree.settings.per_file_ignores]
    shown = []
    for finding in findings:
        if finding.at.path not in wanted or finding.rule not in tree.codes:
            continue
        if any(finding.rule.startswith(codes) and patterns.match(finding.at.path) for patterns, codes in ignores):
            continue
        shown.append(finding)
    return shown


def _has_suppressions(reading: Reading, path: str) -> bool:
    return SUPPRESSION in reading.sources.get(path, b"")


def _suppressed(findings: list[Finding], reading: Reading, tree: Tree, known: tuple[Rule, ...]) -> list[Finding]:
    by_path: dict[str, list[Finding]] = {}
    for finding in findings:
        by_path.setdefault(finding.at.path, []).append(finding)
    codes = frozenset(rule.code for rule in known)
    for path in sorted(reading.wanted):
        if _has_suppressions(reading, path):
            comments = suppress.read(path, decode(reading.sources[path]))
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


def _for_display(tree: Tree, finding: Finding) -> Finding:
    trace = tuple(Step(_shown_at(tree, step.at), step.text) for step in finding.trace)
    sighting = finding.sighting and replace(finding.sighting, at=_shown_at(tree, finding.sighting.at))
    return replace(finding, at=_shown_at(tree, finding.at), trace=trace, sighting=sighting)


def _shown_at(tree: Tree, at: Position) -> Position:
    return replace(at, path=tree.display(at.path))


__all__ = ["Request", "SettingsError", "UsageError", "check", "decode", "program_around", "solve"]

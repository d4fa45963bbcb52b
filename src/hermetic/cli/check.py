"""`hermetic check`."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from hermetic import kept
from hermetic.cache.caches import Caches
from hermetic.cache.memory import Printed
from hermetic.cache.stored import Key
from hermetic.cli import instant, terminal
from hermetic.cli.progress import Bar
from hermetic.engine.scan import find_root, without_links
from hermetic.measures import Measures
from hermetic.report import packed, runtime
from hermetic.report.results import Results
from hermetic.report.runtime import ReportError
from hermetic.settings import SettingsError
from hermetic.tree import Request, UsageError

FINDINGS, USAGE, NOT_ANALYSED = 1, 2, 3

STDIN = "-"
WITHOUT_CODE = frozenset(("json", "concise"))  # formats that show no lines of the source


def run(options: Namespace) -> int:
    """Check the paths and print what was found; returns the exit code."""
    try:
        _check_place()
        request = _request(options)
        if options.watch:
            from hermetic.cli import watch

            return watch.run(request.paths, lambda: run_once(request, options))
        return run_once(request, options)
    except (UsageError, SettingsError, ReportError) as error:
        print(f"hermetic: {error}", file=sys.stderr)
        return USAGE


def run_once(request: Request, options: Namespace) -> int:
    """Check, print and keep. Raises UsageError and SettingsError."""
    measures = Measures()
    caches = None if options.no_cache else Caches()
    is_for_once = _is_for_once(options)
    results = None if caches is None or is_for_once else _kept(request, caches)
    if results is None:
        from hermetic.driver import check

        bar = Bar(sys.stderr)
        try:
            results = check(request, bar.update, caches, measures)
        finally:
            bar.clear()
    report = _render(results, options.output_format, request.unsaved or {})
    if report:
        terminal.write(report)
    measures.ended("report")
    exit_code = _exit_code(results, options.exit_zero)
    if caches is not None:
        caches.save(None if is_for_once else _printed(results, report, exit_code, request, options))
        for notice in caches.notices():
            print(f"hermetic: {notice}", file=sys.stderr)
    measures.ended("save cache")
    if options.timings or options.statistics:
        from hermetic.cli import figures

        figures.show(measures, caches, options.timings, options.statistics)
    return exit_code


def _kept(request: Request, caches: Caches) -> Results | None:
    """The results of an earlier run, if they still hold."""
    began = time.perf_counter()
    root = find_root(os.path.abspath(request.paths[0]))
    results = kept.results(caches, root, _results_key(request), _met(request, root))
    if results is None:
        return None
    return replace(results, summary=replace(results.summary, seconds=time.perf_counter() - began))


def _printed(results: Results, report: str, exit_code: int, request: Request, options: Namespace) -> Printed:
    """What later runs can print again."""
    before, after = _around_seconds(report, results, options.output_format)
    key = None if request.unsaved else instant.key_of(options.given)  # what comes on standard input is not compared
    shows_code = options.output_format not in WITHOUT_CODE
    return Printed(key, exit_code, before, after, _results_key(request), packed.pack(results), shows_code)


def _results_key(request: Request) -> Key:
    return (os.getcwd(), request.paths, tuple(request.unsaved or ()), request.flags, request.isolated, request.hints)


def _met(request: Request, root: str) -> dict[str, bytes]:
    """The texts that stand for files, by the paths under which the scan meets these."""
    return {without_links(path, root): text for path, text in (request.unsaved or {}).items()}


def _request(options: Namespace) -> Request:
    """What the arguments ask for. Raises UsageError where they contradict each other, ReportError for a report of a run
    that cannot be used."""
    flags = {
        "select": _tuple(options.select),
        "ignore": _tuple(options.ignore),
        "exclude": _tuple(options.exclude),
        "tests": options.tests,
        "migrations": options.migrations,
        "strict": options.strict,
    }
    paths, unsaved = tuple(options.paths or ["."]), None
    if options.stdin_filename is not None:
        if options.paths not in ([], [STDIN]):
            raise UsageError("with --stdin-filename the only path is `-`")
        if options.watch:
            raise UsageError("--watch waits for files to be saved, and standard input never is")
        paths, unsaved = (options.stdin_filename,), {os.path.abspath(options.stdin_filename): sys.stdin.buffer.read()}
    elif STDIN in paths:
        raise UsageError("`-` needs --stdin-filename: where the text belongs decides what it means")
    seen = runtime.read(options.runtime) if options.runtime is not None else ()
    return Request(paths, tuple(flags.items()), options.isolated, options.all, unsaved, options.jobs, seen)


def _check_place() -> None:
    try:
        os.getcwd()
    except OSError:
        raise UsageError("the working directory does not exist any more") from None


def _tuple(given: list[str] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(given)


def _is_for_once(options: Namespace) -> bool:
    """Is it a run that asks for more than its report, or whose report hangs on more than sources?"""
    figures = options.timings or options.statistics
    return bool(options.watch or figures or options.runtime is not None)


def _render(results: Results, output_format: str, unsaved: Mapping[str, bytes]) -> str:
    if output_format == "json":
        from hermetic.report import json

        return json.render(results)
    if output_format == "concise":
        from hermetic.report import concise

        return concise.render(results)
    from hermetic.report import excerpt, text

    @cache
    def lines(path: str) -> tuple[str, ...]:
        written = unsaved.get(os.path.abspath(path))
        return excerpt.read_lines(path) if written is None else excerpt.lines_in(written)

    return text.render(results, terminal.styles_for(sys.stdout), terminal.width(), lines)


def _around_seconds(report: str, results: Results, output_format: str) -> tuple[str, str | None]:
    """A report before and after the time that it names, which is another in each run."""
    if output_format == "concise":
        return report, None
    before, _, after = report.rpartition(instant.seconds(results.summary.seconds))
    return before, after


def _exit_code(results: Results, exit_zero: bool) -> int:
    if results.fails and not exit_zero:
        return FINDINGS
    if results.not_analysed and not results.fails:
        return NOT_ANALYSED
    return 0

"""`hermetic check`."""

from __future__ import annotations

import os
import sys
from argparse import Namespace

from hermetic.cache.caches import Caches
from hermetic.cli import instant, terminal
from hermetic.cli.progress import Bar
from hermetic.driver import Request, UsageError, check
from hermetic.report.results import Results
from hermetic.settings import SettingsError

FINDINGS, USAGE, NOT_ANALYSED = 1, 2, 3


def run(options: Namespace) -> int:
    """Check the paths and print what was found; returns the exit code."""
    flags = {
        "select": _tuple(options.select),
        "ignore": _tuple(options.ignore),
        "exclude": _tuple(options.exclude),
        "tests": options.tests,
        "migrations": options.migrations,
        "strict": options.strict,
    }
    request = Request(tuple(options.paths), tuple(flags.items()), options.isolated, options.all)
    caches = None if options.no_cache else Caches()
    bar = Bar(sys.stderr)
    try:
        _check_place()
        results = check(request, bar.update, caches)
    except (UsageError, SettingsError) as error:
        bar.clear()
        print(f"hermetic: {error}", file=sys.stderr)
        return USAGE
    finally:
        bar.clear()
    report = _render(results, options.output_format)
    if report:
        terminal.write(report)
    exit_code = _exit_code(results, options.exit_zero)
    if caches is not None:
        caches.save(instant.key_of(options.given), exit_code, _around_seconds(report, results, options.output_format))
        for notice in caches.notices():
            print(f"hermetic: {notice}", file=sys.stderr)
    return exit_code


def _check_place() -> None:
    try:
        os.getcwd()
    except OSError:
        raise UsageError("the working directory does not exist any more") from None


def _tuple(given: list[str] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(given)


def _render(results: Results, output_format: str) -> str:
    if output_format == "json":
        from hermetic.report import json

        return json.render(results)
    if output_format == "concise":
        from hermetic.report import concise

        return concise.render(results)
    from hermetic.report import text

    return text.render(results, terminal.styles_for(sys.stdout), terminal.width())


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

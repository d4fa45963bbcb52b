"""`hermetic review`."""

from __future__ import annotations

import sys
from argparse import Namespace

from hermetic.cache.caches import Caches
from hermetic.cli.progress import Bar
from hermetic.cli.terminal import styles_for, write
from hermetic.driver import Request, SettingsError, UsageError, survey
from hermetic.report import runtime
from hermetic.report.answers import Review
from hermetic.report.runtime import ReportError
from hermetic.review import review

USAGE, NOT_ANALYSED = 2, 3


def run(options: Namespace) -> int:
    """Answer the six questions for the paths; returns the exit code."""
    flags = {"tests": options.tests, "migrations": options.migrations}
    caches = None if options.no_cache else Caches()
    bar = Bar(sys.stderr)
    try:
        seen = runtime.read(options.runtime) if options.runtime is not None else ()
        request = Request(tuple(options.paths), tuple(flags.items()), options.isolated, seen=seen)
        found = review(survey(request, bar.update, caches))
    except (UsageError, SettingsError, ReportError) as error:
        bar.clear()
        print(f"hermetic: {error}", file=sys.stderr)
        return USAGE
    finally:
        bar.clear()
    write(_render(found, options.output_format))
    if caches is not None:
        caches.save(None)
        for notice in caches.notices():
            print(f"hermetic: {notice}", file=sys.stderr)
    return NOT_ANALYSED if found.not_analysed else 0


def _render(found: Review, output_format: str) -> str:
    if output_format == "json":
        from hermetic.report import review_json

        return review_json.render(found)
    if output_format == "markdown":
        from hermetic.report import review_markdown

        return review_markdown.render(found)
    from hermetic.report import review_text

    return review_text.render(found, styles_for(sys.stdout))

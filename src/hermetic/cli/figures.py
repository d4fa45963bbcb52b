"""`--timings` and `--statistics`: figures about a run, on stderr, beside its report."""

from __future__ import annotations

import os
import sys

from hermetic.cache.caches import Caches
from hermetic.measures import Measures


def show(measures: Measures, caches: Caches | None, timings: bool, statistics: bool) -> None:
    """Print where the time went, and how much there was to do."""
    rows: list[tuple[str, str]] = []
    if timings:
        rows += [(stage, f"{seconds:.3f} s") for stage, seconds in measures.seconds.items()]
        rows.append(("together, without start-up", f"{sum(measures.seconds.values()):.3f} s"))
    if statistics:
        rows += [(what, f"{number:,}") for what, number in measures.counts.items()]
    width = max(len(name) for name, _ in rows)
    longest = max(len(figure) for _, figure in rows)
    for name, figure in rows:
        print(f"{name:{width}}  {figure:>{longest}}", file=sys.stderr)
    if statistics:
        for path in caches.paths() if caches is not None else ():
            print(f"cache: {path}, {_size(path)}", file=sys.stderr)
        if caches is None:
            print("cache: not used", file=sys.stderr)


def _size(path: str) -> str:
    try:
        return f"{os.path.getsize(path) / 1e6:.1f} MB"
    except OSError:
        return "not there"

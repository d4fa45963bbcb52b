"""`hermetic trace FILE`."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from hermetic import files
from hermetic.cli.terminal import write
from hermetic.report.html.trace import render
from hermetic.report.style import printable
from hermetic.report.trace_events import Trace, TraceError
from hermetic.report.trace_reader import read

USAGE = 2

# Reading takes some five times as much memory: 1.4 GB for 272 MB, and a million events.
LARGEST_FILE = 512 * 1024 * 1024


def run(options: Namespace) -> int:
    """Write the page of a trace; returns the exit code."""
    source = Path(options.file)
    try:
        trace = read(files.read(str(source), LARGEST_FILE))
    except TraceError as error:
        return _refuse(f"no hermetic trace: {source}: {error}")
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL byte in it
        return _refuse(f"cannot read {source}: {_reason(error)}")
    target = Path(options.output) if options.output else source.with_suffix(".html")
    try:
        if target.exists() and target.samefile(source):
            return _refuse(f"{target} is the trace itself; name another file with --output")
        target.write_text(render(trace, source.name), encoding="utf-8")
    except (OSError, ValueError) as error:
        return _refuse(f"cannot write {target}: {_reason(error)}")
    write(printable(f"{target}: {_summary(trace)}"))
    return 0


def _refuse(message: str) -> int:
    print(f"hermetic: {printable(message)}", file=sys.stderr)
    return USAGE


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return str(error)


def _summary(trace: Trace) -> str:
    marks = [mark for lane in trace.sessions for mark in lane.marks]
    marks += [mark for lane in trace.pools for mark in lane.marks]
    parts = [
        _count(len(trace.sessions), "session"),
        _count(sum(len(lane.statements) for lane in trace.sessions), "statement"),
        f"{_count(sum(len(lane.waits) for lane in trace.sessions), 'idle gap')} in transactions",
        _count(len(marks), "finding"),
    ]
    notes = [f"not recorded: {trace.left_out}"] if trace.left_out else []
    if trace.unread:
        notes.append(f"{_count(trace.unread, 'event')} could not be read")
    return "; ".join([", ".join(parts), *notes])


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"

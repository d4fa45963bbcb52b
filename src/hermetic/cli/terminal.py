"""The streams of a command: what they can show, and what to do when nobody reads them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import NoReturn, TextIO

from hermetic.report.style import COLOUR, PLAIN, Styles


class OutputError(Exception):
    """The output could not be written; the message says why."""


def prepare() -> None:
    """Make sure that both streams are there, and take any text: a path may hold what the encoding has no sign for."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - until the process ends
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write(text: str) -> None:
    """Print to stdout. A reader that has had enough (`| head`) is no failure.

    Raises OutputError if the text cannot be written for any other reason.
    """
    try:
        print(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
    except OSError as error:
        _drop_output()
        raise OutputError(f"cannot write the output: {error.strerror or error}") from None


def _drop_output() -> None:
    """The interpreter flushes stdout once more at its end, and must not complain then."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def leave(code: int) -> NoReturn:
    """End the process at once: freeing a large program object by object takes as long as parsing half of it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


def styles_for(stream: TextIO) -> Styles:
    """https://no-color.org: NO_COLOR, present and not empty, wins over everything."""
    if os.environ.get("NO_COLOR"):
        return PLAIN
    if os.environ.get("FORCE_COLOR"):
        return COLOUR
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return PLAIN
    return COLOUR

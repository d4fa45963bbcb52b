"""The streams of a command: what they can show, and what to do when nobody reads them.

A report that is printed again goes through here too, so this file imports next to nothing.
"""

from __future__ import annotations

import io
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, TextIO

    from hermetic.report.style import Styles

WIDTH = 100  # of what is no terminal


class OutputError(Exception):
    """The output could not be written; the message says why."""


class Ended(SystemExit):
    """A program that ran in this process has ended: the process ends as Python ends it, and nothing is cut short."""

    def __init__(self, code: int, interrupted: bool) -> None:
        super().__init__(code)
        self.interrupted = interrupted


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
        try:  # noqa: SIM105 - what contextlib would take to import
            stream.flush()
        except (OSError, ValueError):  # nobody reads it any more
            pass
    os._exit(code)


def styles_for(stream: TextIO) -> Styles:
    """Colours where a stream shows them."""
    from hermetic.report.style import COLOUR, PLAIN

    return COLOUR if is_coloured(stream) else PLAIN


def is_coloured(stream: TextIO) -> bool:
    """https://no-color.org: NO_COLOR, present and not empty, wins over everything."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def width() -> int:
    """The columns of the terminal, as `shutil.get_terminal_size` finds them."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or WIDTH  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):
        return WIDTH

"""The arguments of every command."""

from __future__ import annotations

import os
from argparse import (
    REMAINDER,
    ArgumentParser,
    ArgumentTypeError,
    HelpFormatter,
    RawDescriptionHelpFormatter,
    _SubParsersAction,
)
from collections.abc import Iterable
from typing import Any, NoReturn

from hermetic import __version__
from hermetic.cli import terminal

COMMANDS = ("check", "clean", "debug", "explain", "review", "rules", "run", "trace")
FORMATS = ("text", "concise", "json")
REVIEW_FORMATS = ("text", "markdown", "json")
RUN_MODES = ("tests", "production")
VIEWS = ("ir", "summary", "cfg")


class _Parser(ArgumentParser):
    """An ArgumentParser that suggests the nearest command, choice or flag."""

    def __init__(self, **options: Any) -> None:
        # Abbreviated flags would stop working with the next flag that begins alike.
        super().__init__(allow_abbrev=False, **{"formatter_class": _wrapped, **options})

    def error(self, message: str) -> NoReturn:
        unknown = message.partition("unrecognized arguments: ")[2].split()
        if unknown:
            flag = next((word for word in unknown if word.startswith("-")), unknown[0]).partition("=")[0]
            message = f"unknown `{flag}`{_nearest(flag, self.flags())}"
        elif "invalid choice" in message and "'" in message:
            given = message.split("'")[1]
            if message.startswith("argument COMMAND") and os.path.lexists(given):
                message = f"`{given}` is no command; did you mean `hermetic check {given}`?"
            else:
                message = (
                    f"unknown `{given}`{_nearest(given, (*COMMANDS, *FORMATS, *REVIEW_FORMATS, *RUN_MODES, *VIEWS))}"
                )
        super().error(message)

    def flags(self) -> list[str]:
        """The flags of this parser and of the commands below it."""
        found: list[str] = []
        for action in self._actions:
            found += action.option_strings
            if isinstance(action, _SubParsersAction):
                for command in action.choices.values():
                    found += command.flags()
        return found


# Each argument that is added makes a formatter, which would import shutil to ask for the width of the terminal.


def _wrapped(prog: str) -> HelpFormatter:
    return HelpFormatter(prog, width=terminal.width() - 2)


def _as_written(prog: str) -> HelpFormatter:
    return RawDescriptionHelpFormatter(prog, width=terminal.width() - 2)


def _nearest(given: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(given, sorted(set(known)), 1)
    return f"; did you mean `{near[0]}`?" if near else ""


def parser() -> ArgumentParser:
    """The parser of the command line."""
    top = _Parser(
        prog="hermetic",
        description="Airtight SQLAlchemy sessions: find leaks, sharing, blocking and lost writes before they page you.",
        epilog="Documentation of a rule: hermetic explain SES001",
        formatter_class=_as_written,
    )
    top.add_argument("--version", action="version", version=f"hermetic {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    _check(commands)
    _review(commands)
    rules = commands.add_parser("rules", help="list the rules")
    rules.add_argument("--output-format", choices=("text", "json"), default="text", help="default: text")
    explain = commands.add_parser("explain", help="print a rule's documentation")
    explain.add_argument("rule", help="a code or name, such as SES001 or session-not-closed")
    _run(commands)
    _trace(commands)
    _debug(commands)
    clean = commands.add_parser(
        "clean",
        help="remove the cache",
        description="Remove what `hermetic check` has kept of all projects; it says where that is, and how large.",
    )
    clean.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    return top


def _review(commands: _SubParsersAction[_Parser]) -> None:
    review = commands.add_parser(
        "review",
        help="answer the six questions of a session review",
        description="Answer the six questions of a session review, with numbers and the places that break them.",
    )
    review.add_argument("paths", nargs="*", default=["."], metavar="PATH", help="files or directories (default: .)")
    review.add_argument("--output-format", choices=REVIEW_FORMATS, default="text", help="default: text")
    review.add_argument("--tests", action="store_true", default=None, help="count tests too")
    review.add_argument("--migrations", action="store_true", default=None, help="count migrations too")
    _runtime(review)
    review.add_argument("--isolated", action="store_true", help="read no settings file")
    review.add_argument("--no-cache", action="store_true", help="neither read nor write the cache")


def _run(commands: _SubParsersAction[_Parser]) -> None:
    run = commands.add_parser(
        "run",
        help="run a program and watch its sessions",
        usage="hermetic run [option ...] (-m MODULE | SCRIPT) [argument ...]",
        description="Run a program as `python` would, and watch its SQLAlchemy sessions. What is found is printed to "
        "stderr when the program ends. Its exit code is kept; if that is 0 and an error was found, it is 1. "
        "Options stand before the program; what follows it is the program's.",
    )
    run.add_argument(
        "--mode",
        choices=RUN_MODES,
        default="tests",
        help="tests runs every detector (default); production what costs next to nothing",
    )
    run.add_argument("--report", metavar="FILE", help="write the findings to FILE, as JSON")
    run.add_argument("--trace", metavar="FILE", help="record what sessions and pools do, for `hermetic trace FILE`")
    run.add_argument(
        "--idle-ms",
        type=_milliseconds,
        default=500,
        metavar="N",
        help="how long a transaction may wait for anything but the database (default: 500)",
    )
    run.add_argument("--ignore", action="extend", type=_codes, metavar="CODES", help="not these rules")
    run.add_argument("--exit-zero", action="store_true", help="findings do not fail")
    run.add_argument("-m", dest="module", nargs=REMAINDER, metavar="MODULE", help="run a module, as `python -m`")
    run.add_argument("program", nargs=REMAINDER, metavar="SCRIPT", help="a file, or a directory with a __main__.py")


def _trace(commands: _SubParsersAction[_Parser]) -> None:
    trace = commands.add_parser(
        "trace",
        help="make a page of a recorded trace",
        description="Make one HTML page of a trace that hermetic recorded: what each session did and when it was idle "
        "in a transaction, how many connections of each pool were in use, and what was found. The page needs no "
        "network. Other viewers of Chrome traces, such as Perfetto, open the same file.",
    )
    trace.add_argument("file", metavar="FILE", help="the recorded trace, such as out.json")
    trace.add_argument("-o", "--output", metavar="PAGE", help="the page to write (default: FILE, ending in .html)")


def _debug(commands: _SubParsersAction[_Parser]) -> None:
    debug = commands.add_parser(
        "debug",
        help="print what hermetic believes of a function",
        description="Print what hermetic believes of a function: `ir`, its statements as the analysis keeps them; "
        "`summary`, what callers and rules know of it; `cfg`, its blocks and the ways between and out of them.",
    )
    debug.add_argument("view", choices=VIEWS, metavar="VIEW", help="ir, summary or cfg")
    debug.add_argument(
        "function", metavar="FUNCTION", help="a dotted name, `file.py:Class.method`, or a line as `file.py:12`"
    )
    debug.add_argument("path", nargs="?", metavar="PATH", help="a path in the project (default: the file named, or .)")


def _check(commands: _SubParsersAction[_Parser]) -> None:
    check = commands.add_parser(
        "check",
        help="check code",
        description="Check Python code for session anti-patterns. The paths choose what is reported; what is read is "
        "the whole project around them. The code is never imported or run.",
        epilog="exit codes: 0 nothing that fails, 1 an error (with --strict a warning too), 2 usage or settings, "
        "3 a file could not be analysed, 4 internal error",
    )
    check.add_argument("paths", nargs="*", metavar="PATH", help="files and directories (default: .)")
    check.add_argument("--output-format", choices=FORMATS, default="text", help="default: text")
    check.add_argument(
        "--select", action="extend", type=_codes, metavar="CODES", help="only these rules (SES001,SES003 or SES00)"
    )
    check.add_argument("--ignore", action="extend", type=_codes, metavar="CODES", help="not these rules")
    check.add_argument("--exclude", action="append", metavar="PATTERN", help="paths not to read, as in .gitignore")
    check.add_argument("--tests", action="store_true", default=None, help="report on tests too")
    check.add_argument("--migrations", action="store_true", default=None, help="report on migrations too")
    check.add_argument("--strict", action="store_true", default=None, help="warnings fail as well")
    check.add_argument("--all", action="store_true", help="show hints too: findings on weak evidence")
    check.add_argument("--exit-zero", action="store_true", help="findings do not fail")
    _runtime(check)
    check.add_argument("--isolated", action="store_true", help="read no settings file")
    check.add_argument("--no-cache", action="store_true", help="neither read nor write the cache")
    check.add_argument("--jobs", type=_jobs, metavar="N", help="processes that parse (default: as many as pay)")
    check.add_argument(
        "--stdin-filename", metavar="PATH", help="report on this file, with the text on standard input in its place"
    )
    check.add_argument("--watch", action="store_true", help="check again whenever a file is saved")
    check.add_argument("--timings", action="store_true", help="say on stderr where the time went")
    check.add_argument("--statistics", action="store_true", help="say on stderr how much there was to do")


def _runtime(command: _Parser) -> None:
    command.add_argument(
        "--runtime",
        metavar="FILE",
        help="a report of `hermetic run --report` or `pytest --hermetic-report`: mark what it confirms, add what only "
        "it shows",
    )


def _milliseconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 < number < float("inf"):
        raise ArgumentTypeError(f"`{text}` is no number of milliseconds")
    return number


def _codes(text: str) -> tuple[str, ...]:
    codes = tuple(code.strip() for code in text.split(",") if code.strip())
    if not codes:
        raise ArgumentTypeError("at least one code is needed")
    return codes


def _jobs(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError("a number from 1 on is needed")
    return int(text)

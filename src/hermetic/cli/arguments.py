"""The arguments of every command."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter, _SubParsersAction
from difflib import get_close_matches
from typing import NoReturn

from hermetic import __version__

FORMATS = ("text", "concise", "json")


class _Parser(ArgumentParser):
    """An ArgumentParser that suggests the nearest command."""

    def error(self, message: str) -> NoReturn:
        if "invalid choice" in message and "'" in message:
            given = message.split("'")[1]
            near = get_close_matches(given, ("check", "explain", "rules", *FORMATS), 1)
            if near:
                message = f"unknown `{given}`; did you mean `{near[0]}`?"
        super().error(message)


def parser() -> ArgumentParser:
    """The parser of the command line."""
    top = _Parser(
        prog="hermetic",
        description="Airtight SQLAlchemy sessions: find leaks, sharing, blocking and lost writes before they page you.",
        epilog="Documentation of a rule: hermetic explain SES001",
        formatter_class=RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"hermetic {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    _check(commands)
    rules = commands.add_parser("rules", help="list the rules")
    rules.add_argument("--output-format", choices=("text", "json"), default="text", help="default: text")
    explain = commands.add_parser("explain", help="print a rule's documentation")
    explain.add_argument("rule", help="a code or name, such as SES001 or session-not-closed")
    return top


def _check(commands: _SubParsersAction[_Parser]) -> None:
    check = commands.add_parser(
        "check",
        help="check code",
        description="Check Python code for session anti-patterns. The paths choose what is reported; what is read is "
        "the whole project around them. The code is never imported or run.",
        epilog="exit codes: 0 nothing that fails, 1 an error (with --strict a warning too), 2 usage or settings, "
        "3 a file could not be analysed, 4 internal error",
    )
    check.add_argument("paths", nargs="*", default=["."], metavar="PATH", help="files and directories (default: .)")
    check.add_argument("--output-format", choices=FORMATS, default="text", help="default: text")
    check.add_argument("--select", type=_codes, metavar="CODES", help="only these rules (SES001,SES003 or SES00)")
    check.add_argument("--ignore", type=_codes, metavar="CODES", help="not these rules")
    check.add_argument("--exclude", action="append", metavar="PATTERN", help="paths not to read, as in .gitignore")
    check.add_argument("--tests", action="store_true", default=None, help="report on tests too")
    check.add_argument("--migrations", action="store_true", default=None, help="report on migrations too")
    check.add_argument("--strict", action="store_true", default=None, help="warnings fail as well")
    check.add_argument("--all", action="store_true", help="show hints too: findings on weak evidence")
    check.add_argument("--exit-zero", action="store_true", help="findings do not fail")
    check.add_argument("--isolated", action="store_true", help="read no settings file")
    check.add_argument("--no-cache", action="store_true", help="neither read nor write a cache")


def _codes(text: str) -> tuple[str, ...]:
    return tuple(code.strip() for code in text.split(",") if code.strip())

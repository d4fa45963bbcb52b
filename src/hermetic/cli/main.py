"""`hermetic COMMAND`: parse the arguments, load the command's file, run it, answer with an exit code.

Exit codes: 0 nothing that fails, 1 findings, 2 usage or settings, 3 files that could not be analysed, 4 internal error.
"""

from __future__ import annotations

import gc
import sys

from hermetic.cli import instant, terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

USAGE_ERROR, INTERNAL_ERROR, INTERRUPTED = 2, 4, 130


def process() -> NoReturn:
    """The process of a command: `main`, without the collector, and without taking everything apart at the end."""
    gc.disable()
    try:
        code: object = main()
    except terminal.Ended as ended:
        if ended.interrupted:  # it has been shown; Python makes the exit code of the signal from it
            sys.excepthook = lambda *_: None
            raise KeyboardInterrupt from None
        raise
    except SystemExit as end:  # argparse: help was shown, or the arguments are of no use
        code = end.code
    terminal.leave(code if isinstance(code, int) else 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Never raises for what the user or the tree under analysis did."""
    terminal.prepare()
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        known = instant.answer(given)
        if known is not None:
            return known
        from importlib import import_module

        from hermetic.cli.arguments import parser

        options = parser().parse_args(given)
        options.given = given
        command: Callable[[object], int] = import_module(f"hermetic.cli.{options.command}").run
        return command(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except terminal.OutputError as error:
        print(f"hermetic: {error}", file=sys.stderr)
        return USAGE_ERROR
    except Exception as error:
        return _internal_error(error)


def _internal_error(error: Exception) -> int:
    from hermetic.cli.crash import describe

    print(describe(error), file=sys.stderr)
    return INTERNAL_ERROR


if __name__ == "__main__":
    process()

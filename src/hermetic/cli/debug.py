"""`hermetic debug VIEW FUNCTION [PATH]`."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from difflib import get_close_matches

from hermetic.cli.progress import Bar
from hermetic.cli.terminal import write
from hermetic.driver import UsageError, program_around
from hermetic.engine.link import Function
from hermetic.engine.program import Program
from hermetic.report.style import printable
from hermetic.settings import SettingsError

USAGE = 2
# So many functions of one name, or names near a misspelt one, are listed.
MOST_LISTED = 8


def run(options: Namespace) -> int:
    """Print one view of each function that the name means."""
    file, _, name = options.function.rpartition(":")
    bar = Bar(sys.stderr)
    try:
        path = options.path or (file if file and os.path.isfile(file) else ".")
        program, root = program_around(path, bar.update)
        bar.clear()
        found = _find(program, _inside(file, root), name)
    except (UsageError, SettingsError) as error:
        bar.clear()
        print(f"hermetic: {error}", file=sys.stderr)
        return USAGE
    pages = [f"{program.code.path_of(fn)}:{fn.line}\n{_view(options.view, fn, program)}" for fn in found]
    write("\n".join(printable(line) for line in "\n\n".join(pages).split("\n")))
    return 0


def _view(view: str, fn: Function, program: Program) -> str:
    from hermetic.report import debug_cfg, debug_ir, debug_summary

    if view == "summary":
        return debug_summary.render(fn, program)
    return debug_ir.render(fn) if view == "ir" else debug_cfg.render(fn)


def _inside(file: str, root: str) -> str:
    """A file's name as the project has it: from the project's root, if there is such a file here."""
    if file and os.path.isfile(file):
        return os.path.relpath(os.path.realpath(file), os.path.realpath(root)).replace(os.sep, "/")
    return file.replace(os.sep, "/")


def _find(program: Program, file: str, name: str) -> list[Function]:
    """The functions meant; several only where one file defines one name more than once.

    Raises UsageError where there is none, or where several files have one.
    """
    functions = [fn for fn in program.code.functions if fn.name != "<lambda>" and _is_in(program, fn, file)]
    if file and not functions:
        raise UsageError(f"no such file in the project, or nothing in it: {file}")
    if file and name.isdigit():
        return [program.function_at((functions[0].module, (int(name), 0, int(name), 0), None))]
    found = [fn for fn in functions if fn.qualname == name or _dotted(program, fn) == name]
    found = found or [fn for fn in functions if f".{_dotted(program, fn)}".endswith(f".{name}")]
    if not found:
        raise UsageError(f"no function `{name}`{_nearest(program, functions, name)}")
    if len({(fn.module, fn.qualname) for fn in found}) > 1:
        places = [f"{program.code.path_of(fn)}:{fn.qualname}" for fn in found]
        more = ", …" if len(places) > MOST_LISTED else ""
        raise UsageError(f"`{name}` is the name of {len(places)} functions: {', '.join(places[:MOST_LISTED])}{more}")
    return found


def _is_in(program: Program, fn: Function, file: str) -> bool:
    return not file or f"/{program.code.path_of(fn)}".endswith(f"/{file}")


def _dotted(program: Program, fn: Function) -> str:
    """`app.db.Database.session`, from the project's root."""
    module = program.code.path_of(fn).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return f"{module}.{fn.qualname}"


def _nearest(program: Program, functions: list[Function], name: str) -> str:
    """Near names: of the whole, else of its last part."""
    names = sorted({fn.qualname for fn in functions})
    near = get_close_matches(name, names, 3)
    if not near:
        last = {fn.name: fn.qualname for fn in reversed(functions)}
        near = [last[part] for part in get_close_matches(name.rpartition(".")[2], sorted(last), 3)]
    return f"; did you mean {' or '.join(f'`{one}`' for one in near)}?" if near else ""

"""Another program, run in this process as `python` runs it: its arguments, its `sys.path[0]`, its `__main__`, its end.

Written by hand instead of with `runpy`, which takes `__main__` away again when the program's last line is done: threads
that go on, and what runs at the exit, still need it.
"""

from __future__ import annotations

import builtins
import io
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader, SourcelessFileLoader
from importlib.util import find_spec
from pkgutil import get_importer
from types import CodeType, ModuleType, TracebackType
from typing import Any

import hermetic

NOT_THE_PROGRAM = (os.path.dirname(hermetic.__file__) + os.sep, "<frozen importlib")


class ProgramError(Exception):
    """There is no such program; the message says why."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended. `interrupted`: by a KeyboardInterrupt, which Python turns into the signal's exit code."""

    code: int
    interrupted: bool = False


def run_module(name: str, arguments: Sequence[str]) -> Ended:
    """Run what `python -m NAME ARGUMENTS` runs. Raises ProgramError."""
    _become(["-m", *arguments], os.getcwd())

    def find() -> tuple[CodeType, dict[str, Any]]:
        spec = _spec_of(name)
        code = _code_of(spec, name)
        sys.argv[0] = spec.origin or name
        return code, _names(spec.origin, spec.loader, spec.parent, spec, spec.cached)

    return _run(find)


def run_script(path: str, arguments: Sequence[str]) -> Ended:
    """Run what `python PATH ARGUMENTS` runs: a file, or a directory or archive with a `__main__`.

    Raises ProgramError.
    """
    if not os.path.exists(path):
        raise ProgramError(f"no such file: {path}")
    full = os.path.join(os.getcwd(), path)
    importer: Any = get_importer(full)  # of a directory or an archive; other files have none
    if importer is not None:
        _become([path, *arguments], full)
        return _run(lambda: _of_directory(path, importer))
    _become([path, *arguments], os.path.dirname(os.path.realpath(path)))
    return _run(lambda: _of_file(full))


def _become(arguments: list[str], directory: str) -> None:
    sys.argv[:] = arguments
    if not sys.flags.safe_path:
        sys.path[0] = directory


def _of_file(path: str) -> tuple[CodeType, dict[str, Any]]:
    if path.endswith(".pyc"):
        compiled = SourcelessFileLoader("__main__", path)
        code = compiled.get_code("__main__")
        assert code is not None
        return code, _names(path, compiled, None, None, None)
    try:
        with io.open_code(path) as file:
            source = file.read()
    except OSError as error:
        raise ProgramError(f"cannot read {path}: {error.strerror}") from None
    code = compile(source, path, "exec", dont_inherit=True)
    return code, _names(path, SourceFileLoader("__main__", path), None, None, None)


def _of_directory(path: str, importer: Any) -> tuple[CodeType, dict[str, Any]]:
    spec = importer.find_spec("__main__")
    if spec is None:
        raise ProgramError(f"there is no __main__ in {path}")
    return _code_of(spec, path), _names(spec.origin, spec.loader, "", spec, spec.cached)


def _spec_of(name: str) -> ModuleSpec:
    """The module to run; of a package its `__main__`. Its parents are imported, and whatever they raise is theirs."""
    if name.startswith(".") or name == "__main__":
        raise ProgramError(f"{name} is no name of a module to run")
    try:
        spec = find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            name += ".__main__"
            spec = find_spec(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        spec = None
    if spec is None:
        raise ProgramError(f"no module named {name}")
    return spec


def _code_of(spec: ModuleSpec, name: str) -> CodeType:
    get_code = getattr(spec.loader, "get_code", None)
    code = get_code(spec.name) if get_code is not None else None
    if code is None:
        raise ProgramError(f"{name} has no Python code to run")
    return code  # type: ignore[no-any-return]


def _names(file: str | None, loader: Any, package: str | None, spec: ModuleSpec | None, cached: Any) -> dict[str, Any]:
    return {
        "__file__": file,
        "__loader__": loader,
        "__package__": package,
        "__spec__": spec,
        "__cached__": cached,
        "__builtins__": builtins,
    }


def _run(find: Callable[[], tuple[CodeType, dict[str, Any]]]) -> Ended:
    main = ModuleType("__main__")
    sys.modules["__main__"] = main
    try:
        code, names = find()
        main.__dict__.update(names)
        exec(code, main.__dict__)
    except ProgramError:
        raise
    except SystemExit as end:
        return Ended(_exit_code(end))
    except BaseException as error:
        _show(error)
        return Ended(1, isinstance(error, KeyboardInterrupt))
    return Ended(0)


def _exit_code(end: SystemExit) -> int:
    """The exit code that Python makes of it."""
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code
    print(end.code, file=sys.stderr)
    return 1


def _show(error: BaseException) -> None:
    """As the interpreter shows what nobody catches, without the frames that are not the program's."""
    error.__traceback__ = _of_program(error.__traceback__)
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except Exception:
        sys.__excepthook__(type(error), error, error.__traceback__)


def _of_program(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if not file.startswith(NOT_THE_PROGRAM):
            break
        traceback = traceback.tb_next
    return traceback

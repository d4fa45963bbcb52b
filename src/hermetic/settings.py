"""Settings: what is reported, from `[tool.hermetic]` of pyproject.toml and from flags.

Settings come with the tree under analysis, which is a stranger's: they can choose what is reported, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from hermetic import files, patterns

# Not a rule, but selected, ignored and reported like one: a suppression comment that suppresses nothing.
UNUSED_SUPPRESSION = "HERMETIC001"

LARGEST_FILE = 4 * 1024 * 1024
LONGEST_QUOTE = 60  # of what a stranger wrote, in messages


class SettingsError(Exception):
    """Settings that cannot be used; the message names the file and the key."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Codes may be given by their beginning: `SES00` means SES001 to SES009."""

    select: tuple[str, ...] = ()  # only these rules; empty means all
    ignore: tuple[str, ...] = ()  # not these
    exclude: tuple[str, ...] = ()  # patterns of paths, as in .gitignore, that are not read at all
    per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()  # pattern of paths -> rules ignored there
    src: tuple[str, ...] = ()  # source roots, relative to the project, where inferring them fails
    slow_calls: tuple[str, ...] = ()  # full names of functions that wait for something slow, see SES102
    tests: bool = False  # report on tests too
    migrations: bool = False  # report on migrations too
    strict: bool = False  # warnings fail as well

    def with_flags(self, **flags: Any) -> Settings:
        """These settings, overridden by the flags that were given (are not None).

        Raises SettingsError for a pattern of paths that cannot be read.
        """
        _check_patterns(flags.get("exclude") or (), "--exclude")
        return replace(self, **{name: value for name, value in flags.items() if value is not None})


KEYS = {field.name.replace("_", "-"): field.name for field in fields(Settings)}


def find(directory: str, root: str, read: files.Read = files.read) -> Settings:
    """The settings that apply to a directory: of the nearest pyproject.toml with a `[tool.hermetic]` table.

    Raises SettingsError for a file that is no TOML, an unknown key or a value of the wrong type.
    """
    directory = os.path.abspath(directory)
    while True:
        path = os.path.join(directory, "pyproject.toml")
        table = _table(path, read)
        if table is not None:
            return parse(table, path)
        parent = os.path.dirname(directory)
        if directory == root or parent == directory:
            return Settings()
        directory = parent


def _table(path: str, read: files.Read) -> dict[str, Any] | None:
    try:
        data = read(path, LARGEST_FILE)
    except OSError as error:
        if not os.path.isfile(path):
            return None
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    import tomllib

    try:
        document = tomllib.loads(data.decode())
    except RecursionError:
        raise SettingsError(f"{path} is not valid TOML: nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError, or a number with thousands of digits
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    tool = document.get("tool")
    table = tool.get("hermetic") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise SettingsError(f"{path}: `tool.hermetic` has to be a table")
    return table


def parse(table: dict[str, Any], path: str) -> Settings:
    """Settings from a `[tool.hermetic]` table. Raises SettingsError; `path` is named in its message."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = KEYS.get(key)
        if name is None:
            near = nearest(key, KEYS, 0.6)
            hint = f"; did you mean `{near}`?" if near else f"; known keys are {', '.join(sorted(KEYS))}"
            raise SettingsError(f"{path}: unknown key `{quote(key)}` in [tool.hermetic]{hint}")
        values[name] = _value(name, key, value, path)
    return Settings(**values)


def _value(name: str, key: str, value: Any, path: str) -> Any:
    if name in ("tests", "migrations", "strict"):
        if not isinstance(value, bool):
            raise SettingsError(f"{path}: `{key}` in [tool.hermetic] has to be true or false")
        return value
    if name == "per_file_ignores":
        if not isinstance(value, dict) or not all(_is_list_of_strings(codes) for codes in value.values()):
            raise SettingsError(f"{path}: `{key}` in [tool.hermetic] has to map patterns to lists of rule codes")
        _check_patterns(value, f"{path}: `{key}` in [tool.hermetic]")
        return tuple((pattern, tuple(code.upper() for code in codes)) for pattern, codes in value.items())
    if not _is_list_of_strings(value):
        raise SettingsError(f"{path}: `{key}` in [tool.hermetic] has to be a list of strings")
    if name == "exclude":
        _check_patterns(value, f"{path}: `{key}` in [tool.hermetic]")
    return tuple(value)


def _check_patterns(given: Iterable[str], where: str) -> None:
    for pattern in given:
        if not patterns.is_valid(pattern):
            raise SettingsError(f"{where}: `{quote(pattern)}` is no pattern of paths")


def quote(text: str) -> str:
    """Text of a stranger, for a message: on one line, and not too long of it."""
    plain = text if text.isprintable() else repr(text)[1:-1]
    return plain if len(plain) <= LONGEST_QUOTE else f"{plain[:LONGEST_QUOTE]}…"


def _is_list_of_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def nearest(given: str, known: Iterable[str], least: float) -> str:
    """The name that is most like the given one, by `difflib`'s ratio, which has to be that much; "" if none is."""
    from difflib import get_close_matches  # slow to import, and needed for mistakes alone

    return next(iter(get_close_matches(given[:LONGEST_QUOTE], known, 1, least)), "")


def matching_codes(given: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The codes that a code or beginning of codes names.

    Raises SettingsError, with the nearest code, if there are none.
    """
    found = tuple(code for code in known if code.startswith(given.upper())) if given else ()
    if not found:
        near = nearest(given.upper(), known, 0.5)
        hint = f"; did you mean {near}?" if near else f"; known rules are {', '.join(known)}"
        raise SettingsError(f"unknown rule `{quote(given)}`{hint}")
    return found


def selected_codes(settings: Settings, known: tuple[str, ...]) -> frozenset[str]:
    """The codes to report; unused suppressions are left out only where they are ignored.

    Raises SettingsError for a code that no rule has, in `per-file-ignores` too.
    """
    every = (*known, UNUSED_SUPPRESSION)
    chosen = {UNUSED_SUPPRESSION} if settings.select else set(every)
    for given in settings.select:
        chosen.update(matching_codes(given, every))
    for given in settings.ignore:
        chosen.difference_update(matching_codes(given, every))
    for _, codes in settings.per_file_ignores:
        for given in codes:
            matching_codes(given, every)
    return frozenset(chosen)

"""Terminal styles: a function for each meaning, so that formats name meanings and not colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Styles(NamedTuple):
    error: Callable[[str], str]
    warning: Callable[[str], str]
    hint: Callable[[str], str]
    good: Callable[[str], str]
    bold: Callable[[str], str]
    dim: Callable[[str], str]
    accent: Callable[[str], str]


def _sgr(code: str) -> Callable[[str], str]:
    return lambda text: f"\033[{code}m{text}\033[0m" if text else text


def printable(text: str) -> str:
    """One line of a stranger's text, without what would steer a terminal or begin another line."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign == "\t" else sign.encode("unicode_escape").decode() for sign in text
    )


def _as_it_is(text: str) -> str:
    return text


PLAIN = Styles(*(_as_it_is,) * 7)
COLOUR = Styles(_sgr("1;31"), _sgr("1;33"), _sgr("1;36"), _sgr("1;32"), _sgr("1"), _sgr("2"), _sgr("34"))

"""How the application's acts come in: whatever goes wrong in hermetic is counted, and the application goes on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from hermetic.sanitizer.watch import Watch

P = ParamSpec("P")
R = TypeVar("R")


class Watching(Protocol):
    """Whoever has entries."""

    watch: Watch


W = TypeVar("W", bound=Watching)


def quietly(entry: Callable[Concatenate[W, P], R]) -> Callable[Concatenate[W, P], R | None]:
    """An entry from the application. The few that every session and statement takes have a `try` of their own instead:
    this one costs as much as what they do."""

    @functools.wraps(entry)
    def run(self: W, /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return entry(self, *args, **kwargs)
        except Exception as error:
            self.watch.swallowed(error)
            return None

    return run

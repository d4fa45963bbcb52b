"""Whether commits expire the instances of sessions whose making is not seen, by how the project makes the others."""

from __future__ import annotations

from collections.abc import Iterator

from hermetic.engine import ir, values as v
from hermetic.engine.ir import Node
from hermetic.engine.link import Codebase, Function
from hermetic.engine.types import Types

# Constructors whose options say so.
MAKERS = ("Session", "AsyncSession", "sessionmaker", "async_sessionmaker")


class Expiry:
    """Of sync and of async sessions, each answered once."""

    def __init__(self, code: Codebase, types: Types) -> None:
        self._code = code
        self._types = types
        self._known: dict[str, set[bool]] = {}
        self._autoflushes: bool | None = None

    def default(self, flavour: str) -> bool:
        """expire_on_commit of sessions whose making is not seen: that of all sessions and factories, if they agree."""
        return self._options(flavour) == {True}

    def differs(self, flavour: str) -> bool:
        """Do some sessions of the project expire their instances, and others not?"""
        return len(self._options(flavour)) > 1

    def autoflushes(self) -> bool:
        """Do sessions send what is changed before they ask for something? All do that nobody has told not to."""
        if self._autoflushes is None:
            self._autoflushes = not any(
                keyword == "autoflush" and setting != ir.TRUE
                for name in MAKERS
                for function in self._code.users_of(name)
                for node in self._code.functions[function].calls_of(name)
                for keyword, setting in node[3]
            )
        return self._autoflushes

    def _options(self, flavour: str) -> set[bool]:
        """Tests often make theirs with other options than the program; calls of factories that are as unknown do not
        count either."""
        known = self._known.get(flavour)
        if known is None:
            known = self._known[flavour] = set()
            for function in sorted({user for name in MAKERS for user in self._code.users_of(name)}):
                fn = self._code.functions[function]
                if not self._code.is_test(fn.module):
                    for node in (node for name in MAKERS for node in fn.calls_of(name)):
                        known.update(self._made_by(node, fn, flavour))
            configs = (config for config in self._types.configs.all() if config.flavour == flavour)
            known.update(config.expire for config in configs if config.expire is not None)
        return known

    def _made_by(self, node: Node, fn: Function, flavour: str) -> Iterator[bool]:
        for atom in self._types.infer(node, fn):
            if atom[0] in (v.FACTORY, v.REGISTRY, v.ANY_SESSION) and atom[1].flavour == flavour:
                if atom[1].expire is not None:
                    yield atom[1].expire

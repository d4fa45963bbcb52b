"""Which functions have to be interpreted for what is to be said of some files, and not of the whole program.

What a function does to its callers is found out when they ask. The other way round, a finding hangs on those who call
its function, which decides whether it serves requests or runs once; on what makes engines and factories, whose options
are looked up by where they were made; on who else uses a session that is shared; and on the other methods of an object
that keeps something. Where this expects too little, single files would be judged otherwise than the whole: tests
compare the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from hermetic.engine import values as v
from hermetic.engine.link import BOUND_STORE, BOUND_VALUE, Function
from hermetic.models.advanced_alchemy import CONFIGS
from hermetic.models.sqlalchemy import SYMBOLS

if TYPE_CHECKING:
    from hermetic.engine.solve import Solver

# Whoever names one of these may make an engine or a factory.
MAKERS = CONFIGS.keys() | {
    name.rpartition(".")[2]
    for name, (kind, _) in SYMBOLS.items()
    if kind in ("engine", "factory", "registry", "flask_db")
}


class Demand:
    """The functions that matter for those which are wanted, of the `relevant` ones, which can have to do with sessions.

    `functions` are the wanted ones and those that say how these are run; `makers` are interpreted for what they make.
    """

    def __init__(self, solver: Solver, relevant: set[int], wanted: set[int]) -> None:
        self._solver = solver
        self._code = solver.code
        self._relevant = relevant
        self._receivers = self._by_provider()
        self.makers = {number for number in relevant if self._code.functions[number].is_module}
        self.makers |= {user for name in MAKERS for user in self._code.users_of(name)} & relevant
        self.functions: set[int] = set()
        if wanted & self.makers:  # whether an option is a mistake, all tell that use what was made with it
            self.functions = relevant
            return
        self.add(wanted)
        self.add(self._shared_by({self._code.functions[number].module for number in wanted}))
        for number in wanted:
            for method in self._of_the_same_objects(self._code.functions[number]):
                self.add((method,))
                if self._code.functions[method].name == "__init__":  # how long they live, those tell that make them
                    self.add(solver.mentions.callers(self._code.functions[method]))

    def _by_provider(self) -> dict[int, list[int]]:
        """Who gets what a function gives: what that one does to a session, they meet."""
        found: dict[int, list[int]] = {}
        for fn in self._solver.injection.receivers():
            for provider in self._solver.injection.providers(fn):
                found.setdefault(provider, []).append(fn.id)
        return found

    def add(self, functions: Iterable[int]) -> None:
        """These matter, and so do those that may call them, as far as types tell."""
        pending = list(self._new(functions))
        while pending:
            number = pending.pop()
            pending += self._new(self._solver.mentions.callers(self._code.functions[number]))
            pending += self._new(self._receivers.get(number, ()))

    def _new(self, functions: Iterable[int]) -> Iterator[int]:
        for number in functions:
            if number in self._relevant and number not in self.functions:
                self.functions.add(number)
                yield number

    def callers_found(self) -> set[int]:
        """Those that call one that matters, as interpretation has shown, and were not expected to."""
        edges = self._solver.edges
        found = {caller for number in self.functions for caller in edges.get(number, ())}
        return {number for number in found - self.functions if number in self._relevant}

    def _shared_by(self, modules: set[int]) -> Iterator[int]:
        """Who uses what these modules have for everybody, if that may be a session."""
        for number in modules:
            for name, bound in self._code.modules[number].names.items():
                if any(how[0] in (BOUND_VALUE, BOUND_STORE) for how in bound):
                    if any(atom[0] == v.ANY_SESSION for atom in self._solver.types.global_(number, name)):
                        yield from self._code.users_of(name)

    def _of_the_same_objects(self, fn: Function) -> Iterator[int]:
        """All methods of the classes that inherit from the function's, or the other way round."""
        if fn.class_id is None:
            return
        mro = self._solver.types.classes.mro
        own = mro(fn.class_id)
        for class_ in self._code.classes:
            if class_.id in own or fn.class_id in mro(class_.id):
                yield from class_.methods.values()

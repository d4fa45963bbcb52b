"""Repositories and services of a library around a session: what their methods do to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.engine import ir, values as v
from hermetic.engine.session_types import MANAGED, SessionType
from hermetic.engine.values import Atom, Value
from hermetic.engine.walk import last_name
from hermetic.models import advanced_alchemy as models

if TYPE_CHECKING:
    from hermetic.engine.types import Types

# What a function calls that works with a repository.
METHODS = models.WRITES.keys() | models.READS.keys()
FALSE = (ir.CONST, False)


class Repositories:
    """The project's classes that derive from a repository or service of the library."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._used: bool | None = None
        self._flavours: dict[int, str | None] = {}
        self._told: frozenset[int] | None = None

    @property
    def used(self) -> bool:
        """Does the program have such classes at all?"""
        if self._used is None:
            self._used = any(
                item[1] is not None and item[1].partition(".")[0] in models.ROOTS
                for module in self._types.code.modules
                for item in module.imports
            )
        return self._used

    def flavour(self, class_id: int) -> str | None:
        """Of a repository's or service's session; None for any other class."""
        if class_id not in self._flavours:
            self._flavours[class_id] = self._base(class_id, models.REPOSITORIES | models.SERVICES)
        return self._flavours[class_id]

    def is_service(self, class_id: int) -> bool:
        return self._base(class_id, models.SERVICES) is not None

    def _base(self, class_id: int, table: dict[str, str]) -> str | None:
        if not self.used:
            return None
        for base in sorted(self._types.classes.external_bases(class_id)):
            found = models.known(base, table)
            if found is not None:
                return found
        return None

    def member(self, class_id: int, name: str) -> Value:
        """An attribute that the library gives an instance: its session, or a service's repository."""
        flavour = self.flavour(class_id) if name in (models.SESSION, models.REPOSITORY) else None
        if flavour is None:
            return v.UNKNOWN
        if name == models.SESSION:
            return v.one((v.ANY_SESSION, SessionType(flavour, MANAGED)))
        return frozenset(
            (v.INSTANCE, atom[1])
            for atom in self._types.field(class_id, models.REPOSITORY_TYPE)
            if atom[0] == v.CLASS and self.is_service(class_id)
        )

    def method(self, atom: Atom, name: str) -> bool:
        """Is it a method of the library on such an object, by the type of the object?"""
        return atom[0] == v.INSTANCE and name in METHODS and self.flavour(atom[1]) is not None

    def commits_by_itself(self, class_id: int) -> bool:
        """Is some object of the class told by its maker to commit each write?"""
        if self._told is None:
            self._told = frozenset(self._told_to_commit())
        mro = self._types.classes.mro
        return any(told in mro(class_id) or class_id in mro(told) for told in self._told)

    def _told_to_commit(self) -> Iterator[int]:
        """The classes in `Service(session, auto_commit=True)`, `super().__init__(session, auto_commit=True)`"""
        for fn in self._types.code.functions:
            for node in fn.calls():
                if last_name(node[1]) not in METHODS and dict(node[3]).get(models.AUTO_COMMIT, FALSE) != FALSE:
                    if fn.class_id is not None:
                        yield fn.class_id
                    for atom in self._types.infer(node[1], fn):
                        if atom[0] == v.CLASS:
                            yield int(atom[1])

    def model(self, class_id: int) -> int | None:
        """The mapped class that it is about: `model_type`, that of its repository, or `Repository[Model]`."""
        for atom in self._types.field(class_id, models.MODEL):
            if atom[0] == v.CLASS:
                return int(atom[1])
        for atom in self._types.field(class_id, models.REPOSITORY_TYPE):
            if atom[0] == v.CLASS and atom[1] != class_id:
                return self.model(atom[1])
        for owner in self._types.classes.mro(class_id):
            class_ = self._types.code.classes[owner]
            top = self._types.code.top_of(class_.module)
            for base in class_.bases:
                if type(base) is tuple and base[0] == ir.SUB:
                    index = base[2]
                    first = index[2][0] if type(index) is tuple and index[0] == ir.SEQ else index
                    for atom in self._types.infer(first, top):
                        if atom[0] == v.CLASS and self._types.classes.is_model(atom[1]):
                            return int(atom[1])
        return None

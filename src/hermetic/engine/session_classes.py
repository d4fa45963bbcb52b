"""Session classes of the project: what their own methods do, and whether they commit when they end.

Which class a factory makes is not followed, so a method is known by its name among all of these classes.
"""

from __future__ import annotations

from hermetic.engine import ir, values as v
from hermetic.engine.expiry import MAKERS
from hermetic.engine.types import Types
from hermetic.engine.typestate import SESSION_OPERATIONS
from hermetic.models.sqlalchemy import SYMBOLS
from hermetic.models.zope import JOINED, JOINING

SESSION_CLASSES = frozenset(name for name, (kind, _) in SYMBOLS.items() if kind == "session")
ENDING = ("commit", "rollback", "close")


class SessionClasses:
    """Questions about them, each answered once."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._endings: dict[str, tuple[str, ...]] | None = None
        self._self_committing: bool | None = None

    def commit_themselves(self) -> bool:
        """Does one of them commit when its block ends, or when it is closed, does a manager do that for them, or do
        they commit whatever they flush?"""
        if self._self_committing is None:
            self._self_committing = any(
                "commit" in self._identifiers(method)
                for name, method in self._methods()
                if name in ("__exit__", "__aexit__", "close")
            )
            self._self_committing = self._self_committing or self._join_a_manager() or self._commit_each_flush()
        return self._self_committing

    def _commit_each_flush(self) -> bool:
        """Is there a session or factory with `autocommit=True`, or with whatever somebody says? Before SQLAlchemy 2.0
        each flush of such a session is a transaction of its own."""
        code = self._types.code
        given = (
            dict(node[3]).get("autocommit", ir.NONE)
            for name in MAKERS
            for user in code.users_of(name)
            if not code.is_test(code.functions[user].module)
            for node in code.functions[user].calls_of(name)
        )
        return any(value not in (ir.NONE, (ir.CONST, False)) for value in given)

    def _join_a_manager(self) -> bool:
        """Do sessions of the project join a transaction manager? Which of them do is not followed either."""
        code, infer = self._types.code, self._types.infer
        wanted = JOINING | JOINED
        return any(
            atom[0] == v.EXT and atom[1] in wanted
            for name in {symbol.rpartition(".")[2] for symbol in wanted}
            for user in code.users_of(name)
            if not code.is_test(code.functions[user].module)
            for node in code.functions[user].calls_of(name)
            for atom in infer(node[1], code.functions[user])
        )

    def endings_of(self, name: str) -> tuple[str, ...]:
        """What a method of theirs that SQLAlchemy's sessions do not have ends of the session or its transaction."""
        if self._endings is None:
            self._endings = {
                name: tuple([ending for ending in ENDING if ending in self._identifiers(method)])
                for name, method in self._methods()
                if name not in SESSION_OPERATIONS
            }
        endings = self._endings.get(name, ())
        return endings[:1] if endings[:2] == ("commit", "rollback") else endings  # it rolls back where that failed

    def _methods(self) -> list[tuple[str, int]]:
        classes = self._types.classes
        return [
            (name, method)
            for class_ in self._types.code.classes
            for name, method in class_.methods.items()
            if class_.bases and classes.external_bases(class_.id) & SESSION_CLASSES
        ]

    def _identifiers(self, method: int) -> tuple[str, ...]:
        return self._types.code.functions[method].identifiers

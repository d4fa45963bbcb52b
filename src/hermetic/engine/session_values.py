"""The sessions that values hold."""

from __future__ import annotations

from hermetic.engine import values as v
from hermetic.engine.run import Run
from hermetic.engine.session_types import SessionType
from hermetic.engine.values import Atom, Value


def sessions_in(run: Run, value: Value) -> list[tuple[Atom, SessionType]]:
    """The sessions that a value can be."""
    found = []
    for atom in value:
        if atom[0] == v.SESSION:
            found.append((atom, atom[2]))
        elif atom[0] == v.ANY_SESSION:
            found.append((atom, atom[1]))
        elif atom[0] in v.PLACES:
            for kind in v.ordered(run.type_of(atom)):
                if kind[0] == v.ANY_SESSION or kind[0] == v.REGISTRY:
                    found.append((atom, kind[1]))
                    break
    return sorted(found, key=v.text) if len(found) > 1 else found


def is_session(run: Run, atom: Atom) -> bool:
    return bool(sessions_in(run, frozenset((atom,))))

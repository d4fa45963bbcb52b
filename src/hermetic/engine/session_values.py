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
                    found.append((atom, _served(run, atom, kind[1])))
                    break
    return sorted(found, key=v.text) if len(found) > 1 else found


def _served(run: Run, atom: Atom, type_: SessionType) -> SessionType:
    """With the options of the plugin that gives it, if it comes from one: it reaches a handler as a parameter of it, or
    within one."""
    if type_.expire is not None or not run.types.configs.all() or not run.types.litestar.calls(run.fn.id):
        return type_
    config = run.types.configs.served(type_.flavour) if v.root(atom)[:2] == (v.PARAM, run.fn.id) else None
    return type_._replace(expire=config.expire, options_at=config.made) if config is not None else type_


def is_session(run: Run, atom: Atom) -> bool:
    return bool(sessions_in(run, frozenset((atom,))))

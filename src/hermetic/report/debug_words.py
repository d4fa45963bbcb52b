"""The engine's values, marks and states in words, for `hermetic debug summary`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hermetic.engine import typestate as ts
from hermetic.engine.program import Program
from hermetic.engine.session_types import SessionType
from hermetic.engine.state import Commit, Fields, Instance, Track

UNKNOWN = "nothing known"
SESSION_FLAGS = (
    *("open", "in a transaction", "dirty", "failed", "closed", "committed", "rolled back"),
    *("asked the database", "written to"),
)
INSTANCE_FLAGS = (
    *("expired", "detached", "stale", "expunged", "locked", "deleted"),
    *("expired, if commits expire anything", "changed and not sent", "to be loaded after an update"),
)
MOST_DEPTH = 6


class Words:
    """Names of functions, classes and files are looked up in the program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.code = program.code

    def mark(self, mark: Any) -> str:
        """`app/db.py:12`, and for what happens in a callee, the way to it."""
        hops = []
        while mark is not None:
            hops.append(f"{self.code.modules[mark[0]].path}:{mark[1][0]}")
            mark = mark[2]
        return " > ".join(hops)

    def value(self, value: Iterable[Any], depth: int = MOST_DEPTH) -> str:
        """Every alternative."""
        return " or ".join(sorted(self.atom(atom, depth) for atom in value)) or UNKNOWN

    def atom(self, atom: Any, depth: int = MOST_DEPTH) -> str:
        """One alternative of a value."""
        if type(atom) is not tuple or not atom or depth == 0:
            return str(atom) if depth else "…"
        if _is_made(atom):
            return f"made at {self.mark(self.program.made_at(atom))}"
        describe = getattr(self, f"_{atom[0]}", None) if type(atom[0]) is str else None
        if describe is not None:
            return str(describe(atom, depth - 1))
        parts = ", ".join(self._part(part, depth - 1) for part in atom[1:] if part != "")
        return f"{str(atom[0]).replace('_', ' ')}({parts})"

    def _part(self, part: Any, depth: int) -> str:
        if type(part) is frozenset:
            return self.value(part, depth)
        if isinstance(part, SessionType):
            return self.session_type(part)
        if _is_mark(part):
            return self.mark(part)
        if type(part) is tuple and part and type(part[0]) is str:
            return self.atom(part, depth)
        if type(part) is tuple:
            return f"({', '.join(self._part(inner, depth) for inner in part)})"
        return str(part)

    def field(self, name: str, value: Any) -> str:
        """A field of an observation."""
        if name == "callee":
            return str(self.code.functions[value].qualname)
        if isinstance(value, Commit):
            return self.commit(value)
        return self._part(value, MOST_DEPTH)

    # -- kinds of atoms, see `engine.values` ----------------------------------------------------------------------

    def _function(self, atom: Any, depth: int) -> str:
        return f"function {self.code.functions[atom[1]].qualname}"

    def _closure(self, atom: Any, depth: int) -> str:
        return f"inner function {self.code.functions[atom[1]].qualname}"

    def _method(self, atom: Any, depth: int) -> str:
        return f"method {self.code.functions[atom[1]].qualname} of {self.atom(atom[2], depth)}"

    def _class(self, atom: Any, depth: int) -> str:
        return f"class {self.code.classes[atom[1]].qualname}"

    def _instance(self, atom: Any, depth: int) -> str:
        return f"a {self.code.classes[atom[1]].qualname}"

    def _module(self, atom: Any, depth: int) -> str:
        return f"module {self.code.modules[atom[1]].path}"

    def _constant(self, atom: Any, depth: int) -> str:
        return repr(atom[1])

    def _ext(self, atom: Any, depth: int) -> str:
        return str(atom[1])

    def _ext_object(self, atom: Any, depth: int) -> str:
        return f"object of {atom[1]}"

    def _param(self, atom: Any, depth: int) -> str:
        return f"parameter {self.code.functions[atom[1]].params[atom[2]][0]}"

    def _field(self, atom: Any, depth: int) -> str:
        return f"{self.atom(atom[1], depth)}.{atom[2]}"

    def _ctor(self, atom: Any, depth: int) -> str:
        return f"what {self.atom(atom[1], depth)} was made with as {atom[2]}"

    def _global(self, atom: Any, depth: int) -> str:
        return f"{atom[2]} of {self.code.modules[atom[1]].path}"

    def _free(self, atom: Any, depth: int) -> str:
        return f"{atom[2]} of {self.code.functions[atom[1]].qualname}"

    def _session(self, atom: Any, depth: int) -> str:
        return f"{self.session_type(atom[2])} made at {_site(atom[1])}"

    def _any_session(self, atom: Any, depth: int) -> str:
        return self.session_type(atom[1])

    def _object(self, atom: Any, depth: int) -> str:
        return f"{self._named_class(atom[2], depth)} made at {_site(atom[1])}"

    def _entity(self, atom: Any, depth: int) -> str:
        return f"row of {self._named_class(atom[2], depth)} from {_site(atom[1])}"

    def _named_class(self, class_: Any, depth: int) -> str:
        if type(class_) is int:
            return self.code.classes[class_].qualname
        return "unknown class" if class_ is None else self.atom(class_, depth)

    def _derived(self, atom: Any, depth: int) -> str:
        return f"computed from ({', '.join(sorted(self.atom(source, depth) for source in atom[1]))})"

    def _many(self, atom: Any, depth: int) -> str:
        return f"any number of ({self.value(atom[1], depth)})"

    def _tuple(self, atom: Any, depth: int) -> str:
        return f"({', '.join(self.value(part, depth) for part in atom[1])})"

    def _deferred(self, atom: Any, depth: int) -> str:
        if atom[1] in ("coroutine", "generator", "context") and type(atom[2]) is int:
            return f"{atom[1]} of {self.code.functions[atom[2]].qualname}, not yet run"
        return f"{atom[1]}({', '.join(self._part(part, depth) for part in atom[2:])})"

    # -- states -----------------------------------------------------------------------------------------------------

    def session_type(self, type_: SessionType) -> str:
        """`async session (managed), expire_on_commit=False`"""
        expire = "" if type_.expire is None else f", expire_on_commit={type_.expire}"
        return f"{type_.flavour} session ({type_.kind}){expire}"

    def state(self, state: Any) -> list[str]:
        """What a Track, an Instance or an object's Fields say, a line each."""
        if isinstance(state, Track):
            lines = word(state.word, SESSION_FLAGS)
            pending = [f"to be committed: {self.value(state.pending)}"] if state.pending else []
            return [*lines, *pending, *self._marks(state.marks, SESSION_FLAGS)]
        if isinstance(state, Instance):
            owner = [] if state.owner is None else [f"belongs to {self.atom(state.owner)}"]
            loaded = [f"loaded with it: {', '.join(sorted(state.loaded))}"] if state.loaded else []
            return [*owner, *word(state.word, INSTANCE_FLAGS), *loaded, *self._marks(state.marks, INSTANCE_FLAGS)]
        if isinstance(state, Fields):
            return [f"{name} = {self.value(value)}" for name, value in state.items]
        return [self._part(state, MOST_DEPTH)]

    def _marks(self, marks: Iterable[tuple[int, Any]], flags: tuple[str, ...]) -> list[str]:
        return [f"{flags[flag]} since {self.mark(mark)}" for flag, mark in marks if flag < len(flags)]

    def commit(self, commit: Commit) -> str:
        """One entry of a summary's commits."""
        what = f"of {self.value(commit.sources)}" if commit.sources else "of what nothing is known of"
        wrote = "always" if commit.always and commit.wrote else "maybe" if commit.wrote else "with nothing written"
        session = "" if commit.session is None else f" on {self.atom(commit.session)}"
        return f"{self.mark(commit.committed)}{session}, {what}, {wrote}{'' if commit.certain else ', on some paths'}"


def word(bits: int, flags: tuple[str, ...]) -> list[str]:
    """The flags of which anything happened: `closed: yes`, `dirty: yes or as before`."""
    out = []
    for flag, name in enumerate(flags):
        outcomes = [
            text
            for text, holds in (
                ("yes", ts.may(bits, flag)),
                ("no", ts.may_be_clear(bits, flag)),
                ("as before", ts.untouched(bits, flag)),
            )
            if holds
        ]
        if outcomes not in (["as before"], []):
            out.append(f"{name}: {' or '.join(outcomes)}")
    return out


def _site(site: Any) -> str:
    """Where something was made: line and column, in whatever depth of calls."""
    if type(site) is tuple and len(site) >= 2 and all(type(part) is int for part in site[:2]):
        return f"{site[0]}:{site[1] + 1}"
    return str(site)


def _is_made(part: tuple[Any, ...]) -> bool:
    """Is it the record of a call that makes something, see `engine.session_types`?"""
    return (
        len(part) == 4
        and part[0] in ("module", "function", "cached", "start-up", "container")
        and all(type(n) is int for n in part[1:])
    )


def _is_mark(part: Any) -> bool:
    return (
        type(part) is tuple
        and len(part) == 3
        and type(part[0]) is int
        and type(part[1]) is tuple
        and len(part[1]) == 4
        and all(type(number) is int for number in part[1])
    )

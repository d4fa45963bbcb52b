"""Sessions that are made where an attribute has none yet: `if self._session is None: self._session = Session()`.

Whoever calls a function that does so gets one session, however often it is called on an object: the first call makes
it, as far as anybody sees, and the others find it there.
"""

from __future__ import annotations

from typing import Any

from hermetic.engine import typestate as ts, values as v
from hermetic.engine.fields import read_field, write_field
from hermetic.engine.run import Run
from hermetic.engine.state import State, Track
from hermetic.engine.values import Atom, Value

# session, a parameter of the function, its attribute
Lazy = tuple[Atom, Atom, str]


def sessions(run: Run, end: State, returns: Value) -> tuple[Lazy, ...]:
    """The sessions that an attribute of a parameter has from here on, if it has had none: the function returns what was
    there or what it has made, or has called one that does."""
    found = []
    for (base, name), held in end.stores.items():
        for session in held if len(held) == 1 and base[0] == v.PARAM else ():
            own = session[0] == v.SESSION and session in returns and (v.FIELD, base, name) in returns
            if own or run.lazily.get(session) == (base, name):
                found.append((session, base, name))
    return tuple(found)


def as_found(run: Run, tracks: tuple[tuple[Atom, Any], ...], made: tuple[Lazy, ...]) -> tuple[tuple[Atom, Any], ...]:
    """Of a session that may have been there, the function says what it does to it, and not that it is new."""
    own = {session for session, *_ in made} - run.lazily.keys()
    return tuple((atom, _of_either(track) if atom in own else track) for atom, track in tracks)


def _of_either(track: Track) -> Track:
    word = track.word
    for flag in range(ts.FLAGS):
        if flag != ts.OPEN and ts.may_be_clear(word, flag) and not ts.may(word, flag):
            word = ts.keep(word, flag)
    return track._replace(word=word)


def there(run: Run, state: State, holders: Value, name: str) -> Atom | None:
    """The session that is in an attribute for which a callee would make one."""
    for holder in holders:
        known = [atom for atom in read_field(run, state, holder, name) if atom[0] == v.SESSION]
        if len(known) == 1 and known[0] in state.heap:
            return known[0]
    return None


def note(run: Run, holders: Value, name: str, made: Atom) -> None:
    """A callee has made a session for an attribute of one of these."""
    for holder in holders if len(holders) == 1 else ():
        run.lazily[made] = (holder, name)


def keep(run: Run, state: State, holder: Atom, name: str, given: Value) -> None:
    """A property whose value its object keeps has been read."""
    for session in given if len(given) == 1 else ():
        if session[0] == v.SESSION:
            write_field(run, state, holder, name, given)
            if holder[0] == v.PARAM:  # a caller's object may have it already
                run.lazily.setdefault(session, (holder, name))
                state.put(session, state.track(session)._replace(word=ts.put(ts.FOREIGN, ts.OPEN)))

"""What is known at one point of a function: variables, sessions, instances, and how the point was reached.

A `State` belongs to one path (or several joined ones) and is changed in place by whoever runs it; everything in
it is immutable, its dictionaries too: whoever changes one replaces it. So copying a state copies nothing deeper, and
what two paths have in common is known by its identity.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hermetic.engine import typestate as ts, values as v
from hermetic.engine.values import Atom, Value

# (module, position, mark in the callee or None): a place, and the place inside the callee that it stands for.
Mark = tuple[int, tuple[int, int, int, int], Any]


def hops(mark: Mark) -> int:
    """How many calls a mark leads through."""
    count = 0
    while mark[2] is not None:
        count += 1
        mark = mark[2]
    return count


# What may be known of a local variable or attribute path: see `State.facts`.
TRUE, FALSE, NONE, SOME = "true", "false", "none", "some"
# Put behind a path: the constant that it is equal to. Like an attribute's, the fact goes when the variable changes.
EQUAL = ".=="


class Failure(NamedTuple):
    """A failure of a session that the handler let pass without a rollback. `wrote`: as FAILED_WRITE; `before`: in a
    dependency that a framework called before this function."""

    handler: Mark
    failed: Mark
    wrote: bool
    before: bool = False


class Track(NamedTuple):
    """A session: its word (see `typestate`), where its flags were set, what was written but not committed, and the
    failures of other paths to here than the one that its marks tell of."""

    word: int
    marks: tuple[tuple[int, Mark], ...] = ()
    pending: frozenset[Atom] = frozenset()
    further: tuple[Failure, ...] = ()

    def mark(self, flag: int) -> Mark | None:
        """Where a flag was set."""
        for known, place in self.marks:
            if known == flag:
                return place
        return None

    def with_mark(self, flag: int, place: Mark) -> Track:
        return self._replace(marks=(*((k, p) for k, p in self.marks if k != flag), (flag, place)))

    def without(self, flag: int) -> Track:
        return self._replace(marks=tuple(mark for mark in self.marks if mark[0] != flag))

    def saved(self) -> Track:
        """Nothing is left to be committed."""
        return self._replace(marks=tuple(mark for mark in self.marks if mark[0] not in OF_A_WRITE))

    def recovered(self) -> Track:
        """Nothing is left of a failure: it was rolled back, or is no concern of ours any more."""
        marks = tuple(mark for mark in self.marks if mark[0] not in OF_A_FAILURE)
        return self._replace(word=ts.clear(self.word, ts.FAILED), marks=marks, further=())

    def unconcerned(self) -> Track:
        """The failure is no concern of the code at hand: it has neither failed nor been rolled back by it."""
        track = self.recovered()
        return track._replace(word=ts.keep(track.word, ts.FAILED))


# Marks of a track beyond the flags of `typestate`
SWALLOWED = 100  # the `except` that let a failed session live on
CREATED = 101
HANDED_OVER = 102  # given to a task or thread that runs beside its owner
ENTERED = 103  # the `with` that closes it
FAILED_WRITE = 104  # what failed was a commit, a flush, or a statement after something was written
RECORDED = 105  # the handler noted the failure in an object, for its caller to see
SCOPED = 106  # the transaction scope that ends it, see `engine.scopes`
WRITTEN = 107  # the first write that no commit has taken yet
ASSIGNED = 108  # the first assignment to a row that nothing has sent to the database yet
LENT = 109  # given, after a write, to a call that nobody can follow
LENT_ASSIGNED = 113  # the same, after an assignment
LOST = 110  # closed with something written and not committed
OF_A_WRITE = frozenset((WRITTEN, ASSIGNED, LENT, LENT_ASSIGNED))
TOLD = 111  # the function that swallowed it returns what it returns on no other path
IN_PART = 112  # the failure was caught where it was of some type, and went on where it was not
OF_A_FAILURE = frozenset((ts.FAILED, SWALLOWED, FAILED_WRITE, RECORDED, TOLD, IN_PART))

# Flags of an instance, in the same three-outcome form
EXPIRED, DETACHED, STALE, EXPUNGED, LOCKED, DELETED = range(6)
IN_DOUBT = 6  # EXPIRED, if commits of its session expire anything: that is for callers to know
UNSENT, OUTDATED = 7, 8  # assigned to, and not flushed yet; what the database sets by itself then is to be loaded
ENTITY_FRESH = sum(2 << (3 * flag) for flag in range(9))
ENTITY_FOREIGN = sum(4 << (3 * flag) for flag in range(9))


# In `loaded` of an instance that was made here: all of it can be read, as long as it is not in the database; what
# nobody has given of it is not there once it is; and others may have put something into its collections.
ALL_LOADED, INSERTED, GIVEN = "*", "*inserted", "*given"
# In `loaded`, and among the options of a statement: whatever options load that are not seen here.
UNSEEN = "*unseen"


class Instance(NamedTuple):
    """One ORM instance, or the rows of one query: its session, its flags, what was loaded with it."""

    owner: Atom | None
    word: int
    loaded: frozenset[str] = frozenset()
    marks: tuple[tuple[int, Mark], ...] = ()

    def mark(self, flag: int) -> Mark | None:
        for known, place in self.marks:
            if known == flag:
                return place
        return None

    @property
    def has_everything(self) -> bool:
        return ALL_LOADED in self.loaded

    def settled(self) -> Instance:
        """Somebody has committed, or may have: mostly there is but one session."""
        return self._replace(marks=tuple(mark for mark in self.marks if mark[0] != CHANGED))

    def put(self, flag: int, place: Mark) -> Instance:
        marks = (*((k, p) for k, p in self.marks if k != flag), (flag, place))
        return self._replace(word=ts.put(self.word, flag), marks=marks)

    def noted(self, what: int, place: Mark) -> Instance:
        return self._replace(marks=(*((k, p) for k, p in self.marks if k != what), (what, place)))

    def clear(self, *flags: int) -> Instance:
        word = self.word
        for flag in flags:
            word = ts.clear(word, flag)
        if EXPIRED in flags:
            word = ts.clear(word, IN_DOUBT)
        return self._replace(word=word)


# A variable of a generator that has caught what was thrown in at its `yield`.
THROWN_CAUGHT = "$thrown"

# Marks of an instance beyond its flags
LOADED = 100  # where it was loaded
CHANGED = 101  # where it was changed while nobody knew whose session it is in
CONSUMED = 102  # what it was stale after: its state went out with that
EDITED = 104  # where an attribute of a copy of the row was set, after a wait
REASKED = 103  # as LOADED, by the key of a stale one: it is the same
ALL_EXPIRED = 105  # what expired all rows of the session, this one or the others of its query
ALL_IN_DOUBT = 106  # in the same way
ALL_ROWS = {EXPIRED: ALL_EXPIRED, IN_DOUBT: ALL_IN_DOUBT}


class Fields(NamedTuple):
    """An object of a project class made here: attribute, or `@parameter` of its constructor, to value."""

    items: tuple[tuple[str, Value], ...] = ()

    def get(self, name: str) -> Value | None:
        for known, value in self.items:
            if known == name:
                return value
        return None

    def set(self, name: str, value: Value) -> Fields:
        return Fields((*((k, x) for k, x in self.items if k != name), (name, value)))


# The variable that holds what a function returns.
RETURNED = "$return"


class Commit(NamedTuple):
    """One committed piece of writing: from what it was made, and where it was written and committed."""

    sources: frozenset[Atom]
    wrote: bool
    committed: Mark
    session: Atom | None
    always: bool = True  # something was written on every path to it
    certain: bool = True  # False where only some paths of a callee commit something: get or create, no-op updates
    repeated: bool = False  # in a loop that has ended: once for each of its items
    missing: bool = False  # only where a row was looked for and not found
    ensured: bool = False  # by a helper that looked for it itself: get or create, which a retry finds done
    or_found: bool = False  # by a function that returns the row where it is there: to its callers it is ensured
    found: bool = False  # of all rows in it is known that they were loaded, and only changed
    note: bool = False  # by a helper, of nothing but a row of its own, that goes on with a slow step: a record of that
    begun: bool = False  # by a block that began its transaction: what was written before the block is not in it


class State:
    """See the module's docstring. `facts` are about names and dotted paths, `decisions` the instances whose
    state decided that this point is reached, `log` the commits so far, `escaped` the sessions whose owner is
    no longer this function."""

    __slots__ = (
        "aside",
        "dead",
        "decisions",
        "env",
        "escaped",
        "facts",
        "floating",
        "handled",
        "heap",
        "log",
        "stores",
        "touched",
        "version",
    )

    def __init__(self) -> None:
        self.env: dict[str, Value] = {}
        self.heap: dict[Atom, Any] = {}
        self.facts: dict[str, str] = {}
        self.stores: dict[tuple[Atom, str], Value] = {}
        self.log: tuple[Commit, ...] = ()
        self.decisions: frozenset[Atom] = frozenset()
        self.escaped: frozenset[Atom] = frozenset()
        self.floating: frozenset[Atom] | None = None
        self.version = 0
        self.dead = False
        self.touched = False  # something was asked of a database on some path to here
        self.handled = False  # every path to here went through an exception handler
        self.aside = False  # every path to here is only taken where the program is configured so

    def copy(self) -> State:
        other = State.__new__(State)
        other.env = self.env
        other.heap = self.heap
        other.facts = self.facts
        other.stores = self.stores
        other.log = self.log
        other.decisions = self.decisions
        other.escaped = self.escaped
        other.floating = self.floating
        other.version = self.version
        other.dead = self.dead
        other.handled = self.handled
        other.aside = self.aside
        other.touched = self.touched
        return other

    def become(self, other: State) -> None:
        """Take over everything from another state."""
        self.env = other.env
        self.heap = other.heap
        self.facts = other.facts
        self.stores = other.stores
        self.log = other.log
        self.decisions = other.decisions
        self.escaped = other.escaped
        self.floating = other.floating
        self.version = other.version
        self.dead = other.dead
        self.handled = other.handled
        self.aside = other.aside
        self.touched = other.touched

    def put(self, atom: Atom, track: Any) -> None:
        """Record what is known of a session, instance or object from here on."""
        if self.heap.get(atom) != track:
            self.heap = {**self.heap, atom: track}

    def track(self, atom: Atom) -> Track:
        """What is known of a session; one that this function did not make is as it was at entry."""
        found = self.heap.get(atom)
        return found if type(found) is Track else Track(ts.FOREIGN)

    def instance(self, atom: Atom) -> Instance | None:
        found = self.heap.get(atom)
        return found if type(found) is Instance else None

    def fields(self, atom: Atom) -> Fields:
        found = self.heap.get(atom)
        return found if type(found) is Fields else Fields()

    def store(self, base: Atom, name: str, value: Value) -> None:
        """`base.name = value` for a base that this function did not make."""
        self.stores = {**self.stores, (base, name): value}

    def set(self, name: str, value: Value) -> None:
        """Let a variable have this value, without forgetting what is known of it."""
        if self.env.get(name) is not value:
            self.env = {**self.env, name: value}

    def learn(self, path: str, fact: str) -> None:
        """Record a fact about a name or dotted path."""
        if self.facts.get(path) != fact:
            self.facts = {**self.facts, path: fact}

    def forget(self, name: str) -> None:
        """A variable is assigned: nothing is known of it and its attributes."""
        if self.facts:
            prefix = name + "."
            gone = [key for key in self.facts if key == name or key.startswith(prefix)]
            if gone:
                self.facts = {key: fact for key, fact in self.facts.items() if key not in gone}

    def bind(self, name: str, value: Value) -> None:
        """Assign a local variable; what was known of it and its attributes is forgotten."""
        self.set(name, value)
        self.forget(name)
        for atom in value:
            if atom[0] == v.CONSTANT:
                self.version += 1
                break


def join(left: State, right: State) -> State:
    """The least state that covers both; `left` is reused."""
    if left.env is not right.env:
        left.env = join_variables(left.env, right.env)
    if left.heap is not right.heap:
        left.heap = join_heaps(left.heap, right.heap)
    if left.facts is not right.facts:
        left.facts = {key: fact for key, fact in left.facts.items() if right.facts.get(key) == fact}
    if left.stores is not right.stores:
        stores = dict(left.stores)
        for key, value in right.stores.items():
            stores[key] = v.union(stores[key], value) if key in stores else value
        left.stores = stores
    if left.log != right.log:
        left.log = join_logs(left.log, right.log)
    left.decisions &= right.decisions
    left.escaped |= right.escaped
    left.handled = left.handled and right.handled
    left.aside = left.aside and right.aside
    left.touched = left.touched or right.touched
    if right.floating is not None:
        left.floating = right.floating if left.floating is None else left.floating | right.floating
    left.version = max(left.version, right.version) + 1
    return left


def join_variables(left: dict[str, Value], right: dict[str, Value]) -> dict[str, Value]:
    out = left
    for name, theirs in right.items():
        ours = left.get(name)
        if ours is theirs:
            continue
        joined = theirs if ours is None else v.either(ours, theirs)
        if joined is not ours:
            if out is left:
                out = left.copy()
            out[name] = joined
    return out


def join_heaps(left: dict[Atom, Any], right: dict[Atom, Any]) -> dict[Atom, Any]:
    out = dict(left)
    for atom, theirs in right.items():
        ours = out.get(atom)
        if ours is None:
            out[atom] = _absent_too(theirs, atom)
        elif ours is not theirs and ours != theirs:
            out[atom] = join_tracks(ours, theirs)
    for atom, ours in left.items():
        if atom not in right:
            out[atom] = _absent_too(ours, atom)
    return out


def _absent_too(track: Any, atom: Atom) -> Any:
    """A session that one path does not mention is there as it was at entry, or was not made there at all."""
    if type(track) is Track:
        return track._replace(word=track.word | (ts.FRESH if atom[0] == v.SESSION else ts.FOREIGN))
    return track


def join_tracks(ours: Any, theirs: Any) -> Any:
    """The least track that covers both."""
    if type(ours) is Track and type(theirs) is Track:
        word, pending = ours.word | theirs.word, ours.pending | theirs.pending
        return Track(word, _joined_marks(ours, theirs), pending, _further_failures(ours, theirs))
    if type(ours) is Instance and type(theirs) is Instance:
        marks = ours.marks + tuple(mark for mark in theirs.marks if ours.mark(mark[0]) is None)
        owner = ours.owner if ours.owner is not None else theirs.owner
        return Instance(owner, ours.word | theirs.word, _both_loaded(ours.loaded, theirs.loaded), marks)
    if type(ours) is Fields and type(theirs) is Fields:
        items = dict(ours.items)
        for name, value in theirs.items:
            items[name] = v.union(items[name], value) if name in items else value
        return Fields(tuple(items.items()))
    return ours


def _both_loaded(ours: frozenset[str], theirs: frozenset[str]) -> frozenset[str]:
    """What both have; of a row that is inserted on one path only, nothing is said to be missing."""
    if (ALL_LOADED in ours) == (ALL_LOADED in theirs):
        both = ours & theirs
    else:
        both = theirs if ALL_LOADED in ours else ours
        both |= {GIVEN} if INSERTED in both else frozenset()
    return both | {GIVEN} if GIVEN in ours | theirs else both


def _joined_marks(ours: Track, theirs: Track) -> tuple[tuple[int, Mark], ...]:
    """The marks of both; those of a failure belong together."""
    first, second = _told_first(ours, theirs)
    told = first.mark(ts.FAILED) is not None
    return first.marks + tuple(
        mark for mark in second.marks if first.mark(mark[0]) is None and not (told and mark[0] in OF_A_FAILURE)
    )


MOST_FAILURES = 3  # of other paths, that are remembered


def _further_failures(ours: Track, theirs: Track) -> tuple[Failure, ...]:
    """The failures of both that the joined marks do not tell of."""
    kept, other = _told_first(ours, theirs)
    if kept.mark(ts.FAILED) is None:
        kept, other = other, kept
    told, handler, failed = kept.mark(SWALLOWED), other.mark(SWALLOWED), other.mark(ts.FAILED)
    if not ours.further and not theirs.further and (handler is None or handler == told):
        return ()
    found = {failure.handler: failure for failure in (*theirs.further, *ours.further)}
    if handler is not None and failed is not None:
        found.setdefault(handler, Failure(handler, failed, other.mark(FAILED_WRITE) is not None))
    return tuple([failure for failure in found.values() if failure.handler != told][:MOST_FAILURES])


def _told_first(ours: Track, theirs: Track) -> tuple[Track, Track]:
    """Of two failures a write's tells more than a read's, most if nobody handled it in part, and the nearer one."""
    if theirs.mark(FAILED_WRITE) is None:
        return ours, theirs
    if ours.mark(FAILED_WRITE) is None:
        return theirs, ours
    return (theirs, ours) if _distance(theirs) < _distance(ours) else (ours, theirs)


def _distance(track: Track) -> tuple[bool, int]:
    failed = track.mark(ts.FAILED)
    return track.mark(IN_PART) is not None, hops(failed) if failed is not None else 0


MOST_COMMITS = 5


def join_logs(left: tuple[Commit, ...], right: tuple[Commit, ...]) -> tuple[Commit, ...]:
    """The commits of two paths; one and the same commit is kept once, with what either path gave it to write."""
    out = left
    for done in right:
        for number, known in enumerate(out):
            if known.committed == done.committed and known.session == done.session:
                if known != done:
                    merged = known._replace(
                        sources=v.limited(known.sources | done.sources),
                        wrote=known.wrote or done.wrote,
                        always=known.always and done.always,
                        certain=known.certain and done.certain,
                        repeated=known.repeated and done.repeated,
                        missing=known.missing and done.missing,
                        ensured=known.ensured and done.ensured,
                        found=known.found and done.found,
                        note=known.note and done.note,
                        begun=known.begun and done.begun,
                    )
                    out = (*out[:number], merged, *out[number + 1 :])
                break
        else:
            out = (*out, done)
    return out if len(out) <= MOST_COMMITS else out[: MOST_COMMITS - 1] + out[-1:]

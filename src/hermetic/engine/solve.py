"""Summaries on demand: a function is interpreted when somebody asks for its summary, and once for each set of
constants that it depends on.

A recursive question gets the summary as far as it is known; the function that began the circle is then
interpreted again until its summary no longer changes.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

from hermetic.engine import calls, ir, options, typestate as ts, values as v, walk
from hermetic.engine.apply import apply
from hermetic.engine.asked import asked_calls
from hermetic.engine.conclude import conclude
from hermetic.engine.demand import Demand
from hermetic.engine.entities import is_entity
from hermetic.engine.execute import RETURNED, run_block, run_body
from hermetic.engine.expiry import Expiry
from hermetic.engine.fields import reachable_sessions
from hermetic.engine.in_place import InPlace
from hermetic.engine.injection import Injection
from hermetic.engine.link import Codebase, Function
from hermetic.engine.observations import Concurrent, Held
from hermetic.engine.overrides import Overrides, always_raises
from hermetic.engine.parameters import DecidingParameters
from hermetic.engine.project import (
    CLASS_FACT,
    Arguments,
    Key,
    Keywords,
    bind,
    call_function,
    key_of,
    make_session,
)
from hermetic.engine.reads import CertainReads, certain_reads
from hermetic.engine.records import Records
from hermetic.engine.relevance import Mentions, relevant_functions
from hermetic.engine.responses import Responses
from hermetic.engine.run import Raised, Run
from hermetic.engine.session_classes import SessionClasses
from hermetic.engine.session_types import Made
from hermetic.engine.session_values import sessions_in
from hermetic.engine.state import ENTITY_FOREIGN, Fields, Instance, Mark, State, Track, join
from hermetic.engine.substitution import Substitution, trail
from hermetic.engine.summary import NEVER_RETURNING, OPAQUE, TRIVIAL, Summary
from hermetic.engine.types import Types
from hermetic.engine.unattended import Unattended
from hermetic.engine.values import Atom, Value
from hermetic.engine.waits import SlowCalls

# Versions of one function by the constants it gets; more than this share the general one.
MOST_VERSIONS = 8
# Rounds until a recursive function's summary is taken as it is.
MOST_ROUNDS = 3
# Calls in progress; deeper ones are not followed.
DEEPEST_CHAIN = 120


class Solver:
    """Interprets the functions of a program. `observations` holds what was seen in each, by function."""

    def __init__(self, code: Codebase, slow_calls: tuple[str, ...] = (), takes_census: bool = False) -> None:
        self.code = code
        self.takes_census = takes_census
        self.types = Types(code)
        self.mentions = Mentions(self.types)
        self.slow = SlowCalls(code, slow_calls)
        self.overrides = Overrides(self.types)
        self.in_place = InPlace(self.types)
        self.session_classes = SessionClasses(self.types)
        self.injection = Injection(self.types, self.summary)
        self.responses = Responses(self.types)
        self.unattended = Unattended(self.types)
        self.deciding = DecidingParameters(code, self.types.classes)
        self.observations: dict[int, list[Any]] = {}
        self.shared_uses: dict[int, dict[tuple[str, int, int, int], Any]] = {}
        self.decision_marks: dict[tuple[int, Atom], Any] = {}
        self.unresolved: set[tuple[int, Atom]] = set()
        self.session_sites: set[tuple[int, int, int]] = set()  # (function, line, column) of every session made
        self.engine_of: dict[Made, Made | None] = {}  # session or factory -> the engine that it is bound to
        self.memory_engines: set[Made] = set()  # whose database is gone with the process
        self.edges: dict[int, set[int]] = {}  # callee -> callers
        self.relevant: set[int] | None = None
        self.place_types: dict[Atom, Value] = {}  # what is known by type of places, of whatever function
        self._globals: dict[int, dict[str, Value]] = {}
        self._summaries: dict[tuple[int, Key], Summary] = {}
        self._active: dict[tuple[int, Key], int] = {}
        self._asked_again: set[tuple[int, Key]] = set()
        self._versions: dict[int, int] = {}
        self.expiry = Expiry(self.code, self.types)
        self.records = Records(self.code, self.types)
        self._asked: dict[int, frozenset[ir.Pos]] = {}
        self._reads: dict[int, CertainReads] = {}
        self._yields_once: dict[int, bool] = {}
        self.waits_by_name: dict[str, str] = {}  # method of something unknown -> what it waits for, "" for nothing

    def globals_of(self, fn: Function) -> dict[str, Value]:
        """Where the interpretations of a function keep what its names mean that are not its own."""
        return self._globals.setdefault(fn.id, {})

    def select(self) -> set[int]:
        """The functions that can have to do with sessions; the others are not interpreted."""
        self.relevant = relevant_functions(self.code, self.types, self.mentions)
        # With a session in its hands a function need not use it to hold its transaction.
        self.relevant.update(fn.id for fn in self.injection.receivers() if self.slow.may_wait(fn))
        self.relevant.update(self.injection.readers())
        if self.takes_census:  # applications are configured where nothing else has to do with sessions
            self.relevant.update(fn.id for fn in self.code.functions if fn.is_module)
        return self.relevant

    def solve(self, files: Container[str] | None = None) -> None:
        """Interpret every function that was selected, or, if only some files matter, what is needed for those."""
        relevant = self.relevant or set()
        wanted = {
            number for number in relevant if files is None or self.code.path_of(self.code.functions[number]) in files
        }
        if wanted == relevant:
            self._interpret_all(relevant)
            return
        demand = Demand(self, relevant, wanted)
        self._interpret_all(demand.functions | demand.makers)
        while found := demand.callers_found():
            demand.add(found)
            self._interpret_all(demand.functions)

    def _interpret_all(self, functions: set[int]) -> None:
        for function in sorted(functions):
            self.summary(function)

    @property
    def size(self) -> int:
        """How many summaries there are."""
        return len(self._summaries)

    # -- summaries ------------------------------------------------------------------------------------------

    def summary(self, function: int, key: Key = ()) -> Summary:
        """What a caller must know of the function, called with these constants."""
        if self.relevant is not None and function not in self.relevant:
            return self._of_irrelevant(function)
        whole = (function, key)
        known = self._summaries.get(whole)
        if known is not None:
            if whole in self._active:
                self._asked_again.add(whole)
            return known
        if key:
            count = self._versions.get(function, 0)
            if count >= MOST_VERSIONS:
                return self.summary(function)
            self._versions[function] = count + 1
        if len(self._active) > DEEPEST_CHAIN:
            return OPAQUE
        return self._solve(whole)

    def is_opaque(self, fn: Function) -> bool:
        """Is the function known to have nothing to do with sessions, waits or a certain end?"""
        return self.relevant is not None and fn.id not in self.relevant and self._of_irrelevant(fn.id) is OPAQUE

    def certain_reads(self, fn: Function) -> CertainReads:
        """What every run of the function reads of its parameters."""
        known = self._reads.get(fn.id)
        if known is None:
            known = self._reads[fn.id] = certain_reads(fn)
        return known

    def called(self, callee: Function, caller: Function) -> None:
        """Remember who calls whom."""
        if self.code.may_know(callee.module, caller.module):
            self.edges.setdefault(callee.id, set()).add(caller.id)

    def versions(self, function: int) -> list[tuple[Key, Summary]]:
        """Every summary that was made of a function, the general one first, by the constants it gets."""
        found = [(key, summary) for (number, key), summary in self._summaries.items() if number == function]
        return sorted(found, key=lambda version: (len(version[0]), version[0]))

    def _of_irrelevant(self, function: int) -> Summary:
        """Of a function that has nothing to do with sessions a caller need only know whether it waits and returns."""
        whole: tuple[int, Key] = (function, ())
        known = self._summaries.get(whole)
        if known is None:
            fn = self.code.functions[function]
            if self.slow.may_wait(fn):
                known = OPAQUE if len(self._active) > DEEPEST_CHAIN else self._solve(whole)
            else:
                known = NEVER_RETURNING if always_raises(fn) and self.overrides.may_trust_no_return(fn, []) else OPAQUE
            self._summaries[whole] = known
        return known

    def _solve(self, whole: tuple[int, Key]) -> Summary:
        self._active[whole] = len(self._active)
        self._summaries[whole] = TRIVIAL
        for _ in range(MOST_ROUNDS):
            self._asked_again.discard(whole)
            found = self._interpret(*whole)
            stable = found == self._summaries[whole]
            self._summaries[whole] = found
            if stable or whole not in self._asked_again:
                break
        del self._active[whole]
        return self._summaries[whole]

    def _interpret(self, function: int, key: Key) -> Summary:
        fn = self.code.functions[function]
        run = Run(self, fn)
        state = self._entry(run, dict(key))
        after = run_body(run, state)
        summary = conclude(run, after)
        if not key:
            self.observations[function] = list(run.observations.values())
            self.shared_uses[function] = run.shared_uses
        return summary

    def _entry(self, run: Run, constants: dict[int, str]) -> State:
        state = State()
        for number, param in enumerate(run.fn.params):
            fact = constants.get(number)
            value = v.one(self.types.session_places.of_parameter(run.fn, number) or (v.PARAM, run.fn.id, number))
            if fact == "none":
                value = v.NOTHING
            elif fact == "true":
                value = v.YES
            elif fact == "false":
                value = v.NO
            elif fact == "empty":
                value = v.EMPTY
            elif fact == "some":
                state.learn(param[0], "some")
            elif fact is not None and fact.startswith(options.FACT):
                value = options.at_entry((v.PARAM, run.fn.id, number), fact)
            elif fact is not None and fact.startswith(CLASS_FACT):
                seen = int(fact.removeprefix(CLASS_FACT))
                run.place_types = {(v.PARAM, run.fn.id, number): v.one((v.INSTANCE, seen))}  # of this version only
            state.set(param[0], value)
            atom = (v.PARAM, run.fn.id, number)
            if (number or run.fn.class_id is None) and param[1] is not None and fact is None and is_entity(run, atom):
                state.put(atom, Instance(None, ENTITY_FOREIGN))
        for number, track in self.injection.at_entry(run.fn):
            state.put((v.PARAM, run.fn.id, number), track)
        for number, row in self.injection.rows_at_entry(run.fn):
            state.put((v.PARAM, run.fn.id, number), row)
        return state

    # -- closures and functions as arguments --------------------------------------------------------------------

    def closure(self, function: int, state: State) -> Value:
        """A nested function or lambda, as a value."""
        return v.one((v.CLOSURE, function, 0))

    def call_closure(
        self, run: Run, state: State, atom: Atom, args: Arguments, kwargs: Keywords, position: ir.Pos
    ) -> Value:
        return call_function(run, state, atom[1], None, args, kwargs, position)

    def inline(
        self,
        run: Run,
        state: State,
        fn: Function,
        binding: dict[int, Value],
        position: ir.Pos,
        around: Iterable[tuple[str, Value]] = (),
        unwrapped: tuple[int, Keywords] | None = None,
    ) -> Value:
        """Interpret a callee with the very values it gets, in the caller's state. `around`: variables of the functions
        around it; `unwrapped`: the function that it wraps, and the keywords that this was called with."""
        frames = {**run.frames, run.fn.id: state.env}
        inner = Run(self, fn, run.depth + 1, frames)
        inner.offloaded = run.offloaded
        inner.caught, inner.trying = run.caught, run.trying
        inner.made_in, inner.loops = run.made_in, list(run.loops)
        inner.made_from, inner.independent = run.made_from, run.independent
        inside = state.copy()
        inside.env = dict(around) | {param[0]: binding.get(number, v.UNKNOWN) for number, param in enumerate(fn.params)}
        inner.unwrapped, inner.via = run.unwrapped, run.via
        if unwrapped is not None:
            inner.unwrapped, inner.via = (
                {**run.unwrapped, unwrapped[0]: unwrapped[1]},
                (*run.via, (run.fn.module, position)),
            )
        inside.facts = _known_of(state, fn, binding)
        after = [*run_block(inner, fn.body, [inside]), *inner.exits.returns]
        _take_over(run, inner, position)
        for exit_ in inner.exits.raises:
            left = exit_.state
            left.env, left.facts = state.env, state.facts
            if unwrapped is not None:
                _forget_its_own(left, state, v.UNKNOWN)
            run.exits.raises.append(Raised(exit_.kind, exit_.names, left, run.mark(position)))
        if not after:
            state.dead = True
            return v.UNKNOWN
        value = after[0].env.get(RETURNED, v.NOTHING)
        for left in after:
            value = v.either(value, left.env.get(RETURNED, v.NOTHING))
            left.env, left.facts = state.env, state.facts
            if unwrapped is not None:
                _forget_its_own(left, state, value)
        end = after[0]
        for left in after[1:]:
            end = join(end, left)
        state.become(end)
        return value

    def captured_sessions(self, run: Run, state: State, callee: Value) -> set[Atom]:
        """Sessions among the variables that a closure uses, or behind the receiver of a bound method."""
        found: set[Atom] = set()
        for atom in callee:
            if atom[0] in (v.CLOSURE, v.FUNCTION):
                fn = self.code.functions[atom[1]]
                for name in fn.identifiers:
                    if name in state.env and name not in fn.locals:
                        found.update(session for session, _ in sessions_in(run, state.env[name]))
            elif atom[0] == v.PARTIAL:
                for value in atom[2]:
                    found.update(session for session, _ in sessions_in(run, value))
            found |= reachable_sessions(state, frozenset((atom,)))
        return found

    def call_in_greenlet(
        self, run: Run, state: State, args: Arguments, kwargs: Keywords, session: Atom, position: ir.Pos
    ) -> Value:
        """`await session.run_sync(f, ...)`: f gets the session, and may use it synchronously."""
        if not args:
            return v.UNKNOWN
        run.offloaded += 1
        value = calls.invoke(run, state, args[0], [v.one(session), *args[1:]], kwargs, position)
        run.offloaded -= 1
        return value

    # -- what transfer functions need from further up -----------------------------------------------------------

    def invoke(
        self, run: Run, state: State, callee: Value, args: Arguments, kwargs: Keywords, position: ir.Pos
    ) -> Value:
        return calls.invoke(run, state, callee, args, kwargs, position)

    def force(self, run: Run, state: State, value: Value, position: ir.Pos) -> Value:
        return calls.force(run, state, value, position)

    def by_type(self, run: Run, name: str, position: ir.Pos) -> Value:
        """A library constructor that needs no more than its type."""
        node = run.call_node
        if node is None or node[4] != position:
            return v.one((v.EXT_OBJECT, name))
        return self.types.constructors.of_library(name, node, run.fn)

    def advance(self, run: Run, state: State, value: Value, position: ir.Pos, whole: bool = False) -> Value:
        """`next(generator)`: the code up to its yield runs; `whole`: a `for` runs it to its end."""
        out = v.UNKNOWN
        for atom in v.ordered(value):
            if atom[0] == v.MANY:
                out = v.union(out, atom[1])
            elif atom[0] == v.DEFERRED and atom[1] == "generator":
                out = v.union(out, self._advance(run, state, atom, position, whole))
        return out

    def _advance(self, run: Run, state: State, atom: Atom, position: ir.Pos, whole: bool) -> Value:
        handed = state.fields(atom).get("$handed")
        if handed is not None:
            self.finish_generator(run, state, atom, position)
            return v.UNKNOWN
        _, _, function, receiver, args, named, _ = atom
        if function is None:
            session = v.one(make_session(run, state, receiver[1], position))
            state.put(atom, Fields((("$handed", session),)))
            return session
        fn = self.code.functions[function]
        binding = bind(fn, receiver, list(args), {None if name == "**" else name: value for name, value in named})
        summary = self.summary(function, key_of(run, state, fn, binding))
        sub = Substitution(run, state, fn, binding, position, summary)
        value = sub.value(summary.yields)
        apply(run, state, summary._replace(returns=v.UNKNOWN), sub, fn)
        if whole:
            for made in sub.made_here():
                track = state.heap.get(made)
                if type(track) is Track:
                    state.put(made, track._replace(word=ts.clear(track.word, ts.OPEN)))
        else:
            state.put(atom, Fields((("$handed", value),)))
        return value

    def finish_generator(self, run: Run, state: State, atom: Atom, position: ir.Pos) -> None:
        """`generator.close()`, or `next` a second time: the code after the yield runs and closes the session."""
        for session in v.ordered(reachable_sessions(state, state.fields(atom).get("$handed") or v.UNKNOWN)):
            track = state.track(session)
            state.put(session, track._replace(word=ts.SESSION_OPERATIONS["close"].apply(track.word)))

    def yields_once(self, fn: Function) -> bool:
        """Has a generator function one `yield`, outside of its loops?"""
        known = self._yields_once.get(fn.id)
        if known is None:
            in_loops = walk.in_loops(fn.statements())
            known = self._yields_once[fn.id] = _yields(fn.nodes()) == 1 and not _yields(in_loops)
        return known

    def made_at(self, made: Made) -> Mark:
        """The place of a `made` record."""
        return (self.code.functions[made[1]].module, (made[2], made[3], made[2], made[3]), None)

    def asks_about(self, fn: Function, call: ir.Pos) -> bool:
        """Does the function look at what this call returns?"""
        if fn.id not in self._asked:
            self._asked[fn.id] = asked_calls(fn)
        return call in self._asked[fn.id]


def _take_over(run: Run, inner: Run, position: ir.Pos) -> None:
    """What a callee that was interpreted in place has shown is the caller's."""
    is_wrapper = inner.via != run.via

    def seen_from_here(mark: Mark) -> Mark:
        return mark if inner.via else trail(run, position, mark)  # in wrappers marks begin where those are called

    for key, observation in inner.observations.items():
        if type(observation) is Concurrent:  # the caller's doing: the callee only does what it is given
            observation = observation._replace(at=seen_from_here(observation.at))
            key = ("concurrent", observation.at[:2])
        elif type(observation) is Held:  # the caller's transaction, mostly
            observation = observation._replace(at=seen_from_here(observation.at))
        run.observe(key, observation)
    for owner, use in inner.doubtful.items():
        run.doubtful.setdefault(owner, use._replace(at=seen_from_here(use.at)))
    for settled, (kind, mark) in inner.waits.items():
        run.waits.setdefault(settled, (kind, seen_from_here(mark)))
    for session, (mark, callee) in inner.blocking.items():
        at = run.mark(position, mark[2][2] if is_wrapper and mark[2] is not None else None)
        run.blocking.setdefault(session, (at, callee if callee is not None else inner.fn.id))


def _forget_its_own(after: State, before: State, value: Value) -> None:
    """What a wrapper has opened and not given away is for it to close, and told of there."""
    handed = reachable_sessions(after, value)
    for atom, track in after.heap.items():
        if atom[0] == v.SESSION and atom not in before.heap and atom not in handed and type(track) is Track:
            after.put(atom, track._replace(word=ts.clear(track.word, ts.OPEN)))


def _known_of(state: State, fn: Function, binding: dict[int, Value]) -> dict[str, str]:
    """What is known of the arguments, by the names that they have in the callee: that a session is there, say."""
    known: dict[str, str] = {}
    for name, fact in state.facts.items():
        value = state.env.get(name)
        if value:
            known.update((fn.params[number][0], fact) for number, given in binding.items() if given == value)
    return known


def _yields(nodes: Iterable[ir.Node]) -> int:
    return sum(node[0] in (ir.YIELD, ir.YIELD_FROM) for node in nodes)


__all__ = ["Solver", "make_session"]

"""The questions that rules may ask. Rules import nothing else of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import NamedTuple, TypeVar

from hermetic.engine import holders, ir, observations as seen, values as v, walk
from hermetic.engine.classes import decorator_names
from hermetic.engine.contexts import CLI, IMPORT, MIGRATION, ONCE, REQUEST, STARTUP, TEST, WORKER, Contexts
from hermetic.engine.dependencies import InjectedManager, injected_leaks, injected_managers
from hermetic.engine.kept import kept_commits, kept_reads
from hermetic.engine.link import Function
from hermetic.engine.registries import registries
from hermetic.engine.scopes import is_of_a_scope
from hermetic.engine.session_types import Made, SessionType
from hermetic.engine.solve import Solver
from hermetic.engine.state import Commit, Mark, Track
from hermetic.engine.walk import last_name
from hermetic.finding import Position, Step
from hermetic.models.frameworks import AFTER_REQUEST

Observation = TypeVar("Observation")


class Place(NamedTuple):
    """Where something was observed: the function, and how that function is run."""

    function: Function
    contexts: int

    @property
    def once(self) -> bool:
        """Does the function run only where things happen once: scripts, start-up, migrations, tests?"""
        return bool(self.contexts) and not self.contexts & ~ONCE

    @property
    def serves(self) -> bool:
        """Does it run for every request or job?"""
        return bool(self.contexts & (REQUEST | WORKER))

    @property
    def in_request(self) -> bool:
        return bool(self.contexts & REQUEST)

    @property
    def from_cli(self) -> bool:
        """Does a command come to it?"""
        return bool(self.contexts & CLI)

    @property
    def starts_up(self) -> bool:
        return bool(self.contexts & STARTUP) and not self.contexts & (REQUEST | WORKER)

    @property
    def runs_on(self) -> bool:
        """Does it loop for as long as its process lives, as what polls a queue does?"""
        return any(node[0] == ir.WHILE and _never_ends(node[1]) for node in self.function.statements())

    @property
    def is_test(self) -> bool:
        """Is it a test or a test's helper? Each step of a test may commit: when one fails, the test does."""
        return bool(self.contexts & TEST)

    @property
    def is_command(self) -> bool:
        return bool(self.contexts & (CLI | IMPORT)) and not self.contexts & (REQUEST | WORKER)


def _never_ends(test: ir.Expr) -> bool:
    """`while True`, `while not self.stopped.is_set()`"""
    if type(test) is tuple and test[0] == ir.NOT:
        return type(test[1]) is tuple and test[1][0] == ir.CALL and last_name(test[1][1]) == "is_set"
    return bool(test == ir.TRUE)


Version = tuple[int, ...]
# (library, directory) -> the lowest version of the library that the project around the directory can have, and the
# lowest that it cannot; None where nothing says.
Versions = Callable[[str, str], tuple[Version, Version] | None]


class Program:
    """A solved program. `lines` gives the source lines of a path, for columns and code frames; `versions` those of a
    library that a project uses."""

    def __init__(self, solver: Solver, lines: Callable[[str], list[str]], versions: Versions) -> None:
        self.code = solver.code
        self.solver = solver
        self.lines = lines
        self._versions = versions
        self.contexts = Contexts(solver.code, solver.types, solver.edges)
        self.with_tests = True  # do rules see what happens in tests?

    # -- questions ----------------------------------------------------------------------------------------------

    def leaks(self) -> Iterator[tuple[Place, seen.Leak]]:
        """Sessions that are open and ours at an exit of the function that made them, or that a dependency returns."""
        yield from self._observed(seen.Leak)
        for function, leak in injected_leaks(self.solver):
            yield self.place(function), leak

    def is_for_the_class(self, leak: seen.Leak) -> bool:
        """Is it for the class of the object that holds the session to close it, and not for who makes the object?"""
        return holders.is_for_the_class(self.code, self.solver.types.classes, leak.session)

    def unguarded_commits(self) -> Iterator[tuple[Place, seen.UnguardedCommit]]:
        """Commits after whose failure nothing rolls back or closes the session made here, or by the same object."""
        yield from self._observed(seen.UnguardedCommit)
        for function, commit in kept_commits(self.solver):
            if self._is_seen(function) and not self._lives_for_one_call(function):
                yield self.place(function), commit

    def swallowed_failures(self) -> Iterator[tuple[Place, seen.SwallowedFailure]]:
        """Sessions that are used on after a failure that was caught and not rolled back."""
        return self._observed(seen.SwallowedFailure)

    def uses_at_the_end(self) -> Iterator[tuple[Place, seen.UsedAtTheEnd]]:
        """Sessions that failed and are used by the `finally` on the way out."""
        return self._observed(seen.UsedAtTheEnd)

    def blocking_work(self) -> Iterator[tuple[Place, seen.Blocking]]:
        """Synchronous database work on the event loop."""
        return self._observed(seen.Blocking)

    def ended_uses(self) -> Iterator[tuple[Place, seen.EndedUse]]:
        """Instances and sessions that are used after their end."""
        yield from self._observed(seen.EndedUse)
        for function, use in kept_reads(self.solver):
            yield self.place(function), use

    def split_transactions(self) -> Iterator[tuple[Place, seen.Split]]:
        """Second commits of one operation, on databases that outlive it."""
        for place, split in self._observed(seen.Split):
            session = split.second.session
            if session is None or session[0] != v.SESSION or not self._is_in_memory(session[2]):
                yield place, split

    def _is_in_memory(self, type_: SessionType) -> bool:
        engines = {self.solver.engine_of.get(made) for made in (type_.made, type_.options_at) if made is not None}
        return not engines.isdisjoint(self.solver.memory_engines)

    def engines(self) -> Iterator[tuple[Place, seen.EngineMade]]:
        """Engines that are made inside of functions."""
        return self._observed(seen.EngineMade)

    def engines_in_processes(self) -> Iterator[tuple[Place, seen.EngineInProcess]]:
        """Engines that are given to new processes."""
        return self._observed(seen.EngineInProcess)

    def misused_options(self) -> Iterator[tuple[Place, seen.OptionMisused]]:
        """Options of sessions and factories that cannot work."""
        return self._observed(seen.OptionMisused)

    def stale_writes(self) -> Iterator[tuple[Place, seen.StaleWrite]]:
        """Writes that depend on what was read before a wait. Where neither the function nor any caller asks anything
        of a database, the rows are copies that a service gave."""
        for place, stale in self._observed(seen.StaleWrite):
            if self._is_near_a_database(place.function.id):
                yield place, stale

    def outliving_sessions(self) -> Iterator[tuple[Place, seen.Outlives]]:
        """Sessions that go to what runs after their request."""
        return self._observed(seen.Outlives)

    def held_transactions(self) -> Iterator[tuple[Place, seen.Held]]:
        """Slow steps that are taken while a transaction is open."""
        return self._observed(seen.Held)

    def lost_writes(self) -> Iterator[tuple[Place, seen.Unsaved]]:
        """Writes that nobody commits: neither the function, nor its callers, nor a framework after it. The place is the
        function that should: it that opens the session, that commits other writes, or that does an endpoint's work."""
        for place, write in self._observed(seen.Unsaved):
            if write.session[0] == v.SESSION and self._is_in_memory(write.session[2]):
                continue
            if write.ended is not None or (write.session[0] == v.SESSION and not place.function.is_module):
                yield place, write
            elif self._ends_unsaved(place, write):
                inner = write.written[2]
                if inner is None or write.later:
                    yield place, write
                else:
                    yield self.place(self.function_at(inner).id), write._replace(written=inner)

    def unsaved_writes(self) -> Iterator[tuple[Place, seen.Unsaved]]:
        """Writes that a function leaves for somebody else to commit, or for nobody."""
        return self._observed(seen.Unsaved)

    def _ends_unsaved(self, place: Place, write: seen.Unsaved) -> bool:
        """Does a framework call the function with a session that it only closes afterwards?"""
        function = place.function
        if not self.contexts.is_root(function.id) or self.solver.edges.get(function.id):
            return False
        if v.root(write.session)[0] == v.GLOBAL and place.contexts & REQUEST:
            return not self._commits_afterwards
        if self.solver.types.configs.gives(function, write.session):
            return self.solver.types.configs.only_close(function) and not self._dependencies_commit
        return self.solver.injection.is_only_closed(function, write.session)

    @cached_property
    def _dependencies_commit(self) -> bool:
        """Does a dependency that yields commit afterwards, maybe what others wrote?"""
        return any(self.solver.summary(fn.id).after.commits for fn in self.code.functions if fn.is_generator)

    @cached_property
    def _commits_afterwards(self) -> bool:
        """Does a hook or middleware of the project commit at the end of a request what the registry's session holds?
        A class is taken for a middleware by its name; that only keeps the rule quiet."""
        return any(
            self.solver.summary(fn.id).effects.commits or self.solver.summary(fn.id).after.commits
            for fn in self.code.functions
            if any(last_name(decorator) in AFTER_REQUEST for decorator in fn.decorators)
            or (fn.class_id is not None and "iddleware" in self.code.classes[fn.class_id].name)
        )

    def concurrent_uses(self) -> Iterator[tuple[Place, seen.Concurrent]]:
        """Sessions used by several tasks or threads at once."""
        return self._observed(seen.Concurrent)

    def shared_sessions(self) -> Iterator[tuple[Made, list[tuple[Place, Mark]]]]:
        """Sessions that live as long as the process: how they are made, and where functions use them."""
        users: dict[Made, list[tuple[Place, Mark]]] = {}
        for function in sorted(self.solver.shared_uses):
            place = self.place(function)
            if place.function.is_module or not self._is_seen(function):
                continue
            for made, mark in sorted(self.solver.shared_uses[function].items()):
                users.setdefault(made, []).append((place, mark))
        for made in (*self.solver.types.containers.shared(), *self.solver.types.litestar.kept_sessions()):
            users.setdefault(made, [])
        yield from sorted(users.items())

    def may_join_a_scope(self, place: Place, done: Commit) -> bool:
        """Is it a commit at the end of a transaction scope, in a function that callers not seen here may run inside of
        a scope of theirs? Then nothing would be committed there."""
        return is_of_a_scope(done.session) and not place.contexts & ~TEST

    def census(self, kind: type[Observation]) -> Iterator[tuple[Place, Observation]]:
        """What `review` counts, of one of the kinds in `engine.census`; nothing unless the census was asked for."""
        return self._observed(kind)

    def entry_points(self) -> Iterator[Place]:
        """The functions that a framework calls: for requests, jobs and commands."""
        for function in self.code.functions:
            if self.contexts.is_root(function.id):
                yield self.place(function.id)

    def sources(self, place: Place) -> frozenset[str]:
        """Where the sessions of a function come from: "injected", "registry", "shared", "own"; empty if it has none."""
        summary = self.solver.summary(place.function.id)
        found = {self._source(atom) for atom, track in summary.effects.tracks if type(track) is Track}
        if self.solver.shared_uses.get(place.function.id):
            found.add("shared")
        found.discard("")
        return frozenset(found or ({"own"} if summary.touches else ()))

    def _source(self, atom: v.Atom) -> str:
        return {v.SESSION: "own", v.GLOBAL: "registry", v.PARAM: "injected"}.get(v.root(atom)[0], "")

    def is_committed_afterwards(self, place: Place, write: seen.Unsaved) -> bool:
        """Does a dependency or a hook commit what an entry point leaves written?"""
        is_entry = self.contexts.is_root(place.function.id) and not self.solver.edges.get(place.function.id)
        return (
            is_entry and write.ended is None and write.session[0] != v.SESSION and not self._ends_unsaved(place, write)
        )

    def session_sites(self) -> Iterator[int]:
        """The functions that make or open sessions, each as often as it does, and the modules that make a registry."""
        for function, _, _ in self.solver.session_sites:
            yield function
        yield from registries(self.solver.types)

    def injected_managers(self) -> Iterator[tuple[Place, InjectedManager]]:
        """Context manager functions of sessions, given to a framework that does not enter them."""
        for function, injected in injected_managers(self.solver):
            yield self.place(function), injected

    def _observed(self, kind: type[Observation]) -> Iterator[tuple[Place, Observation]]:
        for function in sorted(self.solver.observations):
            if self._is_seen(function):
                for observation in self.solver.observations[function]:
                    if type(observation) is kind:
                        yield self.place(function), observation

    def _is_seen(self, function: int) -> bool:
        return self.with_tests or not self.code.is_test(self.code.functions[function].module)

    def _is_near_a_database(self, function: int) -> bool:
        around = [function]
        for number in around:
            if self.solver.summary(number).touches:
                return True
            around.extend(caller for caller in self.solver.edges.get(number, ()) if caller not in around)
        return False

    def versions(self, library: str, path: str) -> tuple[Version, Version] | None:
        """The versions of a library that a file's project can have: from the one on, and below the other."""
        return self._versions(library, path.rpartition("/")[0])

    # -- places -------------------------------------------------------------------------------------------------

    def place(self, function: int) -> Place:
        return Place(self.code.functions[function], self.contexts.of(function))

    def path(self, mark: Mark) -> str:
        return self.code.modules[mark[0]].path

    def function_at(self, mark: Mark) -> Function:
        """The innermost function around a place."""
        module = self.code.modules[mark[0]]
        line = mark[1][0]
        found = self.code.functions[module.functions[0]]
        for number in module.functions[1:]:
            function = self.code.functions[number]
            if (
                function.line <= line <= function.end_line
                and function.line >= found.line
                and function.name != "<lambda>"
            ):
                found = function
        return found

    def function_name(self, at: Position) -> str:
        """The dotted name of the function around a position."""
        for module in self.code.modules:
            if module.path == at.path and module.functions:
                return self.function_at((module.number, (at.line, at.column, at.line, at.column), None)).qualname
        return "<module>"

    def position(self, mark: Mark) -> Position:
        """The place as people count: from 1, in characters."""
        path = self.path(mark)
        line, column, end_line, end_column = mark[1]
        lines = self.lines(path)
        text = lines[line - 1] if 0 < line <= len(lines) else ""
        if column < 0:
            stripped = text.rstrip()
            return Position(path, line, len(stripped) - len(stripped.lstrip()) + 1, line, len(stripped) + 1)
        end_text = lines[end_line - 1] if 0 < end_line <= len(lines) else ""
        return Position(path, line, _characters(text, column) + 1, end_line, _characters(end_text, end_column) + 1)

    def steps(self, mark: Mark, text: str) -> tuple[Step, ...]:
        """The hops of a mark that leads into callees; `text` says what happens at its end."""
        out = []
        while mark[2] is not None:
            callee = self.function_at(mark[2])
            out.append(Step(self.position(mark), f"calls `{callee.qualname}`"))
            mark = mark[2]
        out.append(Step(self.position(mark), text))
        return tuple(out)

    def innermost(self, mark: Mark) -> Mark:
        """Where a mark leads in the end."""
        while mark[2] is not None:
            mark = mark[2]
        return mark

    def made_at(self, made: Made) -> Mark:
        """The place of a session's or engine's `made` record."""
        return self.solver.made_at(made)

    def is_cached(self, place: Place) -> bool:
        """Does a decorator keep the function's result?"""
        return self.solver.types.is_cached(place.function)

    def runs_at_import(self, place: Place) -> bool:
        """Do only the bodies of modules call the function, once each: `connection = connect()`?"""
        sites = self.solver.types.call_sites(place.function) if not place.contexts else []
        return bool(sites) and all(caller.is_module and not _is_in_a_loop(call, caller) for caller, call in sites)

    def lifetime(self, place: Place) -> str:
        """How long the object lives whose method this is: "once" for the process, "call" for each request or job,
        "unknown"."""
        function = place.function
        return "unknown" if function.class_id is None else self._lifetime(function.class_id, 3)

    def _lives_for_one_call(self, function: int) -> bool:
        """Is every object whose method this is made for one request or job?"""
        class_id = self.code.functions[function].class_id
        init = None if class_id is None else self.solver.types.classes.constructor(class_id)
        sites = self.solver.types.call_sites(init) if init is not None else []
        return bool(sites) and all(self._lifetime_at(caller, call, 2) == "call" for caller, call in sites)

    def _lifetime(self, class_id: int, depth: int) -> str:
        init = self.solver.types.classes.constructor(class_id)
        return "unknown" if init is None or not depth else self._shortest(init, depth)

    def _shortest(self, function: Function, depth: int) -> str:
        """How long what the function makes lives, over all its call sites."""
        sites = self.solver.types.call_sites(function) if depth else []
        lives = {self._lifetime_at(caller, call, depth) for caller, call in sites}
        return "call" if "call" in lives else "once" if lives == {"once"} else "unknown"

    def _lifetime_at(self, caller: Function, call: ir.Node, depth: int) -> str:
        place = self.place(caller.id)
        if caller.is_module or place.once or self.solver.types.is_cached(caller):
            return "once"
        if _is_kept_in_a_global(call, caller) or _is_kept_in_a_registry(call, caller):
            return "once"
        if caller.name == "__init__" and caller.class_id is not None:
            return self._lifetime(caller.class_id, depth - 1)
        if any(statement[0] == ir.RETURN and statement[1] == call for statement in caller.statements()):
            return self._shortest(caller, depth - 1)
        return "call" if place.serves else "unknown"


def _is_in_a_loop(call: ir.Node, caller: Function) -> bool:
    return any(node is call for node in walk.in_loops(caller.statements()))


def _is_kept_in_a_global(call: ir.Node, caller: Function) -> bool:
    """`global database; database = Database()`"""
    return any(
        statement[0] == ir.ASSIGN and statement[2] == call and any(target in caller.globals for target in statement[1])
        for statement in (caller.statements() if caller.globals else ())
    )


def _is_kept_in_a_registry(call: ir.Node, caller: Function) -> bool:
    """`database = cls._open[path] = Database(path)`: of a class or a module, for the next who asks for the same."""
    kept = [statement for statement in caller.statements() if statement[0] == ir.ASSIGN]
    names = {target for statement in kept if statement[2] == call for target in statement[1] if type(target) is str}
    return any(
        type(target) is tuple and target[0] == ir.SUB and _outlives(target[1], caller)
        for statement in kept
        if statement[2] == call or (type(statement[2]) is str and statement[2] in names)
        for target in statement[1]
    )


def _outlives(container: ir.Expr, caller: Function) -> bool:
    """Is it one of the module's, or of a class?"""
    while type(container) is tuple and container[0] == ir.ATTR:
        container = container[1]
    is_class = bool(caller.params) and container == caller.params[0][0] and "classmethod" in decorator_names(caller)
    return type(container) is str and (is_class or container not in caller.locals)


def _characters(text: str, column: int) -> int:
    """A column in UTF-8 bytes, in characters."""
    return len(text.encode("utf-8", "surrogatepass")[:column].decode("utf-8", "ignore"))


__all__ = ["CLI", "MIGRATION", "ONCE", "REQUEST", "STARTUP", "TEST", "WORKER", "Place", "Program"]

"""What Litestar runs: plain functions on the event loop, and dependencies whose value it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from hermetic.engine import ir, values as v
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Function
from hermetic.engine.markers import is_marker, markers, provider_of
from hermetic.engine.session_types import Made
from hermetic.engine.values import Value
from hermetic.engine.walk import last_name
from hermetic.models import litestar as models

if TYPE_CHECKING:
    from hermetic.engine.types import Types


class Called(NamedTuple):
    """A function that Litestar calls for a request."""

    function: int
    in_thread: bool | None  # None: not known
    kept: bool = False


class Litestar:
    """The handlers and dependencies of a program."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._called: tuple[Called, ...] | None = None
        self._on_loop: frozenset[int] | None = None
        self._functions_called: frozenset[int] | None = None
        self._by_name: dict[tuple[str, int], list[tuple[Node, Function]]] | None = None
        self._providers: frozenset[int] | None = None

    def called(self) -> tuple[Called, ...]:
        if self._called is None:
            self._called = ()  # what is asked meanwhile runs nowhere
            self._called = (*self._handlers(), *self._provided(), *self._mapped()) if self._is_used else ()
        return self._called

    @cached_property
    def _is_used(self) -> bool:
        return any(
            item[1] is not None and item[1].partition(".")[0] == "litestar"
            for module in self._types.code.modules
            for item in module.imports
        )

    def injected(self, fn: Function, number: int) -> Value:
        """What a parameter gets by its name: from `dependencies` of the handler, its controller, or anything around."""
        if not self._is_used:
            return v.UNKNOWN
        if self._by_name is None:
            self._by_name = {}
            for layer, mapping, scope in self._mappings():
                if type(mapping) is tuple and mapping[0] == ir.DICT:
                    self._by_name.setdefault(layer, []).append((mapping, scope))
        if not self._by_name or not self._gets_dependencies(fn):
            return v.UNKNOWN
        layers = [(HANDLER, fn.id), (AROUND, 0)]
        if fn.class_id is not None:
            layers[1:1] = [(CONTROLLER, owner) for owner in self._types.classes.mro(fn.class_id)]
        for layer in layers:
            functions = frozenset(self._under((ir.CONST, fn.params[number][0]), layer))
            if functions:
                return self._types.constructors.provision(frozenset((v.FUNCTION, function) for function in functions))
        return v.UNKNOWN

    def _gets_dependencies(self, fn: Function) -> bool:
        if fn.decorators:
            scope = self._scope(fn)
            return any(self._is_one_of(decorator, models.HANDLERS, scope) for decorator in fn.decorators)
        if self._providers is None:
            self._providers = frozenset()
            layers = self._by_name or {}
            keys = {key for mappings in layers.values() for mapping, _ in mappings for key in mapping[1]}
            self._providers = frozenset(
                function for layer in layers for key in keys for function in self._under(key, layer)
            )
        return fn.id in self._providers

    def _under(self, key: Expr, layer: tuple[str, int]) -> Iterator[int]:
        """The functions that a layer has under a key."""
        for mapping, scope in (self._by_name or {}).get(layer, ()):
            for known, value in zip(mapping[1], mapping[2], strict=True):
                if known == key is not None:
                    if type(value) is tuple and value[0] == ir.CALL:
                        value = provider_of(value) if is_marker(value, scope, self._types, models.PROVIDE) else None
                    yield from self._functions(value, scope)

    def calls(self, function: int) -> bool:
        """Is it a handler or a dependency?"""
        if self._functions_called is None:
            self._functions_called = frozenset(called.function for called in self.called())
        return function in self._functions_called

    def has_hooks(self) -> bool:
        """Does an application, or a part of it, name functions that run after a handler?"""
        code = self._types.code
        layers = {user for name in models.LAYERS for user in code.users_of(name.rpartition(".")[2])}
        calls = (node for user in layers for node in code.functions[user].calls())
        return any(keyword in models.HOOKS for node in calls for keyword, _ in node[3])

    def on_loop(self, fn: Function) -> bool:
        """Is it a plain function that runs on the event loop?"""
        if self._on_loop is None:
            self._on_loop = frozenset(called.function for called in self.called() if called.in_thread is False)
        return not fn.is_async and fn.id in self._on_loop

    def kept_sessions(self) -> list[Made]:
        """Sessions that a dependency makes for the first request, and every other one gets."""
        found: set[Made] = set()
        for called in self.called():
            fn = self._types.code.functions[called.function]
            if called.kept and not fn.is_generator:
                for atom in self._types.returned(fn.id, None):
                    if atom[0] == v.ANY_SESSION and atom[1].made is not None:
                        found.add(("container", *atom[1].made[1:]))
        return sorted(found)

    def is_kept(self, function: int) -> bool:
        return any(called.kept for called in self.called() if called.function == function)

    def _handlers(self) -> Iterator[Called]:
        for fn in self._types.code.functions:
            for decorator in fn.decorators:
                if self._is_one_of(decorator, models.HANDLERS, self._scope(fn)):
                    yield Called(fn.id, _setting(decorator, models.TO_THREAD))

    def _provided(self) -> Iterator[Called]:
        for _, node, scope in markers(self._types, models.PROVIDE):
            for function in self._functions(provider_of(node), scope):
                yield Called(function, _setting(node, models.TO_THREAD), _setting(node, models.USE_CACHE) is True)

    def _mapped(self) -> Iterator[Called]:
        """Functions without a marker in `dependencies={"session": open_session}`."""
        for _, mapping, scope in self._mappings():
            if type(mapping) is tuple and mapping[0] == ir.DICT:
                for value in mapping[2]:
                    if type(value) is str or (type(value) is tuple and value[0] == ir.ATTR):
                        yield from (Called(function, False) for function in self._functions(value, scope))

    def _mappings(self) -> Iterator[tuple[tuple[str, int], Expr, Function]]:
        """(layer, its `dependencies`, the scope of the names in them)"""
        code = self._types.code
        for fn in code.functions:
            for decorator in fn.decorators:
                if self._is_one_of(decorator, models.HANDLERS, self._scope(fn)):
                    yield (HANDLER, fn.id), dict(decorator[3]).get(models.DEPENDENCIES), self._scope(fn)
        for class_ in code.classes:
            if class_.attributes.get(models.DEPENDENCIES) is not None:
                if self._types.classes.external_bases(class_.id) & models.CONTROLLERS:
                    top = code.top_of(class_.module)
                    yield (CONTROLLER, class_.id), class_.attributes[models.DEPENDENCIES][2], top
        for user in sorted({user for name in ("Litestar", "Router") for user in code.users_of(name)}):
            fn = code.functions[user]
            for node in fn.nodes():
                if node[0] == ir.CALL and self._is_one_of(node, models.LAYERS, fn):
                    yield (AROUND, 0), dict(node[3]).get(models.DEPENDENCIES), fn

    def _is_one_of(self, node: Expr, known: frozenset[str], scope: Function) -> bool:
        if type(node) is not tuple or node[0] != ir.CALL or last_name(node) not in LAST_NAMES:
            return False
        return any(atom[0] == v.EXT and atom[1] in known for atom in self._types.infer(node[1], scope))

    def _functions(self, expression: Expr, scope: Function) -> Iterator[int]:
        for atom in v.ordered(self._types.infer(expression, scope)):
            if atom[0] in (v.FUNCTION, v.METHOD):
                yield atom[1]

    def _scope(self, fn: Function) -> Function:
        code = self._types.code
        outer = fn.parent if fn.parent is not None else code.modules[fn.module].functions[0]
        return code.functions[outer]


# Layers: of a handler and of a controller, with the number of the function or class, and whatever is around those.
HANDLER, CONTROLLER, AROUND = "handler", "controller", "around"

# Of the calls that are looked for.
LAST_NAMES = frozenset(name.rpartition(".")[2] for name in models.HANDLERS | models.LAYERS)


def _setting(node: Node, name: str) -> bool | None:
    """An option that is False unless it is given; None where its value is not known."""
    keywords = dict(node[3])
    if name not in keywords:
        return None if None in keywords else False
    value = keywords[name]
    return bool(value[1]) if type(value) is tuple and value[0] == ir.CONST else None

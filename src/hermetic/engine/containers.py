"""What the providers of dependency containers give: `@provide(scope=Scope.REQUEST)`, `provider.provide(function)`.

A container sends the failure of whoever used what a generator gave into that generator, as the value of its `yield`:
nothing is thrown in there, and what stands behind the `yield` runs in any case. (dishka 1.10, container.py)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from hermetic.engine import ir, values as v
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Function
from hermetic.engine.session_types import MANAGED, Made
from hermetic.engine.state import Mark
from hermetic.engine.values import Atom, Value
from hermetic.engine.walk import last_name
from hermetic.models.containers import CONTAINERS, FROM_CONTAINER, LASTING_SCOPES, PROVIDE, PROVIDERS

if TYPE_CHECKING:
    from hermetic.engine.types import Types


class Provider(NamedTuple):
    """A function that a container calls. `lasting`: once for the process; `at`: where it is made a provider."""

    function: int
    lasting: bool
    at: Mark


class Containers:
    """The providers of a program, found when somebody asks."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._providers: dict[int, Provider] | None = None

    def providers(self) -> dict[int, Provider]:
        """By function."""
        if self._providers is None:
            self._providers = {}  # what is asked meanwhile is no provider
            self._providers = {found.function: found for found in (*self._decorated(), *self._called())}
        return self._providers

    def gives(self, wanted: Value) -> Value:
        """What stands for these types in a container: a session has the options that its providers give it, and
        belongs to the container."""
        return frozenset(found for atom in wanted for found in self._given(atom))

    def shared(self) -> list[Made]:
        """The sessions that are made once for the whole application."""
        found = {
            atom[1].made
            for provider in self.providers().values()
            if provider.lasting
            for atom in self._product(provider)
            if atom[0] == v.ANY_SESSION and atom[1].made is not None
        }
        return sorted(found)

    # -- what they give -----------------------------------------------------------------------------------------

    def _given(self, wanted: Atom) -> Iterator[Atom]:
        if wanted[0] != v.ANY_SESSION:
            yield wanted
            return
        known = [
            atom
            for provider in self.providers().values()
            for atom in self._product(provider)
            if atom[0] == v.ANY_SESSION and atom[1].flavour == wanted[1].flavour
        ]
        for atom in known or [wanted]:
            yield (v.ANY_SESSION, atom[1]._replace(kind=MANAGED))

    def _product(self, provider: Provider) -> Value:
        fn = self._types.code.functions[provider.function]
        value = self._types.yielded(fn.id) if fn.is_generator else self._types.returned(fn.id, None)
        return frozenset(v.made_where(atom, "container") for atom in value) if provider.lasting else value

    # -- who they are -------------------------------------------------------------------------------------------

    def _decorated(self) -> Iterator[Provider]:
        for fn in self._types.code.functions:
            for decorator in fn.decorators:
                if last_name(decorator) == "provide":
                    called = type(decorator) is tuple and decorator[0] == ir.CALL
                    callee = decorator[1] if called else decorator
                    top = self._types.code.top_of(fn.module)
                    if self._makes_providers(callee, top):
                        scope = dict(decorator[3]).get("scope") if called else None
                        at: Mark = (fn.module, decorator[4] if called else fn.position, None)
                        yield Provider(fn.id, self._is_lasting(scope or self._scope_of_class(fn)), at)

    def _called(self) -> Iterator[Provider]:
        code = self._types.code
        for class_ in code.classes:
            for _, _, value, _ in class_.attributes.values():
                if type(value) is tuple and value[0] == ir.CALL and last_name(value[1]) == "provide":
                    top = code.top_of(class_.module)
                    yield from self._of_call(value, top, self._scope_in(class_.id))
        for user in code.users_of("provide"):
            fn = code.functions[user]
            for node in fn.nodes():
                if node[0] == ir.CALL and last_name(node[1]) == "provide":
                    yield from self._of_call(node, fn, self._scope_of_object(node[1], fn))

    def _of_call(self, node: Node, fn: Function, default: Expr) -> Iterator[Provider]:
        if not self._makes_providers(node[1], fn):
            return
        keywords = dict(node[3])
        source = node[2][0] if node[2] else keywords.get("source")
        for atom in v.ordered(self._types.infer(source, fn)):
            if atom[0] in (v.FUNCTION, v.METHOD):
                lasting = self._is_lasting(keywords.get("scope") or default)
                yield Provider(atom[1], lasting, (fn.module, node[4], None))

    def _makes_providers(self, callee: Expr, fn: Function) -> bool:
        for atom in v.ordered(self._types.infer(callee, fn)):
            if atom[0] == v.EXT and atom[1] in PROVIDE:
                return True
            if atom[0] == v.OPERATION and atom[2] == "provide" and atom[1][0] == v.EXT_OBJECT:
                return atom[1][1] in PROVIDERS
        return False

    def _is_lasting(self, scope: Expr) -> bool:
        return last_name(scope) in LASTING_SCOPES

    def _scope_of_class(self, fn: Function) -> Expr:
        return self._scope_in(fn.class_id) if fn.class_id is not None else None

    def _scope_in(self, class_id: int) -> Expr:
        """`scope = Scope.APP` in the body of a class of providers."""
        declared = self._types.classes.declared(class_id, "scope")
        return declared[1][2] if declared is not None else None

    def _scope_of_object(self, callee: Expr, fn: Function) -> Expr:
        """`provider = Provider(scope=Scope.APP)`, of `provider.provide`"""
        if type(callee) is tuple and callee[0] == ir.ATTR and type(callee[1]) is str:
            for _, value, _ in fn.bindings().get(callee[1], ()):
                if type(value) is tuple and value[0] == ir.CALL:
                    return dict(value[3]).get("scope")
        return None


def is_from_container(value: Value) -> bool:
    """Is it the marker in `FromDishka[T]`?"""
    return any(atom[0] == v.EXT and atom[1] in FROM_CONTAINER for atom in value)


def is_container(atom: Atom) -> bool:
    return atom[0] == v.EXT_OBJECT and atom[1] in CONTAINERS

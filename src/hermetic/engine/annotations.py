"""What annotations say: the instances that a name, a subscript or an alias of them allows."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from hermetic.engine import ir, values as v
from hermetic.engine.builder import FunctionBuilder, ModuleBuilder
from hermetic.engine.containers import is_from_container
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import BOUND_VALUE, Function
from hermetic.engine.lower_expressions import lower
from hermetic.engine.values import Atom, Value
from hermetic.engine.walk import last_name

if TYPE_CHECKING:
    from hermetic.engine.types import Types

WRAPPERS = frozenset(
    ("Optional", "ClassVar", "Final", "Mapped", "Required", "NotRequired", "Awaitable", "Coroutine", "Self")
)
CONTAINERS = frozenset(
    """
    list List set Set frozenset FrozenSet tuple Tuple Sequence Iterable Collection Iterator AsyncIterator Generator
    AsyncGenerator AsyncIterable Deque deque ScalarResult
    """.split()
)
CONTEXT_MANAGERS = frozenset(
    """
    AbstractContextManager AbstractAsyncContextManager ContextManager AsyncContextManager _GeneratorContextManager
    _AsyncGeneratorContextManager
    """.split()
)
FACTORY_BASES = frozenset(("sessionmaker", "async_sessionmaker", "scoped_session", "async_scoped_session"))


class Annotations:
    """The half of `Types` that is about annotations."""

    def __init__(self, types: Types) -> None:
        self.types = types
        self._quoted: dict[str, Expr] = {}

    def annotation(self, expression: Expr, fn: Function) -> Value:
        """The instances that an annotation allows."""
        if expression is None:
            return v.UNKNOWN
        if type(expression) is tuple:
            kind = expression[0]
            if kind == ir.CONST:
                quoted = self._parse_quoted(expression[1]) if type(expression[1]) is str else None
                return self.annotation(quoted, fn)
            if kind == ir.MIX:
                return self._any_of(expression[1], fn)
            if kind == ir.SUB:
                return self._subscripted(expression, fn)
        return self._named(expression, fn)

    def _any_of(self, parts: tuple[Expr, ...], fn: Function) -> Value:
        out = v.UNKNOWN
        for part in parts:
            out = v.union(out, self.annotation(part, fn))
        return out

    def _parse_quoted(self, text: str) -> Expr:
        if text not in self._quoted:
            try:
                tree = ast.parse(text.strip(), "<annotation>", "eval")
                scratch = FunctionBuilder(ModuleBuilder(), None, "<annotation>")
                self._quoted[text] = lower(tree.body, scratch)
            except (SyntaxError, ValueError, KeyError, RecursionError, MemoryError):
                self._quoted[text] = None
        return self._quoted[text]

    def _subscripted(self, expression: Node, fn: Function) -> Value:
        base, index = expression[1], expression[2]
        name = last_name(base)
        parts: tuple[Expr, ...] = index[2] if type(index) is tuple and index[0] == ir.SEQ else (index,)
        if not parts:  # tuple[()]
            return v.UNKNOWN
        if name == "Annotated":
            injected = v.UNKNOWN
            for part in parts[1:]:
                injected = injected or self.types.constructors.provided(part, fn)
            declared = self.annotation(parts[0], fn)
            return injected if any(atom[0] == v.ANY_SESSION for atom in injected) or not declared else declared
        if name == "Union":
            return self._any_of(parts, fn)
        if name in WRAPPERS:
            return self.annotation(parts[-1], fn)
        if name in CONTEXT_MANAGERS:
            return self.annotation(parts[0], fn)
        if name in CONTAINERS:
            inner = self.annotation(parts[0], fn)
            return v.one((v.MANY, inner)) if inner else v.UNKNOWN
        if name == "Callable":
            return self._callable(parts, fn)
        if name in ("type", "Type"):
            classes = frozenset(atom for atom in self.symbol(parts[0], fn) if atom[0] in (v.CLASS, v.EXT))
            bounds = self.annotation(parts[0], fn) if not classes else v.UNKNOWN  # of a TypeVar
            return classes or frozenset((v.CLASS, atom[1]) for atom in bounds if atom[0] == v.INSTANCE)
        if name in FACTORY_BASES and parts:
            return self._factory(base, parts[0], fn)
        if name == "FromDishka" and is_from_container(self.symbol(base, fn)):
            return self.types.containers.gives(self.annotation(parts[0], fn))
        return self._named(base, fn)

    def _factory(self, base: Expr, made: Expr, fn: Function) -> Value:
        """`sessionmaker[AsyncSession]`: the class in brackets decides the flavour."""
        out = v.UNKNOWN
        inner = self.annotation(made, fn)
        for atom in v.ordered(self._named(base, fn)):
            for session in v.ordered(inner):
                if session[0] == v.ANY_SESSION and atom[0] in (v.FACTORY, v.REGISTRY):
                    out = v.union(out, v.one((atom[0], atom[1]._replace(flavour=session[1].flavour))))
            out = out or v.one(atom)
        return out

    def _callable(self, parts: tuple[Expr, ...], fn: Function) -> Value:
        """A callable that gives a session, or a context manager of one, is as good as a factory; one of an object that
        may have a session gives such an object."""
        if len(parts) < 2:
            return v.UNKNOWN
        given = self.annotation(parts[-1], fn)
        objects = frozenset(atom for atom in given if atom[0] == v.INSTANCE)
        if objects:
            return v.one((v.GIVING, objects, last_name(parts[-1]) in CONTEXT_MANAGERS))
        made = frozenset((v.FACTORY, atom[1]) for atom in given if atom[0] == v.ANY_SESSION)
        generated = frozenset(
            (v.GENERATING, atom[1])
            for many in given
            if many[0] == v.MANY
            for atom in many[1]
            if atom[0] == v.ANY_SESSION
        )
        return made | generated

    def symbol(self, expression: Expr, fn: Function) -> Value:
        """The classes or library symbols an annotation names, aliases and NewTypes followed."""
        if type(expression) is tuple and expression[0] == ir.CONST:
            expression = self._parse_quoted(expression[1]) if type(expression[1]) is str else None
        if type(expression) is str:
            imported = self.types.symbols.local_import(expression, fn)
            return imported if imported is not None else self.types.symbols.module_level(expression, fn)
        if type(expression) is tuple and expression[0] == ir.ATTR:
            base = self.symbol(expression[1], fn)
            return self.types.members(base, expression[2])
        return v.UNKNOWN

    def _named(self, expression: Expr, fn: Function) -> Value:
        out = v.UNKNOWN
        for atom in v.ordered(self.symbol(expression, fn)):
            if atom[0] == v.CLASS:
                instance = self.types.constructors.instance_of_class(atom[1])
                out = v.union(out, self._handed_out(atom[1]) or instance)
            elif atom[0] == v.EXT:
                out = v.union(out, self.types.constructors.instance_of_library(atom[1]))
            elif atom[0] == v.GLOBAL:
                out = v.union(out, self._alias(atom))
        return out

    def _handed_out(self, class_id: int) -> Value:
        """A class that only opens sessions (`__enter__` and nothing else), used as an annotation, means the session."""
        names = [name for owner in self.types.classes.mro(class_id) for name in self.types.code.classes[owner].methods]
        if not names or not all(name.startswith("__") for name in names):
            return v.UNKNOWN
        entered = self.types.entered(v.one((v.INSTANCE, class_id)))
        return frozenset(atom for atom in entered if atom[0] == v.ANY_SESSION)

    def _alias(self, atom: Atom) -> Value:
        """`DbSession = Annotated[Session, Depends(get_db)]`, `Row = dict | User`, NewType and TypeVar."""
        return self.types.ask(("alias", atom), lambda: self._alias_of(atom))

    def _alias_of(self, atom: Atom) -> Value:
        module = self.types.code.modules[atom[1]]
        top = self.types.code.functions[module.functions[0]]
        out = v.UNKNOWN
        for binding in module.names.get(atom[2], ()):
            if binding[0] != BOUND_VALUE:
                continue
            expression = binding[1][1]
            if type(expression) is tuple and expression[0] == ir.CALL:
                out = v.union(out, self._alias_call(expression, top))
            elif expression is not None:
                out = v.union(out, self.annotation(expression, top))
        return out

    def _alias_call(self, node: Node, fn: Function) -> Value:
        name = last_name(node[1])
        if name == "NewType" and len(node[2]) == 2:
            return self.annotation(node[2][1], fn)
        if name == "TypeVar":
            bound = dict(node[3]).get("bound")
            return self.annotation(bound, fn)
        if name == "TypeAliasType" and len(node[2]) == 2:
            return self.annotation(node[2][1], fn)
        # `Session = sessionmaker(...)` used as an annotation, a common slip: it means what it makes.
        made = self.types.infer(node, fn)
        return frozenset((v.ANY_SESSION, atom[1]) for atom in made if atom[0] in (v.FACTORY, v.REGISTRY))

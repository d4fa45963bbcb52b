"""Configurations of Advanced Alchemy: the options of the sessions that they make, and who ends their transactions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from hermetic.engine import ir, values as v
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import BOUND_VALUE, Function
from hermetic.engine.session_types import MANAGED, Made, SessionType
from hermetic.engine.values import Atom, Value
from hermetic.models import advanced_alchemy as models

if TYPE_CHECKING:
    from hermetic.engine.types import Types


class Config(NamedTuple):
    """`expire` and `closes_only` are None where the call does not say. `closes_only`: a framework's plugin, which only
    closes the session of a request."""

    flavour: str
    expire: bool | None
    closes_only: bool | None
    made: Made


class Configs:
    """The configurations of a program, and what they make."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._known: tuple[Config, ...] | None = None

    def all(self) -> tuple[Config, ...]:
        """Those of the program itself; its tests make others."""
        if self._known is None:
            self._known = ()  # what is asked meanwhile knows of none
            self._known = tuple(self._found())
        return self._known

    def served(self, flavour: str) -> Config | None:
        """That of the sessions which a framework's plugin gives, if there is one."""
        found = [config for config in self.all() if config.flavour == flavour and config.closes_only is not None]
        agree = len({config[:3] for config in found}) == 1
        return min(found, key=lambda config: config.made[0] != "module") if agree else None

    def gives(self, fn: Function, session: Atom) -> bool:
        """Does a framework's plugin give a handler this session, as a parameter of it or within one?"""
        is_asked = bool(self.all()) and v.root(session)[:2] == (v.PARAM, fn.id)
        return is_asked and self._types.litestar.calls(fn.id)

    def only_close(self, fn: Function) -> bool:
        """Does no plugin commit at the end of a handler's request, nor a hook of the application? What an example says
        of its plugin says nothing of the handlers of a library beside it."""
        of_plugins = [config for config in self.all() if config.closes_only is not None]
        beside = any(self._top(config.made[1]) == self._top(fn.id) for config in of_plugins)
        return beside and all(config.closes_only for config in of_plugins) and not self._types.litestar.has_hooks()

    def _top(self, function: int) -> tuple[str, ...]:
        code = self._types.code
        return code.index.parts[code.functions[function].module][:1]

    def object(self, name: str, flavour: str, node: Node, fn: Function) -> Atom:
        return (v.EXT_OBJECT, name, self._read(name, flavour, node, fn))

    def makes(self, operation: Atom) -> Value:
        """What a method of a configuration gives: `config.get_session()`, `config.create_session_maker()`"""
        full_name = v.full_name(operation)
        owner, _, method = full_name.rpartition(".")
        flavour = models.known(owner, models.CONFIGS)
        kind = models.CONFIG_METHODS.get(method)
        if flavour is None or kind is None:
            return v.UNKNOWN
        receiver = operation[1]
        config = receiver[2] if len(receiver) > 2 and type(receiver[2]) is Config else None
        if kind == "engine":
            return v.one((v.ENGINE, flavour, None))
        expire, options_at = (config.expire, config.made) if config is not None else (None, None)
        if kind == "factory":
            return v.one((v.FACTORY, SessionType(flavour, expire=expire, options_at=options_at)))
        return v.one((v.ANY_SESSION, SessionType(flavour, MANAGED, expire, None, options_at)))

    def _found(self) -> Iterator[Config]:
        code = self._types.code
        for name in models.CONFIGS:
            for fn in (code.functions[user] for user in code.users_of(name)):
                for node in fn.calls_of(name) if not code.is_test(fn.module) else ():
                    for atom in self._types.infer(node, fn):
                        if atom[0] == v.EXT_OBJECT and len(atom) > 2 and type(atom[2]) is Config:
                            yield atom[2]

    def _read(self, name: str, flavour: str, node: Node, fn: Function) -> Config:
        keywords = dict(node[3])
        made = self._types.constructors.made(node, fn)
        ends = [keywords[option] for option in models.ENDS if option in keywords]
        serves = any(part in name for part in models.SERVING)
        closes_only = None if None in keywords or not serves else all(end in _CLOSING for end in ends)
        return Config(flavour, self._expire(keywords, fn), closes_only, made)

    def _expire(self, keywords: dict[str | None, Expr], fn: Function) -> bool | None:
        if None in keywords or any(option in keywords for option in models.OWN_MAKERS):
            return None
        if models.SESSION_CONFIG not in keywords:
            return True
        answers = {self._expire_in(node) for node in self._calls(keywords[models.SESSION_CONFIG], fn)}
        return answers.pop() if len(answers) == 1 else None

    def _calls(self, value: Expr, fn: Function) -> Iterator[Node]:
        """The call that makes a session's options, here or behind a name."""
        if type(value) is tuple and value[0] == ir.CALL:
            yield value
        elif type(value) is str:
            for _, bound, _ in fn.bindings().get(value, ()):
                yield from self._calls(bound, fn) if type(bound) is tuple else ()
            for atom in v.ordered(self._types.symbol(value, fn)):
                if atom[0] == v.GLOBAL:
                    for binding in self._types.code.modules[atom[1]].names.get(atom[2], ()):
                        if binding[0] == BOUND_VALUE and type(binding[1][1]) is tuple:
                            yield from self._calls(binding[1][1], fn)

    def _expire_in(self, node: Node) -> bool | None:
        keywords = dict(node[3])
        if None in keywords:
            return None
        value = keywords.get(models.EXPIRE, ir.TRUE)
        return bool(value[1]) if type(value) is tuple and value[0] == ir.CONST else None


# What a configuration may say of the end of a request, and means that nothing is committed then.
_CLOSING = (ir.NONE, *((ir.CONST, value) for value in models.CLOSES), *models.CLOSING_HANDLERS)

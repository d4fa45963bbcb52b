"""Attributes that a base class fills with what its subclasses give it.

`self.rows = repository(session)` of a generic base class is another thing in each subclass: its constructor passes
the class up by `super().__init__(repository=Orders)`, or names it in an attribute of the class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hermetic.engine import ir, values as v
from hermetic.engine.arguments import argument_of
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Function
from hermetic.engine.values import Value
from hermetic.engine.walk import last_name

if TYPE_CHECKING:
    from hermetic.engine.types import Types


def class_passed_up(types: Types, class_id: int, init: Function, name: str) -> Value:
    """The class that a base class's constructor gets for a parameter where an object of the class is made: the model of
    a generic repository. Of other things types say too little here: which of several objects of a kind it is."""
    return types.ask(("passed up", class_id, init.id, name), lambda: _class_passed_up(types, class_id, init, name))


def _class_passed_up(types: Types, class_id: int, init: Function, name: str) -> Value:
    return frozenset(atom for atom in seen_from_subclass(types, class_id, init, name) if atom[0] == v.CLASS)


def seen_from_subclass(types: Types, class_id: int, method: Function, expression: Expr) -> Value:
    """What an expression in a method of a base class is, where the object is one of the class."""
    if type(expression) is str:
        number = method.parameter(expression)
        return _passed_up(types, class_id, method, number) if number and method.name == "__init__" else v.UNKNOWN
    if type(expression) is tuple and expression[0] == ir.CALL:
        out = v.UNKNOWN
        for atom in _class_called(types, class_id, method, expression[1]):
            if atom[0] == v.CLASS:
                out = v.union(out, types.call_atom(atom, expression, method))
        return out
    return v.UNKNOWN


def _class_called(types: Types, class_id: int, method: Function, callee: Expr) -> Value:
    if type(callee) is str:
        return seen_from_subclass(types, class_id, method, callee)
    if type(callee) is tuple and callee[0] == ir.ATTR and method.params and callee[1] == method.params[0][0]:
        return types.member((v.INSTANCE, class_id), callee[2])
    return v.UNKNOWN


def _passed_up(types: Types, class_id: int, init: Function, number: int) -> Value:
    """What the constructor of the class, or of one between it and the base, passes to the base's constructor."""
    own = None
    for owner in types.classes.mro(class_id):
        if owner == init.class_id:
            break
        method = types.code.classes[owner].methods.get("__init__")
        own = types.code.functions[method] if method is not None else own
    if own is None:
        return types.constructed_with(class_id, init, number)
    for node in own.nodes():
        if _calls_up(node):
            argument = argument_of(node, init, number, bound=True)
            further = own.parameter(argument) if type(argument) is str else None
            return _passed_up(types, class_id, own, further) if further else types.infer(argument, own)
    return v.UNKNOWN


def _calls_up(node: Node) -> bool:
    """`super().__init__(...)`"""
    return (
        node[0] == ir.CALL
        and type(node[1]) is tuple
        and node[1][0] == ir.ATTR
        and node[1][2] == "__init__"
        and last_name(node[1][1]) == "super"
    )

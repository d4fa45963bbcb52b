"""Rows that many operations leave behind, for people to read: an audit log.

Such rows are only ever added, by one function that gives nothing back and that many others tell what they do. Nothing
is decided by them, so a row that is missing, or one too many, leaves no operation done by halves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

from hermetic.engine import ir, values as v, walk
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Codebase, Function
from hermetic.engine.types import Types
from hermetic.engine.walk import last_name

# So many other functions call the one that writes the record.
MANY_OPERATIONS = 3

# What an attribute of a mapped class is made by that leads to rows of another table.
LEADING_ELSEWHERE = frozenset(("ForeignKey", "relationship", "relation", "Relationship", "backref"))


class Records:
    """Which mapped classes are that, each asked for once."""

    def __init__(self, code: Codebase, types: Types) -> None:
        self._code = code
        self._types = types
        self._known: dict[int, bool] = {}

    def is_record(self, class_id: int) -> bool:
        known = self._known.get(class_id)
        if known is None:
            known = self._known[class_id] = self._find_out(class_id)
        return known

    def refers_to_nothing(self, class_id: int) -> bool:
        """Is it a table that leads to no other: are its columns all the record says?"""
        values = (attribute[2] for attribute in self._code.classes[class_id].attributes.values())
        nodes = (node for value in values if type(value) is tuple for node in walk.subexpressions(value))
        return not any(node[0] == ir.CALL and last_name(node[1]) in LEADING_ELSEWHERE for node in nodes)

    def _find_out(self, class_id: int) -> bool:
        users = [self._code.functions[user] for user in self._code.users_of(self._code.classes[class_id].name)]
        users = [fn for fn in users if not self._code.is_test(fn.module)]
        writers = [fn for fn in users if self._makes(class_id, fn)]
        if len(writers) != 1 or writers[0].is_module or self._gives_back(class_id, writers[0]):
            return False
        if list(_changed(writers[0])) or writers[0].calls_of("merge") or self._is_referred_to(class_id):
            return False
        if any(self._changes(class_id, fn) or self._deletes(class_id, fn) for fn in users):
            return False
        return self._operations(writers[0], writers[0]) >= MANY_OPERATIONS

    def _operations(self, writer: Function, told: Function) -> int:
        """How many functions tell the writer in words what they do, or tell one that tells it."""
        tellers = [fn for fn in self._others(told) if self._calls(fn, told)]
        behind = sum(self._operations(writer, fn) for fn in tellers if told is writer)
        return len(tellers) + behind

    def _others(self, writer: Function) -> Iterator[Function]:
        for user in self._code.users_of(writer.name):
            fn = self._code.functions[user]
            if fn is not writer and not self._code.is_test(fn.module):
                yield fn

    def _calls(self, fn: Function, writer: Function) -> bool:
        callees = (self._types.infer(node[1], fn) for node in fn.calls_of(writer.name) if _says_in_words(node))
        return any(atom[0] in (v.FUNCTION, v.METHOD) and atom[1] == writer.id for found in callees for atom in found)

    def _makes(self, class_id: int, fn: Function) -> bool:
        calls = fn.calls_of(self._code.classes[class_id].name)
        return any((v.CLASS, class_id) in self._types.infer(node[1], fn) for node in calls)

    def _gives_back(self, class_id: int, writer: Function) -> bool:
        return (v.INSTANCE, class_id) in self._types.returned(writer.id, None)

    def _changes(self, class_id: int, fn: Function) -> bool:
        """Does a function that names the class assign to an attribute of such a row, as far as one can tell?"""
        for row, attribute in _changed(fn):
            found = self._types.infer(row, fn)
            if (v.INSTANCE, class_id) in found:
                return True
            if not found and self._types.classes.member(class_id, attribute) is not None:
                return True
        return False

    def _deletes(self, class_id: int, fn: Function) -> bool:
        """Does a function delete one such row? Old ones are removed by many."""
        given = (self._types.infer(argument, fn) for node in fn.calls_of("delete") for argument in node[2])
        return any((v.INSTANCE, class_id) in found for found in given)

    def _is_referred_to(self, class_id: int) -> bool:
        """Do rows of another table hang on these?"""
        class_ = self._code.classes[class_id]
        named = class_.attributes.get("__tablename__")
        name = named[2] if named is not None else None
        table = name[1] if type(name) is tuple and name[0] == ir.CONST else _snake_case(class_.name)
        return table in self._referred_to

    @cached_property
    def _referred_to(self) -> frozenset[str]:
        """The tables that foreign keys name."""
        columns = (attribute[2] for class_ in self._code.classes for attribute in class_.attributes.values())
        nodes = (node for column in columns if type(column) is tuple for node in walk.subexpressions(column))
        keys = (node[2][0] for node in nodes if node[0] == ir.CALL and last_name(node[1]) == "ForeignKey" and node[2])
        return frozenset(str(key[1]).rpartition(".")[0] for key in keys if type(key) is tuple and key[0] == ir.CONST)


def _says_in_words(call: Node) -> bool:
    """Is one of the arguments a text that stands there: what has been done?"""
    given = (argument for argument in (*call[2], *(value for _, value in call[3])) if type(argument) is tuple)
    return any(_is_text(argument) for argument in given)


def _is_text(argument: Node) -> bool:
    """`"text"`, `f"text {x}"`, `text.format(x)`"""
    kind, first = argument[0], argument[1]
    if kind == ir.CALL:
        return type(first) is tuple and first[0] == ir.ATTR and first[2] == "format"
    return kind == ir.MIX or (kind == ir.CONST and type(first) is str)


def _snake_case(name: str) -> str:
    """As Flask-SQLAlchemy names tables. https://flask-sqlalchemy.readthedocs.io/en/stable/models/"""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _changed(fn: Function) -> Iterator[tuple[Expr, str]]:
    for statement in fn.statements():
        targets = statement[1] if statement[0] == ir.ASSIGN else (statement[1],) if statement[0] == ir.AUG else ()
        for target in targets:
            if type(target) is tuple and target[0] == ir.ATTR:
                yield target[1], target[2]

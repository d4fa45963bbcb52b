"""Schemas that are filled from rows: `InvoiceOut.model_validate(invoice)` reads every attribute that the schema names.

Heuristic with limits: fields are found in the class and its bases, under their names or constant aliases. A schema that
looks at the row itself before its fields are read, in a validator of the whole, may read anything or nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from hermetic.engine import entities, ir, values as v, walk
from hermetic.engine.classes import COLUMN, OTHER, PYDANTIC_BASES
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Function
from hermetic.engine.names import lookup
from hermetic.engine.run import Run
from hermetic.engine.stale import row_class
from hermetic.engine.state import Mark, State
from hermetic.engine.values import Value
from hermetic.engine.walk import last_name

# https://sqlmodel.tiangolo.com/tutorial/fastapi/multiple-models/: a class without `table=True` is a schema, too
_BASES = PYDANTIC_BASES | {"sqlmodel.SQLModel", "sqlmodel.main.SQLModel"}

# The class methods that read the attributes of what they are given, as their base has them.
# https://docs.pydantic.dev/latest/concepts/models/#arbitrary-class-instances; from_orm: pydantic 1
FILLING = frozenset(f"{base}.{method}" for base in _BASES for method in ("model_validate", "from_orm"))

# Decorators of validators of a whole schema, pydantic's and, the second, those of pydantic 1; and the methods by which
# a schema reads in its own way. https://docs.pydantic.dev/latest/concepts/validators/#model-validators
_OF_THE_WHOLE = frozenset(("model_validator", "root_validator"))
_OWN_WAYS = frozenset(("from_orm", "__get_validators__", "__get_pydantic_core_schema__"))

# https://docs.pydantic.dev/latest/concepts/alias/: keywords of a field, the first wins, and options of the schema by
# which the field's own name does as well
_ALIASES = ("validation_alias", "alias")
_BY_NAME = frozenset(("populate_by_name", "validate_by_name"))


class Field(NamedTuple):
    """A field of a schema reads this attribute of what the schema is filled from."""

    attribute: str
    at: Mark


def fill(run: Run, state: State, given: Value, position: ir.Pos) -> None:
    """A schema is filled from `given`: what the schema of the project names is read."""
    call = run.call_node
    if call is None or call[4] != position or type(call[1]) is not tuple or type(call[1][1]) is not str:
        return
    for row in v.ordered(given):
        model = row_class(run, row) if state.instance(row) is not None or row[0] == v.PARAM else None
        for schema in lookup(run, state, call[1][1]) if model is not None else ():
            if schema[0] == v.CLASS:
                for field in fields(run, schema[1], model):
                    entities.read(run, state, row, field.attribute, run.mark(position))


def is_schema(run: Run, class_id: int) -> bool:
    """Is it a class of data, which no table belongs to?"""
    classes = run.types.classes
    return not _BASES.isdisjoint(classes.external_bases(class_id)) and not classes.is_model(class_id)


def fields(run: Run, schema: int, model: int | None) -> list[Field]:
    """What the schema reads of the model: of the columns that are always loaded one is enough, and all else."""
    classes = run.types.classes
    if model is None or _reads_in_its_own_way(run, schema):
        return []
    found: list[Field] = []
    column, set_by_updates = False, classes.set_by_updates(model)
    by_name = _takes_names(run, schema)
    for owner, attribute in _declared(run, schema).values():
        for name in _names(attribute, by_name):
            kind = classes.attribute_kind(model, name)
            if kind == OTHER:
                continue
            plain = kind == COLUMN and name not in set_by_updates and not classes.is_deferred(model, name)
            if not (plain and column):
                line = attribute[3]
                found.append(Field(name, (run.code.classes[owner].module, (line, -1, line, -1), None)))
            column = column or plain
            break
    return found


def _declared(run: Run, schema: int) -> dict[str, tuple[int, Node]]:
    """The fields of a schema: name -> the class that declares it last, and how."""
    found: dict[str, tuple[int, Node]] = {}
    for owner in reversed(run.types.classes.mro(schema)):
        for name, attribute in run.code.classes[owner].attributes.items():
            if attribute[1] is not None and not name.startswith("_") and last_name(attribute[1]) != "ClassVar":
                found[name] = (owner, attribute)
    return found


def _names(attribute: Node, by_name: bool) -> Iterator[str]:
    """The attributes that a field looks for, in their order."""
    aliases = dict(_aliases(attribute))
    for keyword in _ALIASES:
        alias = aliases.get(keyword)
        if alias is not None:
            if type(alias) is tuple and alias[0] == ir.CONST and type(alias[1]) is str:
                yield alias[1]
            break
    if alias is None or by_name:
        yield attribute[0]


def _aliases(attribute: Node) -> Iterator[tuple[str, Expr]]:
    """`x: int = Field(alias="y")`, `x: Annotated[int, Field(alias="y")]`"""
    for expression in attribute[1:3]:
        for node in walk.subexpressions(expression):
            if node[0] == ir.CALL and last_name(node[1]) == "Field":
                yield from ((name, value) for name, value in node[3] if name in _ALIASES)


def _takes_names(run: Run, schema: int) -> bool:
    """`model_config = ConfigDict(populate_by_name=True)`"""
    for owner in run.types.classes.mro(schema):
        config = run.code.classes[owner].attributes.get("model_config")
        if config is not None and type(config[2]) is tuple and config[2][0] == ir.CALL:
            return any(name in _BY_NAME and value == ir.TRUE for name, value in config[2][3])
    return False


def _reads_in_its_own_way(run: Run, schema: int) -> bool:
    methods = {
        name: run.code.functions[method]
        for owner in run.types.classes.mro(schema)
        for name, method in run.code.classes[owner].methods.items()
    }
    return not _OWN_WAYS.isdisjoint(methods) or any(map(_comes_before_the_fields, methods.values()))


def _comes_before_the_fields(method: Function) -> bool:
    """`@model_validator(mode="before")`, `@root_validator(pre=True)`"""
    for decorator in method.decorators:
        if last_name(decorator) in _OF_THE_WHOLE and type(decorator) is tuple and decorator[0] == ir.CALL:
            options = dict(decorator[3])
            if options.get("pre") == ir.TRUE or options.get("mode", (ir.CONST, "after")) != (ir.CONST, "after"):
                return True
    return False

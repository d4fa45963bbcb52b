"""Schemas that are filled from rows: `InvoiceOut.model_validate(invoice)` reads every attribute that the schema names,
and `Page(items=invoices)` those that the schema of its items names.

Heuristic with limits: of the schemas inside of a schema one level; fields are found in the class and its bases, under
their names or constant aliases. A schema that looks at the row itself before its fields are read, in a validator of the
whole, may read anything or nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from hermetic.engine import entities, ir, related, values as v, walk
from hermetic.engine.classes import COLUMN, OTHER, PYDANTIC_BASES, RELATIONSHIP
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Function
from hermetic.engine.names import lookup
from hermetic.engine.run import Run
from hermetic.engine.stale import row_class
from hermetic.engine.state import Mark, State
from hermetic.engine.values import Atom, Value
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

# Decorators of validators of single fields. https://docs.pydantic.dev/latest/concepts/validators/#field-validators
_OF_A_FIELD = frozenset(("field_validator", "validator"))

# https://docs.pydantic.dev/latest/concepts/alias/: keywords of a field, the first wins, and options of the schema by
# which the field's own name does as well
_ALIASES = ("validation_alias", "alias")
_BY_NAME = frozenset(("populate_by_name", "validate_by_name"))


class Field(NamedTuple):
    """A field of a schema reads this attribute of what the schema is filled from, or of what is behind a relationship
    of that."""

    attribute: str
    at: Mark
    behind: str | None = None


def fill(run: Run, state: State, given: Value, position: ir.Pos) -> None:
    """A schema is filled from `given`: what the schema of the project names is read."""
    call = run.call_node
    if call is None or call[4] != position or type(call[1]) is not tuple or type(call[1][1]) is not str:
        return
    for schema in lookup(run, state, call[1][1]):
        if schema[0] == v.CLASS:
            _read_all(run, state, given, schema[1], run.mark(position))


def construct(run: Run, state: State, class_id: int, kwargs: Mapping[str | None, Value], position: ir.Pos) -> None:
    """`Page(items=invoices)`: whatever a field is given that is a schema, or a list of them, is filled from that."""
    rows = {name: value for name, value in kwargs.items() if any(_may_be_rows(state, atom) for atom in value)}
    if not rows or not is_schema(run, class_id):
        return
    declared = _declared(run, class_id)
    for name in rows:
        for schema in _within(run, class_id, *declared[name]) if name in declared else ():
            _read_all(run, state, rows[name] | v.elements(rows[name]), schema, run.mark(position))


def _may_be_rows(state: State, atom: Atom) -> bool:
    if atom[0] == v.MANY:
        return any(_may_be_rows(state, inner) for inner in atom[1])
    return state.instance(atom) is not None or entities.way_to(atom) is not None


def _read_all(run: Run, state: State, rows: Value, schema: int, mark: Mark) -> None:
    for row in v.ordered(rows):
        way = entities.way_to(row) if row[0] != v.PARAM and state.instance(row) is None else None
        if way is not None:
            model = row_class(run, way[1])
            related_model = run.types.classes.target(model, way[2]) if model is not None else None
            for field in fields(run, schema, related_model):
                related.read(run, state, row, field.attribute, mark)
        elif state.instance(row) is not None or row[0] == v.PARAM:
            for field in fields(run, schema, row_class(run, row)):
                read(run, state, row, field, mark)


def read(run: Run, state: State, row: Atom, field: Field, mark: Mark) -> None:
    """What a field reads of a row."""
    if field.behind is None:
        entities.read(run, state, row, field.attribute, mark)
    elif row[0] == v.ENTITY:
        related.read(run, state, (v.FIELD, row, field.behind), field.attribute, mark)


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
                found.append(Field(name, _mark_of(run, owner, attribute)))
            column = column or plain
            if kind == RELATIONSHIP:
                found += _behind(run, schema, owner, attribute, name, classes.target(model, name))
            break
    return found


def _mark_of(run: Run, owner: int, attribute: Node) -> Mark:
    line = attribute[3]
    return (run.code.classes[owner].module, (line, -1, line, -1), None)


def _behind(run: Run, schema: int, owner: int, attribute: Node, name: str, model: int | None) -> Iterator[Field]:
    """The relationships that the schema of a field names in its turn."""
    for inner in _within(run, schema, owner, attribute) if model is not None else ():
        if inner != schema and model is not None and not _reads_in_its_own_way(run, inner):
            for inner_owner, inner_attribute in _declared(run, inner).values():
                for behind in _names(inner_attribute, _takes_names(run, inner)):
                    if run.types.classes.attribute_kind(model, behind) == RELATIONSHIP:
                        yield Field(behind, _mark_of(run, inner_owner, inner_attribute), name)


def _within(run: Run, schema: int, owner: int, attribute: Node) -> list[int]:
    """The schemas that a field is made of, `list[InvoiceOut]`, unless a validator may make them of something else."""
    methods = [method for one in run.types.classes.mro(schema) for method in run.code.classes[one].methods.values()]
    if any(_validates(run.code.functions[method], attribute[0]) for method in methods):
        return []
    top = run.code.top_of(run.code.classes[owner].module)
    found = run.types.annotation(attribute[1], top)
    return [
        atom[1] for atom in v.ordered(found | v.elements(found)) if atom[0] == v.INSTANCE and is_schema(run, atom[1])
    ]


def _validates(method: Function, name: str) -> bool:
    """`@field_validator("lines")`"""
    return any(
        type(decorator) is tuple
        and decorator[0] == ir.CALL
        and last_name(decorator) in _OF_A_FIELD
        and any(argument in ((ir.CONST, name), (ir.CONST, "*")) for argument in decorator[2])
        for decorator in method.decorators
    )


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

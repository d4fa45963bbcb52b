"""Schemas that are filled from rows: `InvoiceOut.model_validate(invoice)` reads every attribute that the schema names.

Heuristic with limits: fields are found by their names in the class and its bases; aliases and validators are not.
"""

from __future__ import annotations

from hermetic.engine import entities, ir, values as v
from hermetic.engine.classes import COLUMN, OTHER, PYDANTIC_BASES
from hermetic.engine.names import lookup
from hermetic.engine.project import annotated
from hermetic.engine.run import Run
from hermetic.engine.stale import row_class
from hermetic.engine.state import State
from hermetic.engine.values import Value

# https://sqlmodel.tiangolo.com/tutorial/fastapi/multiple-models/: a class without `table=True` is a schema, too
_BASES = PYDANTIC_BASES | {"sqlmodel.SQLModel", "sqlmodel.main.SQLModel"}

# The class methods that read the attributes of what they are given, as their base has them.
# https://docs.pydantic.dev/latest/concepts/models/#arbitrary-class-instances; from_orm: pydantic 1
FILLING = frozenset(f"{base}.{method}" for base in _BASES for method in ("model_validate", "from_orm"))


def fill(run: Run, state: State, given: Value, position: ir.Pos) -> None:
    """A schema is filled from `given`: what the schema of the project names is read."""
    call = run.call_node
    if call is None or call[4] != position or type(call[1]) is not tuple or type(call[1][1]) is not str:
        return
    for row in v.ordered(given):
        model = row_class(run, row) if state.instance(row) is not None or row[0] == v.PARAM else None
        for schema in lookup(run, state, call[1][1]) if model is not None else ():
            if schema[0] == v.CLASS:
                for name in _names(run, schema[1], model):
                    entities.read(run, state, row, name, run.mark(position))


def _names(run: Run, schema: int, model: int | None) -> list[str]:
    """The attributes of the model that the schema names: of the columns the first is enough, and all relationships."""
    classes = run.types.classes
    found: list[str] = []
    column = False
    for owner in reversed(classes.mro(schema)):
        for name in annotated(run.code.classes[owner].attributes):
            kind = classes.attribute_kind(model, name) if model is not None else OTHER
            if kind == OTHER or name in found or (kind == COLUMN and column):
                continue
            column = column or kind == COLUMN
            found.append(name)
    return found

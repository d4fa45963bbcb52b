"""Results as nested tuples that `marshal` can store, and back."""

from __future__ import annotations

import marshal
from dataclasses import fields, is_dataclass
from typing import Any

from hermetic.finding import Finding, Fix, Position, Severity, Sighting, Step
from hermetic.report.results import NotAnalysed, Results, Summary

# What a packed tuple begins with: a plain tuple, a severity, or one of the classes.
TUPLE, SEVERITY, FIRST_CLASS = range(3)
CLASSES = (Results, Finding, Position, Step, Fix, Sighting, NotAnalysed, Summary)


def pack(results: Results) -> bytes:
    """Results as bytes."""
    return marshal.dumps(_packed(results))


def unpack(data: bytes) -> Results:
    """The results that were packed, by this very version of hermetic."""
    results: Results = _unpacked(marshal.loads(data))
    return results


def _packed(value: Any) -> Any:
    if is_dataclass(value):
        of = FIRST_CLASS + CLASSES.index(type(value))
        return (of, *[_packed(getattr(value, field.name)) for field in fields(value)])
    if isinstance(value, Severity):
        return (SEVERITY, int(value))
    return (TUPLE, *map(_packed, value)) if isinstance(value, tuple) else value


def _unpacked(value: Any) -> Any:
    if type(value) is not tuple:
        return value
    if value[0] == SEVERITY:
        return Severity(value[1])
    parts = tuple([_unpacked(part) for part in value[1:]])
    return parts if value[0] == TUPLE else CLASSES[value[0] - FIRST_CLASS](*parts)

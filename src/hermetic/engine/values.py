"""Abstract values: what an expression can be, as far as sessions are concerned.

A `Value` is a set of atoms; an empty set is a value that nothing is known of. Atoms are tuples, so values can
be compared, hashed, and carried from a callee's summary into a caller.

Code and library objects
    (EXT, name)               a symbol of a library, by its full name: `sqlalchemy.orm.Session`
    (EXT_OBJECT, name)        what calling that symbol, or a method of such an object, gives
    (MODULE, file)            a module of the project
    (CLASS, c)  (FUNCTION, f) defined in the project
    (METHOD, f, receiver)     bound to an atom
    (CLOSURE, f, frame)       a nested function or lambda with the frame that made it
    (OPERATION, receiver, name)   a method of a library object that a model describes
    (PARTIAL, callee, arguments, keywords)
    (CONSTANT, value)
Places that a caller or the program's start filled; what is there is inferred from types
    (PARAM, f, n)             parameter number n of function f
    (FIELD, base, name)       attribute of another such place
    (CTOR, base, name)        what the constructor of `base` got for that parameter
    (GLOBAL, file, name)      module-level variable
    (FREE, f, name)           variable of an enclosing function
Made by the function at hand; `site` is the (line, column, n) of the making
    (SESSION, site, type)     (OBJECT, site, c)     (ENTITY, site, c)
    (ORIGIN, site, what)      a row that is no instance, or what a call that wrote something gave
Known by type only
    (ANY_SESSION, type)  (INSTANCE, c)
    (FACTORY, type, engine)  (REGISTRY, type, engine)   engine: the ENGINE it was made with, or None
    (ENGINE, flavour, made, pool)  (CONNECTION, flavour, owner)
Library objects with a session behind them; `c` is a class, a place that holds one, or None
    (TRANSACTION, session, nested)   nested: a savepoint; or "own", "writer", "reader": it ends its session
    (QUERY, session, c, options, sources)
    (RESULT, session, c, options, sources, shape)   shape: "rows" or "scalars"
    (STATEMENT, verb, c, sources, options)   verb "option": a loader option, sources are relationship names
Containers and deferred calls
    (GENERATING, type)        a function that gives a generator of sessions, known by its annotation only
    (GIVING, value, entered)  a function that gives these objects, known so too; `entered`: a context manager of them
    (MANY, value)             any number of these        (TUPLE, values)
    (DEFERRED, kind, function, receiver, arguments, keywords, position)
                              a called coroutine, generator or context manager function that has not run yet
    (DEFERRED, "operation", operation, None, arguments, keywords, position)   of an AsyncSession, not yet awaited
    (DEFERRED, "done", value, sessions)    run in another thread; to be awaited
    (DEFERRED, "task", value, sessions)    started, runs beside
    (AWAITABLE, instance)     `instance.awaitable_attrs`
    (DEFERRED, "attribute", instance, name)   an attribute of that
    (BORROWED, value)         `nullcontext(value)`: entering gives the value, leaving does nothing; with a third element
                              nobody knows what leaving does to it
    (DERIVED, sources)        computed from these sources (see `sources`)
    (TEXT, beginning)         a string of which the beginning is known
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

Atom = tuple[Any, ...]
Value = frozenset[Atom]

EXT, EXT_OBJECT, MODULE, CLASS, FUNCTION, METHOD = "ext", "ext_object", "module", "class", "function", "method"
CLOSURE, OPERATION, PARTIAL, CONSTANT = "closure", "operation", "partial", "constant"
PARAM, FIELD, CTOR, GLOBAL, FREE = "param", "field", "ctor", "global", "free"
SESSION, OBJECT, ENTITY, ORIGIN = "session", "object", "entity", "origin"
ANY_SESSION, INSTANCE = "any_session", "instance"
FACTORY, REGISTRY, ENGINE, CONNECTION = "factory", "registry", "engine", "connection"
TRANSACTION, QUERY, RESULT, STATEMENT = "transaction", "query", "result", "statement"
MANY, TUPLE, DEFERRED, DERIVED, BORROWED, TEXT, AWAITABLE, GENERATING, GIVING = (
    "many",
    "tuple",
    "deferred",
    "derived",
    "borrowed",
    "text",
    "awaitable",
    "generating",
    "giving",
)

PLACES = frozenset((PARAM, FIELD, CTOR, GLOBAL, FREE))

UNKNOWN: Value = frozenset()
NOTHING: Value = frozenset(((CONSTANT, None),))
YES: Value = frozenset(((CONSTANT, True),))
NO: Value = frozenset(((CONSTANT, False),))
EMPTY: Value = frozenset(((TUPLE, ()),))  # a container with nothing in it, so far

# More alternatives than this are not told apart: what is made of them is no longer believed.
MOST_ALTERNATIVES = 6


@cache
def text(part: object) -> str:
    """As `repr`, but equal sets have equal texts: what things are put in order by, whatever the hash seed."""
    if type(part) is frozenset and part:
        return f"frozenset({{{', '.join(sorted(map(text, part)))}}})"
    if type(part) is tuple:
        return f"({', '.join(map(text, part))}{',' if len(part) == 1 else ''})"
    return repr(part)


def ordered(value: Iterable[Atom]) -> Sequence[Atom]:
    """The alternatives in an order that does not depend on the run."""
    found = tuple(value)
    return found if len(found) < 2 else sorted(found, key=text)


def made_where(atom: Atom, where: str) -> Atom:
    """A session that is known by type, and made in such a place: see `session_types.Made`."""
    if atom[0] == ANY_SESSION and atom[1].made is not None:
        return (ANY_SESSION, atom[1]._replace(made=(where, *atom[1].made[1:])))
    return atom


def one(atom: Atom) -> Value:
    return frozenset((atom,))


def union(left: Value, right: Value) -> Value:
    """The least value that covers both; beyond the limit only where it came from is kept."""
    if left is right or not right or left == right:
        return left
    return _limited_alternatives(left | right) if left else right


SOMETHING: Atom = (DERIVED, frozenset())  # an alternative that nothing is known of


def either(left: Value, right: Value) -> Value:
    """What a variable holds that has the one value on some paths and the other on the rest. Beside constants the paths
    on which nothing is known are kept in mind: there it is none of them."""
    if left and right:
        return union(left, right)
    known = left or right
    return known | {SOMETHING} if any(atom[0] == CONSTANT for atom in known) else known


def union_all(values: Iterable[Value]) -> Value:
    """The least value that covers all of these, in whatever order they come."""
    found = UNKNOWN
    for value in values:
        if value and value is not found:
            found = found | value if found else value
    return _limited_alternatives(found)


def _limited_alternatives(value: Value) -> Value:
    if len(value) <= MOST_ALTERNATIVES:
        return value
    derived = sources(value)
    return frozenset(((DERIVED, derived),)) if derived else UNKNOWN


def elements(value: Value, number: int | None = None) -> Value:
    """What iterating over, or indexing, a value gives."""
    out = UNKNOWN
    for atom in ordered(value):
        if atom[0] == MANY:
            out = union(out, atom[1])
        elif atom[0] == TUPLE:
            if number is not None and -len(atom[1]) <= number < len(atom[1]):
                out = union(out, atom[1][number])
            else:
                for part in atom[1]:
                    out = union(out, part)
    return out


def root(atom: Atom) -> Atom:
    """What an attribute of an attribute, or a constructor's argument, belongs to in the end."""
    while atom[0] in (FIELD, CTOR):
        atom = atom[1]
    return atom


def sources(value: Value) -> frozenset[Atom]:
    """Where a value comes from: the parameters, fields, entities and calls that it was computed from."""
    if not value:
        return value
    if len(value) == 1:
        (atom,) = value
        if atom[0] == DERIVED:
            return frozenset(atom[1])
    found: set[Atom] = set()
    for atom in value:
        kind = atom[0]
        if kind == DERIVED:
            found |= atom[1]
        elif kind == FIELD and atom[1][0] == CLASS:
            continue  # a column of a mapped class, not a value
        elif kind in PLACES or kind in (ENTITY, OBJECT, ORIGIN):
            found.add(atom)
        elif kind == MANY:
            found |= sources(atom[1])
        elif kind == TUPLE:
            for element in atom[1]:
                found |= sources(element)
        elif kind == STATEMENT and atom[1] != "option":
            found |= atom[3]
        elif kind in (QUERY, RESULT):
            found |= atom[4]
    return frozenset(found)


# More sources than this are not told apart: first attributes are reduced to what they are attributes of,
# and if that is still too much, nothing is known.
MOST_SOURCES = 10


def limited(found: frozenset[Atom]) -> frozenset[Atom]:
    """The sources, or fewer and coarser ones that cover them."""
    if len(found) <= MOST_SOURCES:
        return found
    roots: set[Atom] = set()
    for atom in found:
        while atom[0] in (FIELD, CTOR):
            atom = atom[1]
        roots.add(atom)
    return frozenset(roots) if len(roots) <= MOST_SOURCES else frozenset()


def answered(value: Value) -> Value:
    """What somebody outside answers to a question made from these: of the rows, but no state of theirs."""
    return frozenset(
        (DERIVED, frozenset(source[1] if source[0] == FIELD else source for source in atom[1]))
        if atom[0] == DERIVED
        else atom
        for atom in value
    )


def derived(*values: Value) -> Value:
    """A value computed from these."""
    found: frozenset[Atom] = frozenset()
    for value in values:
        if value:
            found = found | sources(value) if found else sources(value)
    found = limited(found)
    return frozenset(((DERIVED, found),)) if found else UNKNOWN


def full_name(atom: Atom) -> str:
    """`httpx.AsyncClient.get` of a method of a library object, reached by whatever attributes; of others nothing."""
    parts: list[str] = []
    while atom[0] == OPERATION:
        parts.append(atom[2])
        atom = atom[1]
    if atom[0] in (EXT_OBJECT, EXT):
        return ".".join((atom[1], *reversed(parts)))
    return ""

"""Sessions that live as long as the process: everybody who uses one shares it."""

from __future__ import annotations

from hermetic.engine import ir, values as v
from hermetic.engine.arguments import argument_of
from hermetic.engine.ir import Expr
from hermetic.engine.link import BOUND_STORE, BOUND_VALUE, Function
from hermetic.engine.run import Run
from hermetic.engine.session_types import PLAIN, REGISTRY, Made, SessionType
from hermetic.engine.state import Mark, State
from hermetic.engine.values import Atom
from hermetic.models.python import OF_A_THREAD


def used(run: Run, state: State, atom: Atom, type_: SessionType, mark: Mark) -> None:
    """The database is asked for something, over a session that may be one of those."""
    made = (
        _made_once(type_)
        or _of_an_object(run, atom, type_)
        or _kept_by_callee(run, state, atom, type_)
        or _default(run, atom)
    )
    if made is not None:
        run.shared_uses.setdefault(made, mark)


def used_by_callee(run: Run, atom: Atom, type_: SessionType, mark: Mark) -> None:
    """As `used`, of a session that the callee knows as one that it was given."""
    made = _of_an_object(run, atom, type_)
    if made is not None:
        run.shared_uses.setdefault(made, mark)


def _made_once(type_: SessionType) -> Made | None:
    return type_.made if type_.made is not None and type_.made[0] != "function" and type_.kind != REGISTRY else None


def _of_an_object(run: Run, atom: Atom, type_: SessionType) -> Made | None:
    """Where the session was made, if an object in a module-level variable has it from its constructor on."""
    root = v.root(atom)
    if root[0] != v.GLOBAL or atom == root or type_.kind != PLAIN or not _is_for_good(run, atom):
        return None
    if atom[0] == v.FIELD:
        return ("object", *type_.made[1:]) if type_.made is not None else None
    return _given(run, root, atom[2]) if atom[1] == root else None


def _given(run: Run, variable: Atom, parameter: str) -> Made | None:
    """Where the session was made that the constructor of a module-level object got for a parameter."""
    module = run.code.modules[variable[1]]
    for binding in module.names.get(variable[2], ()):
        call = binding[1][1] if binding[0] in (BOUND_VALUE, BOUND_STORE) else None
        if type(call) is tuple and call[0] == ir.CALL:
            scope = run.code.functions[module.functions[0] if binding[0] == BOUND_VALUE else binding[2]]
            for kind in run.types.infer(_argument(run, call, scope, parameter), scope):
                if kind[0] == v.ANY_SESSION and kind[1].kind == PLAIN:
                    return ("object", *(kind[1].made[1:] if kind[1].made else (scope.id, *call[4][:2])))
    return None


def _argument(run: Run, call: ir.Node, scope: Function, parameter: str) -> Expr:
    for kind in v.ordered(run.types.infer(call[1], scope)):
        init = run.types.classes.constructor(kind[1]) if kind[0] == v.CLASS else None
        if init is not None:
            number = init.parameter(parameter)
            return argument_of(call, init, number, bound=True) if number is not None else None
    return None


def _default(run: Run, atom: Atom) -> Made | None:
    """Where the session was made, if it is what a parameter has by default, of the function or of the constructor of
    its object: that is evaluated once."""
    fn, number = _parameter(run, atom)
    default = fn.params[number][2] if number is not None else None
    if type(default) is not tuple or default[0] != ir.CALL:
        return None
    module = run.code.modules[fn.module].functions[0]
    made = ("module", module, default[4][0], default[4][1])
    found = run.types.infer(default, run.code.functions[module])
    is_made = any(kind[0] == v.ANY_SESSION and kind[1].kind == PLAIN and kind[1].made == made for kind in found)
    return made if is_made else None


def _parameter(run: Run, atom: Atom) -> tuple[Function, int | None]:
    if atom[0] == v.CTOR:
        for kind in v.ordered(run.type_of(atom[1])):
            init = run.types.classes.constructor(kind[1]) if kind[0] == v.INSTANCE else None
            if init is not None:
                return init, init.parameter(atom[2])
    return run.fn, atom[2] if atom[:2] == (v.PARAM, run.fn.id) else None


def _kept_by_callee(run: Run, state: State, atom: Atom, type_: SessionType) -> Made | None:
    """Where the session was made, if the function that has made it has put it into a variable of a module or class."""
    if atom[0] != v.SESSION or type_.made is None or type_.made[1] == run.fn.id:
        return None
    for (base, _), value in state.stores.items():
        if base[0] in (v.CLASS, v.GLOBAL) and atom in value and not _is_of_a_thread(run, base):
            return ("kept", *type_.made[1:])
    return None


def _is_of_a_thread(run: Run, holder: Atom) -> bool:
    for kind in run.type_of(holder):
        bases = run.types.classes.external_bases(kind[1]) if kind[0] == v.INSTANCE else kind[1:2]
        if kind[0] in (v.INSTANCE, v.EXT_OBJECT) and not OF_A_THREAD.isdisjoint(bases):
            return True
    return False


def _is_for_good(run: Run, atom: Atom) -> bool:
    """Has nobody but constructors filled the attributes on the way to it?"""
    while atom[0] in (v.FIELD, v.CTOR):
        base = atom[1]
        holders = run.type_of(base)
        if not holders or not all(kind[0] == v.INSTANCE and _keeps(run, kind[1], atom) for kind in holders):
            return False
        if _is_of_a_thread(run, base):
            return False
        atom = base
    return True


def _keeps(run: Run, class_id: int, atom: Atom) -> bool:
    stores = run.types.classes.stores(class_id, atom[2]) if atom[0] == v.FIELD else ()
    return all(run.code.functions[method].name in CONSTRUCTORS for method, _ in stores)


CONSTRUCTORS = frozenset(("__init__", "__post_init__"))

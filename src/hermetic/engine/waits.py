"""Which calls wait for something outside of this process: those of `models.waiting`, and those that settings name."""

from __future__ import annotations

from hermetic.engine import ir, values as v
from hermetic.engine.link import Codebase, Function
from hermetic.engine.run import Run
from hermetic.engine.walk import last_name
from hermetic.models.sqlalchemy import STATEMENT_METHODS
from hermetic.models.waiting import LOCAL, LOCAL_METHODS, LOCAL_METHODS_OF, NEAR, WAITS

# Calls between a function and a slow one that it is asked about; further away nobody looks.
MOST_HOPS = 3
# A name that more functions use says nothing of who is called.
MOST_USERS = 30


ByRoot = dict[str, list[tuple[str, str]]]


def _by_root(waits: dict[str, str]) -> ByRoot:
    """The beginnings of names that wait, ascending, by the package."""
    found: ByRoot = {}
    for beginning, kind in sorted(waits.items()):
        found.setdefault(beginning.partition(".")[0], []).append((beginning, kind))
    return found


BY_ROOT = _by_root(WAITS)


def kind_of(name: str, by_root: ByRoot = BY_ROOT) -> str | None:
    """What a call of a library waits for, by the longest known beginning of its full name."""
    root = name.partition(".")[0]
    known = by_root.get(root)
    method = name.rpartition(".")[2]
    if known is None or ANSWER in name or name in LOCAL or method in LOCAL_METHODS:
        return None
    if method in LOCAL_METHODS_OF.get(root, ()):
        return None
    best = None
    for beginning, kind in known:
        if name == beginning or (beginning.endswith(".") and name.startswith(beginning)):
            best = kind
    return best


ANSWER = "()"  # behind the name of what gave it: what is done with an answer waits no more


class SlowCalls:
    """`extra`: full names of library calls or of the project's own functions, from the settings."""

    def __init__(self, code: Codebase, extra: tuple[str, ...] = ()) -> None:
        self._code = code
        self._extra = extra
        self._by_root = _by_root({**WAITS, **{name: f"`{name}`" for name in extra}}) if extra else BY_ROOT
        # Words without which a function does not wait for anything itself.
        self._words = frozenset(part for name in (*WAITS, *extra) for part in name.split(".") if part)
        self._candidates: set[int] | None = None
        self.functions = self._named(extra) if extra else {}

    def kind(self, name: str) -> str | None:
        """What a call of a library waits for, by the longest known beginning of its full name."""
        return kind_of(name, self._by_root)

    def may_wait(self, function: Function) -> bool:
        """Can a function wait, by the words in it and in what it may call? Only then need it be interpreted."""
        return function.is_async or self.reaches(function.id)

    def reaches(self, function: int) -> bool:
        """Can a function reach a call that waits, by the words in it and in what it may call?"""
        if self._candidates is None:
            self._candidates = self._find_candidates()
        return function in self._candidates

    def _named(self, extra: tuple[str, ...]) -> dict[int, str]:
        """The project's functions that settings name: `shop.mail.send` is `send` of src/shop/mail.py too."""
        found = {}
        for function in self._code.functions:
            full = "." + ".".join((*self._code.index.parts[function.module], function.qualname))
            for name in extra:
                if full.endswith(f".{name}"):
                    found[function.id] = f"`{name}`"
        return found

    def _find_candidates(self) -> set[int]:
        """Outside of tests first, as if there were none: how often a test names a function says nothing of others."""
        code = self._code
        found = set(self.functions)
        for of_tests in (False, True) if code.has_tests() else (False,):
            modules = [module for module in code.modules if code.is_test(module.number) is of_tests]
            for module in modules:
                if any(source.partition(".")[0] in self._by_root for _, source, *_ in module.imports if source):
                    inside = (code.functions[number] for number in module.functions)
                    found.update(function.id for function in inside if not self._words.isdisjoint(function.identifiers))
            found.update(
                user for user in self._users_of_builtins() if code.is_test(code.functions[user].module) is of_tests
            )
            self._add_users(found, of_tests)
        return found

    def _users_of_builtins(self) -> list[int]:
        """The functions that call what needs no import: `input()`."""
        return [
            user
            for name in WAITS
            if "." not in name
            for user in self._code.users_of(name)
            if any(node[1] == name for node in self._code.functions[user].calls_of(name))
        ]

    def _add_users(self, found: set[int], of_tests: bool) -> None:
        code = self._code
        newest = sorted(found)
        for _ in range(MOST_HOPS):
            names = {code.functions[number].name for number in newest}
            newest = []
            for name in sorted(names):
                users = code.users_of(name)
                if code.has_tests():
                    users = [user for user in users if code.is_test(code.functions[user].module) is of_tests]
                if len(users) <= MOST_USERS:
                    newest.extend(user for user in users if user not in found)
                    found.update(users)


# Methods of one name that are looked into, for what they wait for.
MOST_LOOKED_INTO = 3


def wait_by_name(run: Run, call: ir.Node) -> str | None:
    """What a method of an object waits for that nothing is known of, a plugin say: if the project has one class, or one
    family of classes, with methods of that name, and most of them wait. A heuristic, for names of several words."""
    callee = call[1]
    if type(callee) is not tuple or callee[0] != ir.ATTR or "_" not in callee[2].strip("_"):
        return None
    known = run.solver.waits_by_name.get(callee[2])
    if known is None:
        known = run.solver.waits_by_name[callee[2]] = _wait_by_name(run, callee[2])
    return known or None


def _wait_by_name(run: Run, name: str) -> str:
    methods = _methods_named(run, name)
    waiting = [method for _, method in methods if run.solver.slow.reaches(method)]
    if not waiting or len(waiting) * 2 < len(methods):
        return ""
    families = [set(run.types.classes.mro(class_id)) for class_id, _ in methods]
    if not set.intersection(*families):
        return ""
    kinds = [run.solver.summary(method).slow for method in waiting[:MOST_LOOKED_INTO]]
    found = [kind[0] for kind in kinds if kind is not None]
    return found[0] if len(found) * 2 > len(kinds) else ""


def _loads_an_attribute(expression: ir.Expr) -> bool:
    """`row.awaitable_attrs.lines`, `getattr(row.awaitable_attrs, name)`"""
    if type(expression) is tuple and expression[0] == ir.CALL and expression[1] == "getattr" and expression[2]:
        base = expression[2][0]
    else:
        base = expression[1] if type(expression) is tuple and expression[0] == ir.ATTR else None
    return type(base) is tuple and base[0] == ir.ATTR and base[2] == "awaitable_attrs"


def _methods_named(run: Run, name: str) -> list[tuple[int, int]]:
    """(class, method) of every method of that name, without what tests put in their places."""
    code = run.code
    return [found for found in code.methods_named(name) if not code.is_test(code.classes[found[0]].module)]


def stays_near(run: Run, expression: ir.Expr) -> bool:
    """Is it the call of a method of a session or repository, or of a cache, on an object of which nothing is known, or
    an attribute that such a row loads? A heuristic, by the names of the method and of the object; `get` is a session's
    only with a mapped class."""
    if _loads_an_attribute(expression):
        return True
    if type(expression) is not tuple or expression[0] != ir.CALL or type(expression[1]) is not tuple:
        return False
    callee, arguments = expression[1], expression[2]
    if callee[0] != ir.ATTR:
        return False
    if run.fn.class_id is not None and run.fn.params and callee[1] == run.fn.params[0][0]:
        return True  # a method of one's own, which is looked into where that is possible
    methods = _methods_named(run, callee[2])
    if methods and not any(run.solver.slow.reaches(method) for _, method in methods):
        return True  # the project's own, whichever it is
    named = f"{last_name(callee[1])}.{callee[2]}".lower()
    if any(word in named for word in NEAR) or callee[2].startswith("__"):
        return True
    if callee[2] == "get" and arguments:
        given = run.types.infer(arguments[0], run.fn)
        return any(atom[0] == v.CLASS and run.types.classes.is_model(atom[1]) for atom in given)
    return callee[2] in STATEMENT_METHODS

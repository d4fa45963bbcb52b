"""How code is run: which functions serve requests, are jobs, commands, or run once at start-up.

Roots are known by their decorators, by dependency markers that name them, by classes of web frameworks, and by
where their file lies; from there contexts flow along calls.
"""

from __future__ import annotations

from collections.abc import Iterator

from hermetic.engine import ir, values as v, walk
from hermetic.engine.link import Codebase, Function
from hermetic.engine.types import Types
from hermetic.engine.walk import last_name
from hermetic.files import is_migration, is_test
from hermetic.models import containers, frameworks, workers

REQUEST, WORKER, CLI, STARTUP, MIGRATION, TEST, IMPORT = (1 << n for n in range(7))

# Contexts in which code runs once, so that what it makes need not be shared.
ONCE = CLI | STARTUP | MIGRATION | TEST | IMPORT

_BY_NAME = {
    frameworks.REQUEST: REQUEST,
    frameworks.WORKER: WORKER,
    frameworks.CLI: CLI,
    frameworks.STARTUP: STARTUP,
    frameworks.TEST: TEST,
}

# A function that reads the command line is a command: https://docs.python.org/3/library/argparse.html
PARSES_ARGUMENTS = frozenset(("parse_args", "parse_known_args"))

DECORATORS = workers.SIGNALS | containers.INJECT
LAST_NAMES = frozenset(name.rpartition(".")[2] for name in DECORATORS)

# What names a function that a framework calls: as a dependency, as a route, or when the application starts.
MARKERS = frozenset(("Depends", "Security", "Provide"))
ROUTES = frozenset(("add_api_route", "add_url_rule", "add_route", "Route", "Mount"))
APPLICATIONS = frozenset(("FastAPI", "Starlette", "Litestar"))
REGISTERING = MARKERS | ROUTES | APPLICATIONS


class Contexts:
    """Contexts of functions, as bits. `edges`: callee -> callers."""

    def __init__(self, code: Codebase, types: Types, edges: dict[int, set[int]]) -> None:
        self.code = code
        self.types = types
        self.bits = [0] * len(code.functions)
        for module in code.modules:
            self._roots_of_module(module.number, module.path)
        self._subcommands()
        self._lifetime_hooks()
        for function, context in types.queues.functions():
            self.bits[function] |= _BY_NAME[context]
        for function, provider in types.containers.providers().items():
            self.bits[function] |= STARTUP if provider.lasting else REQUEST
        for called in types.litestar.called():
            self.bits[called.function] |= REQUEST
        self._roots = frozenset(
            number for number, bits in enumerate(self.bits) if bits & (REQUEST | WORKER | CLI) and not bits & TEST
        )
        callees = self._callees(edges)
        self._flow(callees)
        run = {
            function
            for module in code.modules
            if module.functions
            for function in self._run_by_the_module(code.functions[module.functions[0]], edges)
        }
        self._flow_to_own_helpers(run, callees, edges)

    def is_root(self, function: int) -> bool:
        """Does a framework call the function itself, for a request, a job or a command?"""
        return function in self._roots

    def of(self, function: int) -> int:
        return self.bits[function]

    def _roots_of_module(self, number: int, path: str) -> None:
        module = self.code.modules[number]
        everywhere = (TEST if is_test(path) else 0) | (MIGRATION if is_migration(path) else 0)
        has_arguments = any("argparse" in (item[1], item[2]) for item in module.imports)
        for function in module.functions:
            fn = self.code.functions[function]
            self.bits[function] |= everywhere
            if fn.is_module:
                self.bits[function] |= IMPORT
            elif has_arguments and not PARSES_ARGUMENTS.isdisjoint(fn.identifiers):
                self.bits[function] |= CLI
            for decorator in fn.decorators:
                self.bits[function] |= self._decorated(decorator, fn)
            if not frameworks.CONFIGURING.isdisjoint(fn.identifiers) and _gets_an_application(fn):
                self.bits[function] |= STARTUP
            for param in fn.params:
                self._injected(param[2], fn)
                self._injected(param[1], fn)
        for class_ in module.classes:
            self._view(class_)
        top = self.code.functions[module.functions[0]] if module.functions else None
        if top is not None and not REGISTERING.isdisjoint(top.identifiers):
            self._registered(top)

    def _decorated(self, decorator: ir.Expr, fn: Function) -> int:
        name = last_name(decorator)
        if name in frameworks.ROUTE_DECORATORS:
            called = type(decorator) is tuple and decorator[0] == ir.CALL
            if called and (_has_path(decorator) or name in ("query", "mutation", "field", "subscription")):
                return REQUEST
            return (
                REQUEST
                if name not in ("get", "post", "put", "patch", "delete", "head", "options", "field", "query")
                else 0
            )
        kind = frameworks.TASK_DECORATORS.get(name) or self._by_full_name(name, decorator, fn)
        return _BY_NAME[kind] if kind is not None else 0

    def _by_full_name(self, name: str, decorator: ir.Expr, fn: Function) -> str | None:
        if name not in LAST_NAMES:
            return None
        scope = self.code.functions[fn.parent] if fn.parent is not None else fn
        callee = decorator[1] if type(decorator) is tuple and decorator[0] == ir.CALL else decorator
        known = [DECORATORS.get(atom[1]) for atom in self.types.infer(callee, scope) if atom[0] == v.EXT]
        return known[0] if known else None

    def _injected(self, expression: ir.Expr, fn: Function) -> None:
        """A function named in `Depends(...)` is called for every request."""
        if type(expression) is not tuple:
            return
        for node in walk.subexpressions(expression):
            if node[0] == ir.CALL and last_name(node[1]) in MARKERS and node[2]:
                scope = self.code.functions[fn.parent] if fn.parent is not None else fn
                self._mark_providers(node[2][0], scope)

    def _mark_providers(self, provider: ir.Expr, scope: Function) -> None:
        for atom in self.types.infer(provider, scope):
            if atom[0] in (v.FUNCTION, v.METHOD):
                self._mark(atom[1], REQUEST, scope)
            elif atom[0] == v.CLASS:
                init = self.types.classes.constructor(atom[1])
                if init is not None:
                    self._mark(init.id, REQUEST, scope)

    def _view(self, class_id: int) -> None:
        """Methods of view classes, which a framework calls by HTTP verb, those that run a command, and tests."""
        bases = self.types.classes.external_bases(class_id)
        if bases & frameworks.TEST_CASES:
            for method in self.code.classes[class_id].methods.values():
                self.bits[method] |= TEST
        for base in bases & frameworks.COMMAND_CLASSES.keys():
            own = self.code.classes[class_id].methods.get(frameworks.COMMAND_CLASSES[base])
            if own is not None:
                self.bits[own] |= CLI
        if bases & frameworks.VIEW_CLASSES:
            class_ = self.code.classes[class_id]
            for name, method in class_.methods.items():
                if name in frameworks.VIEW_METHODS:
                    self.bits[method] |= REQUEST

    def _registered(self, top: Function) -> None:
        """Routes and dependencies that a module's body registers by call: `app.get("/x")(handler)`."""
        for node in top.calls():
            name = last_name(node[1])
            if name in MARKERS and node[2]:
                self._mark_providers(node[2][0], top)
            elif name in ROUTES:
                for argument in (*node[2], *(value for _, value in node[3])):
                    self._mark_providers(argument, top)

    def _run_by_the_module(self, top: Function, edges: dict[int, set[int]]) -> Iterator[int]:
        """`main()` or `asyncio.run(main())` as a statement of a module: a function that nobody else calls runs once."""
        for statement in _run_once(top.body):
            for node in walk.subexpressions(statement[1]):
                for atom in self.types.infer(node[1], top) if node[0] == ir.CALL else ():
                    if atom[0] == v.FUNCTION and all(self.code.functions[c].is_module for c in edges.get(atom[1], ())):
                        yield atom[1]

    def _flow_to_own_helpers(self, run: set[int], callees: dict[int, list[int]], edges: dict[int, set[int]]) -> None:
        """What only such a function calls, in the same file, is part of it; anything else may have callers unseen."""
        stack = sorted(run)
        while stack:
            function = stack.pop()
            self.bits[function] |= IMPORT
            module = self.code.functions[function].module
            for callee in callees.get(function, ()):
                fn, callers = self.code.functions[callee], edges.get(callee)
                if callers and fn.module == module and not fn.decorators and not self.bits[callee]:
                    if all(self.bits[caller] & IMPORT for caller in callers):
                        stack.append(callee)

    def _subcommands(self) -> None:
        """`parser.set_defaults(func=serve)`, argparse's way to name the function behind a subcommand."""
        for user in self.code.users_of("set_defaults"):
            fn = self.code.functions[user]
            for node in fn.calls_of("set_defaults"):
                for _, value in node[3]:
                    for atom in self.types.infer(value, fn):
                        if atom[0] in (v.FUNCTION, v.METHOD):
                            self._mark(atom[1], CLI, fn)

    def _lifetime_hooks(self) -> None:
        """What runs when an application begins and ends: `FastAPI(lifespan=f)`, `config.lifespan.append(f)`,
        `app.router.lifespan_context = f`."""
        words = frameworks.APPLICATIONS | frameworks.LIFETIME_HOOKS
        for user in sorted({user for word in words for user in self.code.users_of(word)}):
            fn = self.code.functions[user]
            for node in fn.nodes():
                if node[0] == ir.CALL:
                    for value in _hooks_in(node):
                        self._mark_startup(value, fn)
            for statement in fn.statements():
                if statement[0] == ir.ASSIGN and any(_is_hook(target) for target in statement[1]):
                    self._mark_startup(statement[2], fn)

    def _mark_startup(self, expression: ir.Expr, scope: Function) -> None:
        for atom in self.types.infer(expression, scope):
            if atom[0] in (v.FUNCTION, v.METHOD):
                self._mark(atom[1], STARTUP, scope)

    def _mark(self, function: int, context: int, scope: Function) -> None:
        """`scope` gives the function to what runs it so. A test's application is none of the project's."""
        if self.code.may_know(self.code.functions[function].module, scope.module):
            self.bits[function] |= context

    def _callees(self, edges: dict[int, set[int]]) -> dict[int, list[int]]:
        """Function -> what it calls, and the functions inside of it."""
        callees: dict[int, list[int]] = {}
        for callee, callers in edges.items():
            for caller in callers:
                callees.setdefault(caller, []).append(callee)
        for function, fn in enumerate(self.code.functions):
            if fn.parent is not None and not self.code.functions[fn.parent].is_module and fn.class_id is None:
                callees.setdefault(fn.parent, []).append(function)
        return callees

    def _flow(self, callees: dict[int, list[int]]) -> None:
        stack = [function for function, bits in enumerate(self.bits) if bits]
        while stack:
            function = stack.pop()
            bits = self.bits[function] & ~(TEST | MIGRATION)
            for callee in callees.get(function, ()):
                if bits & ~self.bits[callee]:
                    self.bits[callee] |= bits
                    stack.append(callee)


def _gets_an_application(fn: Function) -> bool:
    """`def set_up(app: FastAPI)`, to put it together."""
    return any(last_name(param[1]) in frameworks.APPLICATIONS for param in fn.params)


def _hooks_in(call: ir.Node) -> list[ir.Expr]:
    """The functions that a call gives to an application, to be run at its beginning or end."""
    if last_name(call[1]) in frameworks.APPLICATIONS:
        return [value for keyword, value in call[3] if keyword in frameworks.LIFETIME_HOOKS]
    if last_name(call[1]) == "append" and type(call[1]) is tuple and _is_hook(call[1][1]):
        return list(call[2])
    return []


def _is_hook(expression: ir.Expr) -> bool:
    return type(expression) is tuple and expression[0] == ir.ATTR and expression[2] in frameworks.LIFETIME_HOOKS


def _run_once(body: ir.Block) -> Iterator[ir.Node]:
    """The expressions that a module's body runs as statements, outside of its loops."""
    for statement in body:
        if statement[0] == ir.EXPR:
            yield statement
        elif statement[0] in (ir.IF, ir.TRY, ir.WITH):
            for block in walk.blocks(statement):
                yield from _run_once(block)


def _has_path(decorator: ir.Node) -> bool:
    """Is the first argument of a route decorator a URL path?"""
    first = decorator[2][0] if decorator[2] else dict(decorator[3]).get("path")
    if type(first) is tuple and first[0] == ir.CONST:
        return type(first[1]) is str and (first[1] == "" or first[1].startswith(("/", "{")))
    return first is not None and type(first) is not str

"""Facts of all files, linked into one program: modules, functions and classes as objects with identities.

Identities are list indices in path order, so they are the same in every run over the same files.
"""

from __future__ import annotations

from hermetic.engine import facts, ir, walk
from hermetic.engine.ir import Expr, Node
from hermetic.engine.modules import ModuleIndex
from hermetic.files import is_test


class Function:
    """One function, method, lambda or module body."""

    __slots__ = (
        "_attributes",
        "_bindings",
        "_calls",
        "_calls_by_name",
        "_flag_names",
        "_gives_itself",
        "_names",
        "_nodes",
        "_statements",
        "body",
        "class_id",
        "decorators",
        "end_line",
        "flags",
        "foreign_stores",
        "globals",
        "id",
        "identifiers",
        "imports",
        "is_module",
        "line",
        "locals",
        "module",
        "name",
        "params",
        "parent",
        "position",
        "qualname",
        "returns",
        "self_stores",
    )

    def __init__(self, number: int, module: int, raw: Node, class_id: int | None, parent: int | None) -> None:
        self.id = number
        self.module = module
        self.class_id = class_id
        self.parent = parent
        self.name: str = raw[facts.F_NAME]
        self.is_module = self.name == "<module>"
        self.qualname: str = raw[facts.F_QUALNAME]
        self.line: int = raw[facts.F_LINE]
        self.end_line: int = raw[facts.F_END_LINE]
        self.position: ir.Pos = (self.line, raw[facts.F_COLUMN], self.line, raw[facts.F_COLUMN])
        self.flags: int = raw[facts.F_FLAGS]
        self.params: tuple[Node, ...] = raw[facts.F_PARAMS]
        self.decorators: tuple[Expr, ...] = raw[facts.F_DECORATORS]
        self.returns: Expr = raw[facts.F_RETURNS]
        self.body: ir.Block = raw[facts.F_BODY]
        self.locals = frozenset(raw[facts.F_LOCALS])
        self.globals = frozenset(raw[facts.F_GLOBALS])
        self.imports: dict[str, Node] = {item[0]: item for item in reversed(raw[facts.F_IMPORTS])}
        self.self_stores: tuple[Node, ...] = raw[facts.F_SELF_STORES]
        self.foreign_stores: tuple[Node, ...] = raw[facts.F_FOREIGN_STORES]
        self.identifiers: tuple[str, ...] = raw[facts.F_IDENTIFIERS]
        self._bindings: dict[str, list[walk.Binding]] | None = None
        self._calls: list[Node] | None = None
        self._calls_by_name: dict[str, list[Node]] | None = None
        self._flag_names: frozenset[str] | None = None
        self._gives_itself: bool | None = None
        self._nodes: list[Node] | None = None
        self._names: set[str] = set()
        self._attributes: dict[str, list[Node]] | None = None
        self._statements: list[Node] | None = None

    @property
    def is_async(self) -> bool:
        return bool(self.flags & ir.ASYNC)

    @property
    def is_generator(self) -> bool:
        return bool(self.flags & ir.GENERATOR)

    def nodes(self) -> list[Node]:
        """Every expression node of the body."""
        if self._nodes is None:
            self._nodes, self._names = walk.expressions(self.statements())
        return self._nodes

    def names(self) -> set[str]:
        """The names that are part of an expression of the body."""
        self.nodes()
        return self._names

    def attributes(self) -> dict[str, list[Node]]:
        """The attributes in the body, by name."""
        if self._attributes is None:
            self._attributes = {}
            for node in self.nodes():
                if node[0] == ir.ATTR:
                    self._attributes.setdefault(node[2], []).append(node)
        return self._attributes

    def calls(self) -> list[Node]:
        """Every call in the body."""
        if self._calls is None:
            self._calls = [node for node in self.nodes() if node[0] == ir.CALL]
        return self._calls

    def calls_of(self, name: str) -> list[Node]:
        """The calls of what has that last name."""
        if self._calls_by_name is None:
            self._calls_by_name = {}
            for node in self.calls():
                self._calls_by_name.setdefault(walk.last_name(node[1]), []).append(node)
        return self._calls_by_name.get(name, [])

    def statements(self) -> list[Node]:
        """Every statement of the body, those in inner blocks too."""
        if self._statements is None:
            self._statements = walk.statements(self.body)
        return self._statements

    def bindings(self) -> dict[str, list[walk.Binding]]:
        """What each local name is assigned from, regardless of order."""
        if self._bindings is None:
            self._bindings = walk.bindings(self.statements(), self.nodes() if self.flags & ir.BINDS_INSIDE else [])
        return self._bindings

    def flag_names(self) -> frozenset[str]:
        """Local variables by which the function remembers what it did: they are assigned True, False or None."""
        if self._flag_names is None:
            self._flag_names = frozenset(
                name for name, bound in self.bindings().items() if any(_is_flag(value) for _, value, _ in bound)
            )
        return self._flag_names

    def gives_itself(self) -> bool:
        """Does it return its first parameter, and nothing else? `__enter__` of a base class mostly does."""
        if self._gives_itself is None:
            own = self.params[0][0] if self.params else None
            given = {statement[1] for statement in self.statements() if statement[0] == ir.RETURN}
            self._gives_itself = given == {own} and own not in self.bindings()
        return self._gives_itself

    def parameter(self, name: str) -> int | None:
        """The number of the parameter of that name."""
        for number, param in enumerate(self.params):
            if param[0] == name:
                return number
        return None

    def keyword(self, name: str) -> int | None:
        """The number of the parameter that a keyword argument of that name fills."""
        number = self.parameter(name)
        return number if number is not None else self.parameter(name + ir.OPTION_MARK)


class Class:
    """One class; attributes and methods are those of its own body."""

    __slots__ = (
        "attributes",
        "bases",
        "decorators",
        "fields",
        "id",
        "keywords",
        "line",
        "methods",
        "module",
        "name",
        "qualname",
    )

    def __init__(self, number: int, module: int, raw: Node) -> None:
        self.id = number
        self.module = module
        self.name: str = raw[facts.C_NAME]
        self.qualname: str = raw[facts.C_QUALNAME]
        self.line: int = raw[facts.C_LINE]
        self.bases: tuple[Expr, ...] = raw[facts.C_BASES]
        self.keywords: dict[str, Expr] = dict(raw[facts.C_KEYWORDS])
        self.decorators: tuple[Expr, ...] = raw[facts.C_DECORATORS]
        self.attributes: dict[str, Node] = {}
        for attribute in raw[facts.C_ATTRIBUTES]:
            self.attributes.setdefault(attribute[0], attribute)
        self.methods: dict[str, int] = {}
        self.fields: dict[str, list[tuple[int, Node]]] = {}  # attribute -> (method, SelfStore)*


class Module:
    """One file."""

    __slots__ = ("classes", "functions", "imports", "names", "number", "path", "stars")

    def __init__(self, number: int, path: str) -> None:
        self.number = number
        self.path = path
        self.functions: list[int] = []
        self.classes: list[int] = []
        self.names: dict[str, list[Node]] = {}  # what module-level names are bound to, see `_bind_names`
        self.imports: tuple[Node, ...] = ()
        self.stars: list[Node] = []


# Kinds of module-level bindings
BOUND_FUNCTION, BOUND_CLASS, BOUND_IMPORT, BOUND_VALUE, BOUND_STORE = range(5)


class Codebase:
    """All modules of a project, linked; `program.Program` adds what can be asked of it."""

    def __init__(self, files: list[tuple[str, Node | None]], source_roots: tuple[str, ...] = ()) -> None:
        """`files`: (path, ModuleFacts) in path order; None for files that were not lowered."""
        self.index = ModuleIndex([path for path, _ in files], source_roots, self._imports_own_name)
        self.modules = [Module(number, path) for number, (path, _) in enumerate(files)]
        self.functions: list[Function] = []
        self.classes: list[Class] = []
        for number, (_, raw) in enumerate(files):
            if raw is not None:
                self._add(self.modules[number], raw)
        self._tests: frozenset[int] = _tests_beside_code(
            [(module.number, module.path) for module in self.modules if module.functions]
        )
        self._users: dict[str, list[int]] | None = None
        self._methods: dict[str, list[tuple[int, int]]] | None = None
        self._stores: dict[str, list[tuple[int, Node]]] | None = None
        self._classes_named: dict[str, list[int]] | None = None
        self._subclasses: dict[str, set[str]] | None = None
        self._aliases: dict[str, set[str]] | None = None

    def aliases(self, name: str) -> list[str]:
        """The other names under which something of that name is imported anywhere, as `x` in `import y as x`."""
        if self._aliases is None:
            self._aliases = {}
            for module in self.modules:
                for local, _, imported, *_ in self._imports_in(module):
                    if imported is not None and local != imported and imported != "*":
                        self._aliases.setdefault(imported, set()).add(local)
        return sorted(self._aliases.get(name, ()))

    def _imports_in(self, module: Module) -> list[Node]:
        """Its imports, those in its functions among them."""
        return [
            *module.imports,
            *(item for number in module.functions for item in self.functions[number].imports.values()),
        ]

    def _imports_own_name(self, number: int) -> bool:
        """Does the module import a module of its own name, which is another then?"""
        own = self.index.parts[number][-1]
        return any(item[3] == 0 and item[1].partition(".")[0] == own for item in self.modules[number].imports)

    def has_tests(self) -> bool:
        """Are there modules of tests, beside others that are none?"""
        return bool(self._tests)

    def is_test(self, module: int) -> bool:
        """Is it a module of tests, beside others that are none?"""
        return module in self._tests

    def may_know(self, module: int, other: int) -> bool:
        """Does what stands in the other module tell of what stands in this? Tests tell nothing of what they test."""
        return other not in self._tests or module in self._tests

    def users_of(self, name: str) -> list[int]:
        """Functions in whose body (or a closure's in it) the identifier stands."""
        return self.users().get(name, [])

    def users(self) -> dict[str, list[int]]:
        """Those functions, for each identifier."""
        if self._users is None:
            users: dict[str, list[int]] = {}
            for function in self.functions:
                for identifier in function.identifiers:
                    found = users.get(identifier)
                    if found is None:
                        users[identifier] = [function.id]
                    else:
                        found.append(function.id)
            self._users = users
        return self._users

    def methods_named(self, name: str) -> list[tuple[int, int]]:
        """(class, method) of every method of that name."""
        if self._methods is None:
            self._methods = {}
            for class_ in self.classes:
                for method, function in class_.methods.items():
                    self._methods.setdefault(method, []).append((class_.id, function))
        return self._methods.get(name, [])

    def classes_named(self, name: str) -> list[int]:
        """Every class of that name."""
        if self._classes_named is None:
            self._classes_named = {}
            for class_ in self.classes:
                self._classes_named.setdefault(class_.name, []).append(class_.id)
        return self._classes_named.get(name, [])

    def path_of(self, function: Function) -> str:
        """The file that a function stands in."""
        return self.modules[function.module].path

    def top_of(self, module: int) -> Function:
        """The body of a module, in which its names are looked up."""
        return self.functions[self.modules[module].functions[0]]

    def subclass_names(self, class_id: int) -> tuple[str, ...]:
        """The names of classes that derive from a class, by the names of their bases."""
        if self._subclasses is None:
            self._subclasses = {}
            for class_ in self.classes:
                for base in class_.bases:
                    name = _last_name(base)
                    if name:
                        self._subclasses.setdefault(name, set()).add(class_.name)
        found: set[str] = set()
        pending = [self.classes[class_id].name]
        while pending:
            for name in self._subclasses.get(pending.pop(), ()):
                if name not in found:
                    found.add(name)
                    pending.append(name)
        return tuple(sorted(found))

    def stores_to(self, attribute: str) -> list[tuple[int, Node]]:
        """(function, ForeignStore) of every `something.attribute = value` outside of tests that is not a method's
        `self`."""
        if self._stores is None:
            self._stores = {}
            for function in self.functions:
                for store in () if function.module in self._tests else function.foreign_stores:
                    self._stores.setdefault(store[0], []).append((function.id, store))
        return self._stores.get(attribute, [])

    def _add(self, module: Module, raw: Node) -> None:
        first_function, first_class = len(self.functions), len(self.classes)
        module.imports = raw[facts.M_IMPORTS]
        for offset, record in enumerate(raw[facts.M_FUNCTIONS]):
            class_index, parent = record[facts.F_CLASS], record[facts.F_PARENT]
            function = Function(
                first_function + offset,
                module.number,
                record,
                None if class_index is None else first_class + class_index,
                None if parent is None else first_function + parent,
            )
            self.functions.append(function)
            module.functions.append(function.id)
        for offset, record in enumerate(raw[facts.M_CLASSES]):
            class_ = Class(first_class + offset, module.number, record)
            self.classes.append(class_)
            module.classes.append(class_.id)
            self._add_methods(class_, record, first_function)
        self._bind_names(module, first_function, first_class)

    def _add_methods(self, class_: Class, record: Node, first_function: int) -> None:
        for name, index in record[facts.C_METHODS]:
            function = self.functions[first_function + index]
            if _replaces(function, name):
                class_.methods[name] = function.id
            for store in function.self_stores:
                class_.fields.setdefault(store[0], []).append((function.id, store))

    def _bind_names(self, module: Module, first_function: int, first_class: int) -> None:
        """Module-level bindings: from the module body, its imports, and `global` statements of functions."""
        names = module.names
        for item in module.imports:
            if item[0] == "*" or item[2] == "*":
                module.stars.append(item)
            elif item[0]:
                names.setdefault(item[0], []).append((BOUND_IMPORT, item))
        body = self.functions[first_function]
        for statement in body.statements():
            kind = statement[0]
            if kind == ir.DEF:
                names.setdefault(statement[2], []).append((BOUND_FUNCTION, first_function + statement[1]))
            elif kind == ir.CLASS:
                names.setdefault(statement[2], []).append((BOUND_CLASS, first_class + statement[1]))
        for name, found in body.bindings().items():
            names.setdefault(name, []).extend((BOUND_VALUE, binding) for binding in found)
        for number in module.functions[1:]:
            function = self.functions[number]
            if function.globals:
                for name in function.globals:
                    for binding in function.bindings().get(name, ()):
                        names.setdefault(name, []).append((BOUND_STORE, binding, number))


def _tests_beside_code(modules: list[tuple[int, str]]) -> frozenset[int]:
    """The modules of tests; none where there are no others, for then they are the program."""
    tests = frozenset(number for number, path in modules if is_test(path))
    return tests if len(tests) < len(modules) else frozenset()


def _last_name(expression: Expr) -> str:
    if type(expression) is tuple and expression[0] == ir.SUB:
        expression = expression[1]
    if type(expression) is tuple and expression[0] == ir.ATTR:
        return str(expression[2])
    return expression if type(expression) is str else ""


def _is_flag(value: Expr) -> bool:
    if type(value) is not tuple:
        return False
    if value[0] == ir.CONST:
        return value[1] is None or value[1] is True or value[1] is False
    return value[0] in (ir.CMP, ir.NOT)


def _replaces(function: Function, name: str) -> bool:
    """Of several definitions of a name in a class, which is the method: not setters, deleters and overloads."""
    for decorator in function.decorators:
        if type(decorator) is tuple and decorator[0] == ir.ATTR and decorator[2] in ("setter", "deleter", "overload"):
            return False
        if decorator == "overload":
            return False
    return True

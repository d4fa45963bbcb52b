"""The class table: inheritance, members, and which attributes of a mapped class are columns or relationships."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from hermetic.engine import ir, values as v, walk
from hermetic.engine.ir import Expr, Node
from hermetic.engine.link import Class, Codebase, Function
from hermetic.engine.values import Value
from hermetic.engine.walk import last_name
from hermetic.models.advanced_alchemy import MODEL_COLUMNS, is_model_base
from hermetic.models.sqlalchemy import MODEL_BASES, SYMBOLS

METHOD, PROPERTY, CLASS_METHOD, STATIC_METHOD = "method", "property", "class_method", "static_method"
FIELD, ATTRIBUTE, NESTED, EXTERNAL = "field", "attribute", "nested", "external"
COLUMN, RELATIONSHIP, OTHER = "column", "relationship", "other"

# Properties that are read once for each object, which keeps what they give.
# https://docs.python.org/3/library/functools.html#functools.cached_property
KEEPING = frozenset(("cached_property", "reify"))
PROPERTY_DECORATORS = KEEPING | {"property", "hybrid_property", "declared_attr"}

# Classes of data, never mapped: https://docs.pydantic.dev/latest/api/base_model/
PYDANTIC_BASES = frozenset(("pydantic.BaseModel", "pydantic.main.BaseModel", "pydantic_settings.BaseSettings"))


# Library classes that give a class nothing to call. https://docs.python.org/3/library/typing.html
BASES_WITHOUT_MEMBERS = frozenset(("typing.Generic", "typing.Protocol", "abc.ABC", "object"))


# The mapper's option: https://docs.sqlalchemy.org/en/20/orm/versioning.html
VERSION_COUNTER = "version_id_col"


BETWEEN_NAMES = str.maketrans("[],.|'\"", "       ")


class Member(NamedTuple):
    """Where a class gets an attribute from."""

    kind: str
    owner: int  # the class of the mro that defines it
    item: int | Node | str | None  # function, ClassAttribute, or library class


def decorator_names(function: Function) -> list[str]:
    return [last_name(decorator) for decorator in function.decorators] if function.decorators else []


class ClassTable:
    """Questions about classes. `resolve(expression, module)` gives the value of a base class expression."""

    def __init__(self, code: Codebase, resolve: Callable[[Expr, int], Value]) -> None:
        self.code = code
        self._resolve = resolve
        self._mro: dict[int, tuple[tuple[int, ...], frozenset[str]]] = {}
        self._members: dict[tuple[int, str], Member | None] = {}
        self._filled: dict[tuple[int, str], str | None] = {}
        self._deferred: dict[tuple[int, str], bool] = {}
        self._set_by_updates: dict[int, frozenset[str]] = {}
        self._targets: dict[tuple[int, str], int | None] = {}
        self._models: dict[int, bool] = {}
        self._mixed_into: dict[int, tuple[int, ...]] = {}
        self._attribute_kinds: dict[tuple[int, str], str] = {}
        self._versioned: dict[int, bool] = {}
        self._related: dict[str, set[str]] | None = None

    def mro(self, class_id: int) -> tuple[int, ...]:
        """The project classes to look for a member in, nearest first."""
        return self._lineage(class_id)[0]

    def external_bases(self, class_id: int) -> frozenset[str]:
        """The library classes that a class derives from, directly or not."""
        return self._lineage(class_id)[1]

    def _lineage(self, class_id: int) -> tuple[tuple[int, ...], frozenset[str]]:
        if class_id not in self._mro:
            self._mro[class_id] = ((class_id,), frozenset())  # a class that inherits from itself ends here
            order = [class_id]
            external: set[str] = set()
            class_ = self.code.classes[class_id]
            for base in class_.bases:
                if type(base) is tuple and base[0] == ir.SUB:
                    base = base[1]
                for atom in v.ordered(self._resolve(base, class_.module)):
                    if atom[0] == v.CLASS and atom[1] != class_id:
                        inherited, foreign = self._lineage(atom[1])
                        order.extend(number for number in inherited if number not in order)
                        external |= foreign
                    elif atom[0] in (v.EXT, v.EXT_OBJECT):
                        external.add(atom[1])
            self._mro[class_id] = (tuple(order), frozenset(external))
        return self._mro[class_id]

    def is_subclass(self, class_id: int, other: int) -> bool:
        return other in self.mro(class_id)

    def member(self, class_id: int, name: str) -> Member | None:
        """The definition that `instance.name` finds."""
        key = (class_id, name)
        if key not in self._members:
            self._members[key] = self._find(class_id, name)
        return self._members[key]

    def constructor(self, class_id: int) -> Function | None:
        """The `__init__` that making an object calls, if it is one of the project."""
        found = self.member(class_id, "__init__")
        return self.code.functions[found.item] if found is not None and type(found.item) is int else None

    def _find(self, class_id: int, name: str) -> Member | None:
        for owner in self.mro(class_id):
            class_ = self.code.classes[owner]
            if name in class_.methods:
                function = self.code.functions[class_.methods[name]]
                given = _given_by(function)
                if given is not None:
                    return Member(ATTRIBUTE, owner, given)
                return Member(_method_kind(function), owner, function.id)
            if name in class_.fields:
                return Member(FIELD, owner, None)
            if name in class_.attributes:
                return Member(ATTRIBUTE, owner, class_.attributes[name])
        return self._of_subclasses(class_id, name)

    def _of_subclasses(self, class_id: int, name: str) -> Member | None:
        """What a mixin has from the classes that it is mixed into, if all of them agree. With a library's class among
        its bases, the attribute may as well be that one's."""
        if name.startswith("__") or not self.external_bases(class_id) <= BASES_WITHOUT_MEMBERS:
            return None
        found = {self.member(other, name) for other in self._subclasses(class_id)}
        return found.pop() if len(found) == 1 else None

    def _subclasses(self, class_id: int) -> Iterator[int]:
        module = self.code.classes[class_id].module
        for name in self.code.subclass_names(class_id):
            for other in self.code.classes_named(name):
                may_know = self.code.may_know(module, self.code.classes[other].module)
                if may_know and other != class_id and class_id in self.mro(other):
                    yield other

    def stores(self, class_id: int, name: str) -> list[tuple[int, Node]]:
        """Every `self.name = ...` in the methods of a class and of its bases."""
        found: list[tuple[int, Node]] = []
        for owner in self.mro(class_id):
            found.extend(self.code.classes[owner].fields.get(name, ()))
        return found

    def filled_from(self, class_id: int, name: str) -> str | None:
        """The `__init__` parameter that an attribute is filled from, if that is its only filling."""
        key = (class_id, name)
        if key not in self._filled:
            self._filled[key] = self._filled_from(class_id, name)
        return self._filled[key]

    def _filled_from(self, class_id: int, name: str) -> str | None:
        found = None
        for method, store in self.stores(class_id, name):
            if store[1] is None or store[1] == ir.NONE:
                continue
            fn = self.code.functions[method]
            if fn.name != "__init__" or type(store[1]) is not str or fn.parameter(store[1]) is None:
                return None
            if found is not None and found != store[1]:
                return None
            found = store[1]
        return found

    def is_model(self, class_id: int) -> bool:
        """Is it mapped to a table, or mixed into such classes alone, so that its instances belong to sessions?"""
        if class_id not in self._models:
            self._models[class_id] = False
            self._models[class_id] = self._is_mapped(class_id) or bool(self.models_of_mixin(class_id))
        return self._models[class_id]

    def models_of(self, class_id: int) -> tuple[int, ...]:
        """The class itself if it is mapped; of a mixin, the mapped classes that it is mixed into."""
        return self.models_of_mixin(class_id) or ((class_id,) if self.is_model(class_id) else ())

    def models_of_mixin(self, class_id: int) -> tuple[int, ...]:
        """The mapped classes that a class without a mapping of its own is mixed into; () if it is no such mixin."""
        if class_id not in self._mixed_into:
            self._mixed_into[class_id] = ()
            if self.external_bases(class_id) <= BASES_WITHOUT_MEMBERS and not self._is_mapped(class_id):
                others = list(self._subclasses(class_id))
                if all(self.is_model(other) for other in others):
                    self._mixed_into[class_id] = tuple(others)
        return self._mixed_into[class_id]

    def _is_mapped(self, class_id: int) -> bool:
        external = self.external_bases(class_id)
        class_ = self.code.classes[class_id]
        if any(base.startswith("sqlmodel.") for base in external):
            return any(self.code.classes[owner].keywords.get("table") == ir.TRUE for owner in self.mro(class_id))
        if (
            external & MODEL_BASES
            or any(is_model_base(base) for base in external)
            or any(SYMBOLS.get(base, ("",))[0] == "model_base" for base in external)
        ):
            return True
        if not PYDANTIC_BASES.isdisjoint(external):
            return False  # `sqlmodel.Field(sa_column=...)` in a schema says nothing
        names = {name for owner in self.mro(class_id) for name in self.code.classes[owner].attributes}
        if "__tablename__" in names or "__table__" in names:
            return True
        return any(self._attribute_kind(class_, attribute) != OTHER for attribute in class_.attributes.values())

    def attribute_kind(self, class_id: int, name: str) -> str:
        """Of a mapped class: is the attribute a column, a relationship, or something else?"""
        key = (class_id, name)
        if key not in self._attribute_kinds:
            declared = self.declared(class_id, name)
            if declared is None:
                self._attribute_kinds[key] = COLUMN if self._is_inherited_column(class_id, name) else OTHER
                kinds = {self.attribute_kind(model, name) for model in self.models_of_mixin(class_id)}
                if len(kinds) == 1:
                    self._attribute_kinds[key] = kinds.pop()
            else:
                self._attribute_kinds[key] = self._attribute_kind(*declared)
        return self._attribute_kinds[key]

    def _is_inherited_column(self, class_id: int, name: str) -> bool:
        return name in MODEL_COLUMNS and any(is_model_base(base) for base in self.external_bases(class_id))

    def declared(self, class_id: int, name: str) -> tuple[Class, Node] | None:
        """Where the body of a class, or of a base, assigns the attribute, or a `declared_attr` of that name gives what
        would be assigned; what a constructor fills is not declared."""
        for owner in self.mro(class_id):
            class_ = self.code.classes[owner]
            attribute = class_.attributes.get(name)
            if attribute is None and name in class_.methods:
                attribute = _given_by(self.code.functions[class_.methods[name]])
            if attribute is not None:
                return class_, attribute
        return None

    def is_key(self, class_id: int, name: str) -> bool:
        """Is it a column of a primary or foreign key? What such a column says hardly ever changes."""
        declared = self.declared(class_id, name)
        pending = [declared[1][2]] if declared is not None else []
        for value in pending:
            if type(value) is tuple and value[0] == ir.CALL:
                if last_name(value[1]) == "ForeignKey":
                    return True
                if any(
                    keyword in ("primary_key", "foreign_key") and setting is not None for keyword, setting in value[3]
                ):
                    return True
                pending += [*value[2], *(setting for keyword, setting in value[3] if keyword == "sa_column")]
        return False

    def is_deferred(self, class_id: int, name: str) -> bool:
        """Is it a column that a query leaves out, and that is loaded by a statement of its own when it is read?"""
        key = (class_id, name)
        if key not in self._deferred:
            self._deferred[key] = self._is_deferred(class_id, name)
        return self._deferred[key]

    def _is_deferred(self, class_id: int, name: str) -> bool:
        declared = self.declared(class_id, name)
        value = declared[1][2] if declared is not None else None
        if declared is None or type(value) is not tuple or value[0] != ir.CALL:
            return False
        if any(keyword == "deferred" and setting == ir.TRUE for keyword, setting in value[3]):
            return True
        resolved = self._resolve(value[1], declared[0].module)
        return any(SYMBOLS.get(str(atom[1]), ("",))[0] == "deferred_column" for atom in resolved if atom[0] == v.EXT)

    def set_by_updates(self, class_id: int) -> frozenset[str]:
        """The columns that the database sets by itself when a row is updated, and that the mapper does not fetch."""
        if class_id not in self._set_by_updates:
            self._set_by_updates[class_id] = frozenset(self._find_set_by_updates(class_id))
        return self._set_by_updates[class_id]

    def _find_set_by_updates(self, class_id: int) -> Iterator[str]:
        options = self.declared(class_id, "__mapper_args__")
        if options is not None and _option(options[1][2], "eager_defaults") == ir.TRUE:
            return
        for owner in self.mro(class_id):
            for name in self.code.classes[owner].attributes:
                declared = self.declared(class_id, name)
                if declared is not None and self._is_set_by_updates(declared[1][2], declared[0].module):
                    yield name

    def _is_set_by_updates(self, value: Expr, module: int) -> bool:
        if type(value) is not tuple or value[0] != ir.CALL:
            return False
        for keyword, setting in value[3]:
            if keyword == "server_onupdate":
                return True
            if keyword == "sa_column" and self._is_set_by_updates(setting, module):
                return True
            given = _option(setting, "onupdate") if keyword == "sa_column_kwargs" else setting
            if keyword in ("onupdate", "sa_column_kwargs") and type(given) is tuple and given[0] == ir.CALL:
                called = self._resolve(given[1], module)
                if any(atom[0] == v.EXT and atom[1].startswith("sqlalchemy.") for atom in called):
                    return True
        return any(self._is_set_by_updates(argument, module) for argument in value[2])

    def is_collection(self, class_id: int, name: str) -> bool:
        """Is it a relationship whose annotation says that there may be many? Others are not known to be one."""
        declared = self.declared(class_id, name)
        return declared is not None and not COLLECTIONS.isdisjoint(_named_classes(declared[1]))

    def is_flag(self, class_id: int, name: str) -> bool:
        """Is it a column of truth values, or of the members of an enumeration?"""
        declared = self.declared(class_id, name)
        return declared is not None and not FLAGS.isdisjoint(_named_classes(declared[1]))

    def is_moment(self, class_id: int, name: str) -> bool:
        """Is it a column of points in time?"""
        declared = self.declared(class_id, name)
        return declared is not None and not MOMENTS.isdisjoint(_named_classes(declared[1]))

    def is_versioned(self, class_id: int) -> bool:
        """Has its mapper a version counter, so that writing a stale row raises StaleDataError?"""
        known = self._versioned.get(class_id)
        if known is None:
            declared = self.declared(class_id, "__mapper_args__")
            nodes = list(walk.subexpressions(declared[1][2])) if declared is not None else []
            found = self.member(class_id, "__mapper_args__")
            if found is not None and type(found.item) is int:
                nodes += self.code.functions[found.item].nodes()
            known = self._versioned[class_id] = any(_names_version_counter(node) for node in nodes)
        return known

    def target(self, class_id: int, name: str) -> int | None:
        """The mapped class that a relationship leads to, if there is but one of that name."""
        key = (class_id, name)
        if key not in self._targets:
            declared = self.declared(class_id, name)
            is_known = declared is not None and self._attribute_kind(*declared) == RELATIONSHIP
            named = _named_classes(declared[1]) if declared is not None and is_known else ()
            found = [other for name_ in named for other in self.code.classes_named(name_) if self.is_model(other)]
            self._targets[key] = found[0] if len(found) == 1 else None
        return self._targets[key]

    def relates(self, name: str, class_id: int) -> bool:
        """Has some mapped class a relationship of that name to this class?"""
        if self._related is None:
            self._related = {}
            for class_ in self.code.classes:
                for attribute, node in class_.attributes.items():
                    if self.is_model(class_.id) and self._attribute_kind(class_, node) == RELATIONSHIP:
                        self._related.setdefault(attribute, set()).update(_named_classes(node))
                        for backref in _backrefs(node[2]):
                            self._related.setdefault(backref, set()).add(class_.name)
        named = self._related.get(name, ())
        return any(self.code.classes[owner].name in named for owner in self.mro(class_id))

    def _attribute_kind(self, class_: Class, attribute: Node) -> str:
        _, annotation, value, _ = attribute
        if type(value) is tuple and value[0] == ir.CALL:
            for atom in self._resolve(value[1], class_.module):
                if atom[0] in (v.EXT, v.EXT_OBJECT):
                    kind = SYMBOLS.get(atom[1], ("",))[0]
                    if kind in (COLUMN, RELATIONSHIP):
                        return kind
                    if kind == "deferred_column":
                        return COLUMN
                    # Flask-SQLAlchemy spells them `db.Column`, `db.relationship`.
                    if atom[1].rpartition(".")[2] in ("Column", "mapped_column"):
                        return COLUMN
                    if atom[1].rpartition(".")[2] == "relationship":
                        return RELATIONSHIP
        if type(annotation) is tuple and annotation[0] == ir.SUB and last_name(annotation[1]) == "Mapped":
            return COLUMN
        return OTHER


def _given_by(method: Function) -> Node | None:
    """The column or relationship that a method gives the mapped classes: to them it is one of their attributes.
    https://docs.sqlalchemy.org/en/20/orm/declarative_mixins.html#mixing-in-relationships"""
    if "declared_attr" not in decorator_names(method) or not method.body or method.body[-1][0] != ir.RETURN:
        return None
    value = method.body[-1][1]
    if method.name.startswith("__") or type(value) is not tuple or value[0] != ir.CALL:
        return None
    return (method.name, method.returns, value, method.line)


COLLECTIONS = frozenset(("list", "List", "set", "Set", "Collection", "Sequence", "Iterable"))


FLAGS = frozenset(("bool", "Boolean", "Enum"))
MOMENTS = frozenset(("datetime", "DateTime", "TIMESTAMP"))


def _named_classes(attribute: Node) -> set[str]:
    """The classes that a relationship names, in its annotation or as its first argument, quoted or not."""
    found: set[str] = set()
    target = attribute[2][2][:1] if type(attribute[2]) is tuple and attribute[2][0] == ir.CALL else ()
    pending = [attribute[1], *target]
    for expression in pending:
        if type(expression) is str:
            found.add(expression)
        elif type(expression) is tuple and expression[0] == ir.ATTR:
            found.add(expression[2])
        elif type(expression) is tuple and expression[0] == ir.CONST:
            if type(expression[1]) is str:
                found.update(expression[1].translate(BETWEEN_NAMES).split())
        elif type(expression) is tuple:
            pending.extend(walk.children(expression))
    return found


def _backrefs(call: Expr) -> Iterator[str]:
    """`relationship("Child", backref="parent")` puts an attribute into the other class, too."""
    if type(call) is tuple and call[0] == ir.CALL:
        for keyword, value in call[3]:
            if keyword == "backref" and type(value) is tuple:
                named = value[2][0] if value[0] == ir.CALL and value[2] else value
                if type(named) is tuple and named[0] == ir.CONST and type(named[1]) is str:
                    yield named[1]


def _names_version_counter(node: Node) -> bool:
    """`{"version_id_col": ...}` or `dict(version_id_col=...)`."""
    if node[0] == ir.DICT:
        return (ir.CONST, VERSION_COUNTER) in node[1]
    return node[0] == ir.CALL and any(keyword == VERSION_COUNTER for keyword, _ in node[3])


def _option(node: Expr, name: str) -> Expr:
    """What `{"name": value}` or `dict(name=value)` says."""
    if type(node) is tuple and node[0] == ir.DICT:
        return next((value for key, value in zip(node[1], node[2], strict=False) if key == (ir.CONST, name)), None)
    return dict(node[3]).get(name) if type(node) is tuple and node[0] == ir.CALL else None


def _method_kind(function: Function) -> str:
    names = decorator_names(function)
    if "staticmethod" in names:
        return STATIC_METHOD
    if "classmethod" in names:
        return CLASS_METHOD
    if any(name in PROPERTY_DECORATORS for name in names):
        return PROPERTY
    return METHOD

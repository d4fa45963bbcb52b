"""Loading ahead of need: what an instance takes along when it leaves its block, what is read anew after a wait."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, inspect, or_, orm, select
from sqlalchemy.orm import InstanceState, Mapper
from sqlalchemy.orm.interfaces import ORMOption

from hermetic.toolkit import errors
from hermetic.toolkit.ended import mark
from hermetic.toolkit.errors import explain
from hermetic.toolkit.places import here
from hermetic.toolkit.session import Session

# How many rows one SELECT asks for; below what SQLite and SQL Server allow as parameters.
ROWS = 500


class Kept(NamedTuple):
    """An instance that is referenced while the connection is given back, and which attributes it has loaded."""

    instance: object
    loaded: frozenset[str]


def session_of(instance: object) -> Session:
    """The open block's session that an instance is in. Raises NoBlock."""
    session = orm.object_session(instance)
    if not isinstance(session, Session):
        text = f"a {type(instance).__name__} that is in no open block is to be detached"
        raise errors.NoBlock(explain(text, called_at=here(), instead="detach it inside of the block that loaded it"))
    return session


def detach(session: Session, instance: object, names: Sequence[str]) -> None:
    block = session._block
    block.check_usable("detach")
    session.flush()
    graph = {id(instance): instance}
    for name in names:
        for found in _follow([instance], name):
            graph.setdefault(id(found), found)
    for member in graph.values():
        state: InstanceState[Any] = orm.attributes.instance_state(member)
        if state.expired_attributes:
            session.refresh(member, list(state.expired_attributes))
    for member in graph.values():
        if member in session:
            orm.Session.expunge(session, member)
    mark(map(orm.attributes.instance_state, graph.values()), block)


def _follow(starts: Iterable[object], path: str) -> Iterator[object]:
    """Loads a dotted path from these instances; gives the instances on it."""
    name, _, rest = path.partition(".")
    for start in starts:
        mapper = orm.object_mapper(start)
        if name not in mapper.attrs:
            raise AttributeError(f"{type(start).__name__} has no mapped attribute {name!r} to detach with")
        value = getattr(start, name)
        if name in mapper.relationships:
            found = _members(value)
            yield from found
            if rest:
                yield from _follow(found, rest)


def _members(value: Any) -> list[object]:
    if value is None:
        return []
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, Iterable) and inspect(value, raiseerr=False) is None else [value]


def remember(session: Session) -> list[Kept]:
    return [
        Kept(instance, frozenset(orm.attributes.instance_dict(instance)) | _expired(instance))
        for instance in session.identity_map.values()
    ]


def _expired(instance: object) -> frozenset[str]:
    return frozenset(orm.attributes.instance_state(instance).expired_attributes)


def read_anew(session: Session, kept: Iterable[Kept]) -> None:
    """Reads these instances and what they had loaded, a few SELECTs for each class. Raises RowGone."""
    groups: dict[tuple[Mapper[Any], frozenset[str]], list[object]] = defaultdict(list)
    for instance, loaded in kept:
        groups[orm.object_mapper(instance), loaded].append(instance)
    for (mapper, loaded), instances in groups.items():
        for start in range(0, len(instances), ROWS):
            _read_rows(session, mapper, loaded, instances[start : start + ROWS])


def _read_rows(session: Session, mapper: Mapper[Any], loaded: frozenset[str], instances: list[object]) -> None:
    statement = (
        select(mapper.class_)
        .where(_same_rows(mapper, instances))
        .options(*_options(mapper, loaded))
        .execution_options(populate_existing=True)
    )
    found = {id(row) for row in session.scalars(statement).unique()}
    gone = [instance for instance in instances if id(instance) not in found]
    if gone:
        keys = ", ".join(str(mapper.primary_key_from_instance(instance)) for instance in gone[:5])
        text = f"{mapper.class_.__name__} {keys} was deleted by somebody else while the connection was released"
        instead = "keep no reference to what may disappear (`session.expunge`), or treat this as the answer"
        raise errors.RowGone(explain(text, called_at=here(), block_opened_at=session._block.opened, instead=instead))


def _same_rows(mapper: Mapper[Any], instances: list[object]) -> ColumnElement[bool]:
    columns = mapper.primary_key
    keys = [inspect(instance).identity for instance in instances]
    if len(columns) == 1:
        return columns[0].in_([key[0] for key in keys])
    return or_(*(and_(*(column == part for column, part in zip(columns, key, strict=True))) for key in keys))


def _options(mapper: Mapper[Any], loaded: frozenset[str]) -> list[ORMOption]:
    relationships = [
        orm.selectinload(getattr(mapper.class_, key))
        for key, relationship in mapper.relationships.items()
        if key in loaded and relationship.lazy not in ("dynamic", "write_only")
    ]
    deferred = [
        orm.undefer(getattr(mapper.class_, key))
        for key, column in mapper.column_attrs.items()
        if key in loaded and column.deferred
    ]
    return [*relationships, *deferred]

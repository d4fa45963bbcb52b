"""Instances after the end of their block: what was loaded stays readable, everything else is refused with a reason.

A mark on the instance's state says which block it came from. SQLAlchemy shows reads of attributes that are not loaded,
and writes through mapped attributes. Limits: changes inside of a mutable value (a dict in a JSON column without
MutableDict) and writes past the mapping (`vars(user)["name"] = …`) are not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event, orm
from sqlalchemy.orm import InstanceState, Mapper
from sqlalchemy.orm.base import PASSIVE_NO_RESULT, SQL_OK

from hermetic.toolkit import errors
from hermetic.toolkit.block import Block
from hermetic.toolkit.errors import explain
from hermetic.toolkit.places import here

_MARK = "_hermetic_block"
_LOADERS = "_hermetic_loaders"

_Loader = Callable[[InstanceState[Any], Any], Any]


def block_of_instance(state: InstanceState[Any]) -> Block | None:
    """The block that an instance has outlived."""
    return None if state.session_id is not None else getattr(state, _MARK, None)


def mark(states: Iterable[InstanceState[Any]], block: Block) -> None:
    """These instances outlive their block, which ends now. One loop: what it costs, it costs for each row."""
    for state in states:
        # An attribute, not `vars(state)[…]`, which would give each row a dict of its own.
        state._hermetic_block = block  # type: ignore[attr-defined]
        info = state.manager.info
        loaders = info.get(_LOADERS)
        if loaders is None:
            loaders = info[_LOADERS] = _prepare(state.manager.mapper)
        instance = state.obj()
        if instance is not None and len(instance.__dict__) <= len(loaders):  # the state itself is in there, too
            state.callables = {**loaders, **state.callables}
            # What has expired would be looked up before the callables; they know what to do with it.
            state.expired_attributes.clear()


def _prepare(mapper: Mapper[Any]) -> dict[str, _Loader]:
    """Watches the attributes of a class from now on; gives what stands for those that are not loaded."""
    for attribute in mapper.attrs:
        watched = getattr(mapper.class_, attribute.key, None)
        if not isinstance(watched, orm.QueryableAttribute) or attribute.key not in mapper.class_manager:
            continue
        collection = isinstance(attribute, orm.RelationshipProperty) and attribute.uselist
        for change in ("set", "append", "remove") if collection else ("set",):
            event.listen(watched, change, _refuser(attribute.key), raw=True)
    keys = (*mapper.column_attrs.keys(), *mapper.relationships.keys())
    return {key: NotLoadedHere(key) for key in keys}


def _refuser(key: str) -> Callable[..., None]:
    def refuse(state: InstanceState[Any], value: Any, *others: Any) -> None:
        block = block_of_instance(state)
        if block is not None:
            name = state.class_.__name__
            text = f"`{name}.{key}` is written after the end of the block that loaded it"
            instead = f"load it where you write it: `with db.transaction() as session: row = session.lock({name}, id)`"
            raise errors.InstanceEnded(_told(text, block, instead))

    return refuse


def refuse_ended(state: InstanceState[Any]) -> None:
    """Raises InstanceEnded for an instance of a block that has ended: what it holds may be old by now."""
    block = block_of_instance(state)
    if block is not None:
        name = state.class_.__name__
        text = f"{name} of a block that has ended is given to another session"
        instead = f"load it again, `session.get({name}, id)`, or use its id (`author_id=` instead of `author=`)"
        raise errors.InstanceEnded(_told(text, block, instead))


def _told(text: str, block: Block, instead: str) -> str:
    return explain(text, called_at=here(), block_opened_at=block.opened, block_ended_at=block.ended, instead=instead)


@dataclass(frozen=True, slots=True)
class NotLoadedHere:
    """Stands for an attribute that was not loaded when the block ended. Pickled with the instance."""

    key: str

    def __call__(self, state: InstanceState[Any], passive: Any) -> Any:
        if state.session_id is not None:  # it has been given to a session of somebody else, who may load
            return self._load(state, passive)
        if not passive & SQL_OK:
            return PASSIVE_NO_RESULT
        name = state.class_.__name__
        block: Block | None = getattr(state, _MARK, None)
        text = explain(
            f"`{name}.{self.key}` was not loaded before the end of its block",
            called_at=here(),
            block_opened_at=block.opened if block else None,
            block_ended_at=block.ended if block else None,
            instead=f'`db.detach({name.lower()}, "{self.key}")` inside of the block, a loader option '
            f"(`selectinload({name}.{self.key})`), or copy what is needed before the end",
        )
        raise errors.NotLoaded(text)

    def _load(self, state: InstanceState[Any], passive: Any) -> Any:
        state.callables.pop(self.key, None)
        loader: _Loader | None = getattr(state.manager[self.key].impl, "callable_", None)
        if loader is not None:
            return loader(state, passive)
        state.expired_attributes.add(self.key)
        return state._load_expired(state, passive)


@event.listens_for(orm.Session, "detached_to_persistent")
def _forget(session: orm.Session, instance: object) -> None:
    """Whoever gives the instance to a session of SQLAlchemy's own has left the toolkit with it."""
    setattr(orm.attributes.instance_state(instance), _MARK, None)

"""SES005: a DetachedInstanceError or a MissingGreenlet, explained: what was read, what ended before, what to load.

SQLAlchemy's own message names no attribute where an expired column is read, and neither class nor attribute where an
AsyncSession would have to load on reading. Instances are marked when their session is closed: 0.03 µs each, where the
event `persistent_to_detached` takes 0.4 and marking each row as it is loaded takes 1.5.
"""

from __future__ import annotations

from typing import Any

from hermetic.finding import Severity
from hermetic.sanitizer.detector import IN_TESTS, Detector
from hermetic.sanitizer.evidence import Act
from hermetic.sanitizer.handlers import catches
from hermetic.sanitizer.ledger import ATTRIBUTE, Read, SessionRecord
from hermetic.sanitizer.stacks import Frames, origin
from hermetic.sanitizer.watch import Watch

CODE = "SES005"
COMMIT = "a commit expired it"
EXPECTED = frozenset({"DetachedInstanceError", "MissingGreenlet"})

CLOSED, EXPUNGED = "the session was closed", "it was taken out of its session"
WITHOUT = {CLOSED: "its session is closed", EXPUNGED: "it was taken out of its session", "": "it is in no session"}

End = tuple[Act, Act | None]  # what detached an instance, and what expired it before


def committed(watch: Watch, record: SessionRecord) -> None:
    session = record.session()
    if session is not None and session.expire_on_commit:
        record.extra[CODE] = Act(COMMIT, _here(record))


def rolled_back(watch: Watch, record: SessionRecord) -> None:
    record.extra[CODE] = Act("a rollback expired it", _here(record))


def closing(watch: Watch, record: SessionRecord) -> None:
    session = record.session()
    states = session.identity_map.all_states() if session is not None else ()
    if states:
        end: End = Act(CLOSED, _here(record)), record.extra.get(CODE)
        for state in states:
            state.__dict__[ATTRIBUTE] = end


def expunged(watch: Watch, record: SessionRecord, state: Any) -> None:
    state.__dict__[ATTRIBUTE] = Act(EXPUNGED, origin()), record.extra.get(CODE)


def unreadable(watch: Watch, error: BaseException, read: Read) -> None:
    if catches(origin(), EXPECTED):
        return
    if read.state is not None:
        _attribute(watch, error, read)
    elif read.session is not None:
        record = watch.ledger.known(read.session)
        made = record.made if record is not None else ()
        acts = [Act("the session was made", made), Act(f"it is used synchronously{_by(read)}", origin())]
        message = "a synchronous call on a session that works with an asyncio driver: it raises MissingGreenlet"
        help_text = "`await` the method of the AsyncSession, or make the call in `await session.run_sync(...)`"
        _report(watch, error, message, acts, help_text, record)


def _attribute(watch: Watch, error: BaseException, read: Read) -> None:
    state, attribute = read.state, read.names[0]
    name = f"{state.class_.__name__}.{attribute}"
    is_relationship = attribute in state.mapper.relationships
    is_expired = not is_relationship and attribute in state.expired_attributes
    session = state.session
    record = watch.ledger.known(session) if session is not None else None
    end, expiry = (None, record.extra.get(CODE) if record is not None else None)
    if session is None:
        end, expiry = state.__dict__.get(ATTRIBUTE, (None, None))
    expiry = expiry if is_expired else None
    acts = [act for act in (expiry, end) if act is not None]
    acts.append(Act(f"`{name}` is read{_by(read)}", origin()))
    what = "was expired by a commit" if expiry is not None and expiry.text == COMMIT else "is expired"
    what = what if is_expired else "was not loaded"
    if session is None:
        without = WITHOUT[end.text if end is not None else ""]
        message = f"`{name}` {what} and {without}: reading it raises DetachedInstanceError"
    else:
        message = f"`{name}` {what}, and an AsyncSession cannot load it on reading: it raises MissingGreenlet"
    if not acts[-1].frames:  # as when FastAPI makes the answer after the endpoint has returned
        message = f"{message} in `{read.by}`"
    _report(watch, error, message, acts, _help(read, name, is_relationship, is_expired, expiry), record)


def _help(read: Read, name: str, is_relationship: bool, is_expired: bool, expiry: Act | None) -> str:
    attribute = read.names[0]
    if is_expired and expiry is not None and expiry.text == COMMIT:
        first = "make the factory with `expire_on_commit=False`"
    elif is_expired:
        first = "reload it after what expired it: `refresh(instance)`"
    else:
        first = f"load it in the query: `.options({'selectinload' if is_relationship else 'undefer'}({name}))`"
    if read.state.session is None:
        return f"{first}, or read it before the session is closed"
    if hasattr(read.state.class_, "awaitable_attrs"):
        return f"{first}, or `await instance.awaitable_attrs.{attribute}`"
    return f'{first}, or `await session.refresh(instance, ["{attribute}"])` before it is read'


def _report(
    watch: Watch, error: BaseException, message: str, acts: list[Act], help_text: str, record: SessionRecord | None
) -> None:
    watch.explain(error, CODE, f"{message}; {help_text}", acts)
    at = max((index for index, act in enumerate(acts) if act.frames), default=len(acts) - 1)
    watch.report(CODE, Severity.ERROR, message, acts, at=at, help_text=help_text, session=record, error=error)


def _here(record: SessionRecord) -> Frames:
    """Where a session is being ended: taken already, as a rule."""
    return record.leaving or (record.working.frames if record.working is not None else ()) or origin()


def _by(read: Read) -> str:
    return f" by `{read.by}`" if read.by else ""


DETECTOR = Detector(
    code=CODE,
    modes=IN_TESTS,
    committed=committed,
    rolled_back=rolled_back,
    closing=closing,
    expunged=expunged,
    unreadable=unreadable,
)

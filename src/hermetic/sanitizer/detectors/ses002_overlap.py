"""SES002: one session in two tasks or threads at the same moment.

Only an overlap counts: one of them starts something while the other is in the middle of a statement, a commit or a
rollback, or is still making the connection. Taking turns is allowed (https://github.com/sqlalchemy/sqlalchemy/issues/5828),
and happens unseen: `wait_for`, fixtures and `async with` run parts of one piece of work in tasks of their own.

Reported is the function that gives the session to both, as far as tasks tell who waits for them, or else where it was
made: which statements meet is a matter of luck, and what is reported should not change from run to run.
"""

from __future__ import annotations

from hermetic.finding import Severity
from hermetic.sanitizer.detector import IN_TESTS, Detector
from hermetic.sanitizer.evidence import Act
from hermetic.sanitizer.ledger import Busy, SessionRecord
from hermetic.sanitizer.stacks import Frames, actor, actor_name, around, grab, has_ended
from hermetic.sanitizer.watch import Watch

HELP = "give each task and thread a session of its own: hand over the factory instead of the session"

CODE = "SES002"
IN_PROGRESS = frozenset({"PREPARED", "PROVISIONING_CONNECTION", "FLUSHING", "CHANGING"})


def overlapping(watch: Watch, record: SessionRecord) -> None:
    _judge(watch, record, "runs a statement")


def ending(watch: Watch, record: SessionRecord, doing: str) -> None:
    _judge(watch, record, f"starts a {doing}")


def closing(watch: Watch, record: SessionRecord) -> None:
    _judge(watch, record, "closes the session")


def refused(watch: Watch, record: SessionRecord, operation: str, state: str, error: BaseException) -> None:
    if state in IN_PROGRESS:
        _judge(watch, record, f"calls `{operation}()`" if operation == "flush" else "uses the session", error)


def _judge(watch: Watch, record: SessionRecord, doing: str, error: BaseException | None = None) -> None:
    first = _other(record, record.busy) or _other(record, record.working)
    if first is None:
        return
    here, by = grab(), actor()
    if record.leaving_by is not None and here[:1] in ((), record.leaving[:1]):  # in the task that closes for it
        here, by = record.leaving, record.leaving_by
    beyond, around_here = around(first.by, first.frames), around(by, here)
    acts = [
        Act("the session was made", record.made),
        Act(f"{actor_name(first.by)} was in the middle of {first.doing}", first.frames + beyond),
        Act(f"{actor_name(by)} {doing}", here + around_here),
    ]
    kind = "tasks" if first.by[0] == by[0] else "threads"
    message = f"two {kind} use one session at once: one {doing} while the other is in the middle of {first.doing}"
    if error is not None:
        watch.explain(error, CODE, message, acts)
    if record.extra.get(CODE) == watch.scope:  # what comes after the first overlap is its consequence
        return
    record.extra[CODE] = watch.scope
    both = (
        _where_both_begin(beyond, around_here)
        or _where_both_begin(beyond, acts[2].frames)
        or _where_both_begin(acts[1].frames, around_here)
    )
    if both != acts[2].frames:
        acts.append(Act("it was given to both", both))
    at = next((index for index in (len(acts) - 1 if both else 0, 2, 1) if acts[index].frames), 0)
    watch.report(CODE, Severity.ERROR, message, acts, at=at, help_text=HELP, session=record, error=error)


def _where_both_begin(first: Frames, second: Frames) -> Frames:
    """The frames of the second from the innermost function on that stands around both; () if none does."""
    depth = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one[0] is not other[0]:
            break
        depth += 1
        if one != other:
            break
    return second[len(second) - depth :]


def _other(record: SessionRecord, busy: Busy | None) -> Busy | None:
    """Who is busy, if it is somebody else who is still there; `async with` closes in a task of its own."""
    if busy is None or busy.by in (actor(), record.leaving_by):
        return None
    return None if has_ended(busy.by) else busy


DETECTOR = Detector(
    code=CODE,
    modes=IN_TESTS,
    overlapping=overlapping,
    ending=ending,
    closing=closing,
    refused=refused,
)

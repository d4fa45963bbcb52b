"""Celery: a session for each task, as its first argument, committed before the task has succeeded.

```python
@task(app, db, autoretry_for=(MailRefused,), retry_backoff=True)
def send(session: Session, order_id: int) -> None: ...


session.on_commit(lambda: send.delay(order.id))  # where the order is written: not before others can see it
```

A task that returns commits. One that raises rolls back, and so do `self.retry()`, Ignore and Reject: what an attempt
has written is never there twice. The broker may still deliver a task twice, so let it look whether its work is done.
A worker's processes each get connections of their own. A task that runs eagerly inside of an open block raises
NestedBlock: call it from `on_commit`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from celery import Celery
from sqlalchemy import orm

from hermetic.toolkit.adapters.serving import JOB, function_block, refuse_async
from hermetic.toolkit.database import Database
from hermetic.toolkit.errors import CallbackFailed, CommitUnknown

S = TypeVar("S", bound=orm.Session)

# The task may have done its work, and must not do it again without looking.
_NOT_AGAIN = (CommitUnknown, CallbackFailed)


def task(app: Celery, database: Database[S], *, retry: int = 0, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator like `app.task`: the task is a transaction, with the session as first argument, after `self`.

    Removes SES001, SES002, SES003 and SES007 (a session or an engine that a worker's processes inherit).

    Parameters:
        app: the Celery application.
        database: a Database; raises TypeError for an AsyncDatabase.
        retry: how often the function runs again at once, in the same task, after a serialization failure, a deadlock or
            a lost connection; see `Database.transactional`.
        options: what `app.task` takes. With `bind=True` the function's first parameter is `self`, else TypeError.
            Whatever `autoretry_for` says, CommitUnknown and CallbackFailed are not retried.

    The task fails with what the end of `Database.transaction()` raises.
    """
    refuse_async(database, "a Celery task has no event loop")
    options["dont_autoretry_for"] = (*options.get("dont_autoretry_for", ()), *_NOT_AGAIN)

    def decorate(function: Callable[..., Any]) -> Any:
        first = next(iter(inspect.signature(function).parameters), None)
        if bool(options.get("bind")) != (first == "self"):
            raise TypeError(f"the first parameter of {function.__qualname__} is {first}; `self` belongs to `bind=True`")
        return app.task(**options)(function_block(database, JOB, retry=retry)(function))

    return decorate

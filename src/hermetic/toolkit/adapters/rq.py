"""RQ: a session for each job, as its first argument, committed before the job has succeeded.

```python
@job(db)
def send(session: Session, order_id: int) -> None: ...


session.on_commit(lambda: queue.enqueue(send, order.id, retry=Retry(max=3)))  # not before others can see the order
```

A job that returns commits, one that raises rolls back. RQ may still run a job twice, so let it look whether its work is
done. A job that RQ stops for its time-out during COMMIT raises CommitUnknown. Each work horse gets connections of its
own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from rq import get_current_job
from sqlalchemy import orm

from hermetic.toolkit.adapters.serving import JOB, function_block, refuse_async
from hermetic.toolkit.database import Database
from hermetic.toolkit.errors import CallbackFailed, CommitUnknown
from hermetic.toolkit.transactional import Transactional

S = TypeVar("S", bound=orm.Session)


def job(database: Database[S], *, retry: int = 0) -> Transactional[S]:
    """A decorator: the job is a transaction. It gets the session as its first argument.

    Removes SES001, SES002, SES003 and SES007 (a session or an engine that the work horses inherit).

    Parameters:
        database: a Database; raises TypeError for an AsyncDatabase.
        retry: how often the function runs again at once, in the same job, after a serialization failure, a deadlock or
            a lost connection; see `Database.transactional`.

    The job fails with what the end of `Database.transaction()` raises. After CommitUnknown and CallbackFailed RQ's own
    `Retry` does not run it again: it may have done its work.
    """
    refuse_async(database, "an RQ job has no event loop")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        in_block: Callable[..., Any] = function_block(database, JOB, retry=retry)(function)

        @functools.wraps(in_block)
        def work(*args: Any, **options: Any) -> Any:
            try:
                return in_block(*args, **options)
            except (CommitUnknown, CallbackFailed):
                if (running := get_current_job()) is not None:
                    running.retries_left = 0
                raise

        return work

    return cast(Transactional[S], decorate)

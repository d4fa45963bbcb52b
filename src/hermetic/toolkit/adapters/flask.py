"""Flask: a session for each view, as its first argument, committed before the response is sent.

```python
db = Database("postgresql+psycopg://localhost/shop")


@app.post("/orders/<int:number>")
@transaction(db)
def pay(session: Session, number: int) -> str: ...
```

No extension, no `g`, and nothing at the end of the application's context. A view that returns commits, whatever its
response says; one that raises, `abort()` included, rolls back. Commands of Flask's own: see `commands`.
"""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy import orm

from hermetic.toolkit.adapters.serving import REQUEST, function_block, refuse_async
from hermetic.toolkit.database import Database
from hermetic.toolkit.transactional import Transactional

S = TypeVar("S", bound=orm.Session)

_WHY = "Flask runs each asynchronous view on an event loop of its own"


def transaction(database: Database[S], *, retry: int = 0) -> Transactional[S]:
    """A decorator: the view is a transaction. It gets the session as its first argument, after `self`.

    Removes SES001, SES003 and SES006 of sessions that live as long as the application's context, and SES005: what the
    view hands to a template is rendered inside.

    Parameters:
        database: a Database; raises TypeError for an AsyncDatabase.
        retry: how often the view runs again after a serialization failure, a deadlock or a lost connection; see
            `Database.transactional`.

    A commit that fails is a failed request; what is raised is what the end of `Database.transaction()` raises. A
    generator that Flask sends after the view has returned gets BlockEnded from the session. Raises TypeError for a
    view that is a coroutine or a generator.
    """
    refuse_async(database, _WHY)
    return function_block(database, REQUEST, retry=retry)


def read(database: Database[S], *, primary: bool = False) -> Transactional[S]:
    """A decorator: the view only reads, with the session of `Database.read()` as its first argument.

    Parameters:
        database: as in `transaction`.
        primary: read from the primary though there are replicas, which may lag behind it.

    Raises as `transaction`; ReadOnly for a write.
    """
    refuse_async(database, _WHY)
    return function_block(database, REQUEST, reads=True, primary=primary)

"""FastAPI: a session for each request, committed before the response is sent.

```python
db = AsyncDatabase("postgresql+asyncpg://localhost/shop")
Transaction = Annotated[AsyncSession, transaction(db)]


@app.post("/orders")
async def create(order: NewOrder, session: Transaction) -> int: ...
```

With an AsyncDatabase the functions that get the session are `async def`, with a Database `def`. An endpoint that
returns commits, whatever its response says; one that raises, HTTPException included, rolls back. All that the
dependencies of a request and its endpoint ask for with the same call is one block with one session, and a
`db.transaction()` inside of it raises NestedBlock. A dependency with `yield` that uses the session needs
`scope="function"` as well.

FastAPI 0.106 to 0.117 end dependencies before the response is sent, and from 0.121 those of the scope "function".
[0.106] https://fastapi.tiangolo.com/release-notes/#01060 [0.118] https://fastapi.tiangolo.com/release-notes/#01180
[0.121] https://fastapi.tiangolo.com/release-notes/#01210
"""

# No `from __future__ import annotations`: before 0.121, FastAPI cannot evaluate those of a callable object.

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import fastapi
from starlette.requests import HTTPConnection

from hermetic.toolkit.adapters.requests import held_too_long, request_block
from hermetic.toolkit.adapters.serving import AnyDatabase
from hermetic.toolkit.errors import explain

_VERSION = tuple(map(int, fastapi.__version__.split(".")[:2]))
_ALWAYS_BEFORE_THE_RESPONSE = ((0, 106), (0, 118))
_FUNCTION_SCOPE = (0, 121)


def _options() -> dict[str, Any]:
    """How to have a dependency end before the response is sent. Raises ImportError where FastAPI cannot do that."""
    first, too_late = _ALWAYS_BEFORE_THE_RESPONSE
    if first <= _VERSION < too_late:
        return {}
    if _VERSION >= _FUNCTION_SCOPE:
        return {"scope": "function"}
    raise ImportError(
        explain(
            f"FastAPI {fastapi.__version__} ends dependencies after the response: a commit that fails is told as done",
            instead='FastAPI 0.121 or newer (`pip install "fastapi>=0.121"`), or 0.106 to 0.117; or no dependency, but '
            "`with db.transaction() as session:` in the endpoint",
        )
    )


_OPTIONS = _options()


@dataclass(frozen=True)
class _Opens:
    """The dependency. Equal ones are one for FastAPI, which calls it once for a request."""

    database: AnyDatabase
    reads: bool
    primary: bool = False

    async def __call__(self, connection: HTTPConnection) -> AsyncIterator[Any]:
        endpoint = connection.scope.get("endpoint")
        if connection.scope["type"] != "http":
            raise held_too_long(endpoint)
        async with request_block(self.database, endpoint, reads=self.reads, primary=self.primary) as session:
            yield session


def transaction(database: AnyDatabase) -> Any:
    """A dependency: the request's session, whose transaction commits when the endpoint has returned.

    Removes SES001, SES002, SES003, SES006 and SES103 of hand-written `get_db` dependencies.

    Parameters:
        database: a Database for `def` endpoints, an AsyncDatabase for `async def` ones.

    A commit that fails is a failed request: its error goes to the application's exception handlers, and the client gets
    what they make of it, 500 by default. What is raised is what the end of `Database.transaction()` raises. The session
    in a stream or a background task raises BlockEnded, in a WebSocket's endpoint HeldTooLong, and that of a Database in
    an `async def` endpoint OnEventLoop.
    """
    return fastapi.Depends(_Opens(database, reads=False), **_OPTIONS)


def read(database: AnyDatabase, *, primary: bool = False) -> Any:
    """A dependency: a session that only reads, `Database.read()`. Removes SES001, SES002 and SES103.

    Parameters:
        database: as in `transaction`.
        primary: read from the primary though there are replicas, which may lag behind it.

    Raises as `transaction`; ReadOnly for a write.
    """
    return fastapi.Depends(_Opens(database, reads=True, primary=primary), **_OPTIONS)

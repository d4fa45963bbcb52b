"""Click, Typer, Flask's command line and plain scripts: a session for each command, as its first argument.

```python
@click.command()
@click.argument("name")
@transaction(db)
def add(session: Session, name: str) -> None: ...
```

A command that returns commits, and so does one that leaves with the exit code 0 (`sys.exit()`, `ctx.exit()`,
`raise typer.Exit()`); one that raises or leaves with another code rolls back. What waits for a person (`click.prompt`)
belongs in front of the command's own function: the transaction would wait as well.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from sqlalchemy import orm

from hermetic.toolkit.adapters.serving import COMMAND, function_block, refuse_async
from hermetic.toolkit.database import Database
from hermetic.toolkit.transactional import Transactional

S = TypeVar("S", bound=orm.Session)

_WHY = "a command has no event loop"


def transaction(database: Database[S], *, retry: int = 0) -> Transactional[S]:
    """A decorator: the command is a transaction. It gets the session as its first argument, after `self`.

    Removes SES001, SES003 and SES101 of scripts that open a session at their top.

    Parameters:
        database: a Database; raises TypeError for an AsyncDatabase, which a command uses in the coroutine that it gives
            to `asyncio.run()`.
        retry: how often the command runs again after a serialization failure, a deadlock or a lost connection; see
            `Database.transactional`.

    What is raised is what the end of `Database.transaction()` raises, also when the command leaves with the code 0.
    """
    refuse_async(database, _WHY)
    return _with_exits(function_block(database, COMMAND, retry=retry))


def read(database: Database[S], *, primary: bool = False) -> Transactional[S]:
    """A decorator: the command only reads, with the session of `Database.read()` as its first argument.

    Parameters:
        database: as in `transaction`.
        primary: read from the primary though there are replicas, which may lag behind it.

    Raises as `transaction`; ReadOnly for a write.
    """
    refuse_async(database, _WHY)
    return _with_exits(function_block(database, COMMAND, reads=True, primary=primary))


def _with_exits(decorator: Transactional[S]) -> Transactional[S]:
    """An exception that means success leaves the command after the block, and not through it."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def work(*args: Any, **options: Any) -> tuple[Any, BaseException | None]:
            try:
                return function(*args, **options), None
            except BaseException as error:
                if not _is_success(error):
                    raise
                return None, error

        in_block: Callable[..., tuple[Any, BaseException | None]] = decorator(work)

        @functools.wraps(in_block)
        def command(*args: Any, **options: Any) -> Any:
            result, leaving = in_block(*args, **options)
            if leaving is not None:
                raise leaving
            return result

        return command

    return cast(Transactional[S], decorate)


def _is_success(error: BaseException) -> bool:
    """`sys.exit()`, and the Exit of Click and Typer, which are two classes in some versions."""
    if isinstance(error, SystemExit):
        return error.code in (None, 0)
    return getattr(error, "exit_code", None) == 0

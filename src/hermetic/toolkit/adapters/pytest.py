"""pytest: fixtures with which every test runs in a transaction that is rolled back, on a real PostgreSQL if wanted.

```python
# conftest.py
pytest_plugins = ["hermetic.toolkit.adapters.pytest"]


@pytest.fixture(scope="session")
def application_database(hermetic_postgres: Postgres) -> Iterator[Database]:
    with hermetic_postgres.database() as name, Database(hermetic_postgres.url(name)) as db:
        Base.metadata.create_all(db.engine)
        yield db


# test_orders.py
def test_an_order_is_paid_once(hermetic_database: Database) -> None: ...
```

`hermetic_database` gives the database of the fixture `application_database`, which a test suite defines, and undoes at
the end of the test what was written to it; `hermetic_async_database` does for an AsyncDatabase. What commits inside of
the test has committed as far as it can tell, `on_commit` included; see `hermetic.toolkit.testing` for the limits.
`pytestmark = pytest.mark.usefixtures("hermetic_database")` is for tests that need no name for it.

Coroutines as tests: with pytest-asyncio where that is installed, else with AnyIO's plugin.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from hermetic.toolkit.database import Database
from hermetic.toolkit.testing import rolled_back

if TYPE_CHECKING:
    from hermetic.toolkit.adapters.postgres import Postgres
    from hermetic.toolkit.async_database import AsyncDatabase  # needs greenlet

_async_fixture: Callable[..., Any]
try:
    from pytest_asyncio import fixture as _async_fixture
except ImportError:
    _async_fixture = pytest.fixture


@pytest.fixture(scope="session")
def hermetic_postgres() -> Iterator[Postgres]:
    """A PostgreSQL that is started once for the run, shared by the processes of pytest-xdist, and stopped at its end.

    `with hermetic_postgres.database() as name:` makes a fresh database, `hermetic_postgres.url(name)` is its URL.
    Raises ImportError without the extra `testing`, and where files cannot be locked as POSIX does.
    """
    try:
        from hermetic.toolkit.adapters.postgres import running
    except ImportError as error:
        raise ImportError("hermetic_postgres needs a POSIX system and: pip install 'hermetic[testing]'") from error
    with running(os.environ.get("PYTEST_XDIST_TESTRUNUID", f"process-{os.getpid()}")) as server:
        yield server


@pytest.fixture(scope="session")
def application_database() -> Database[Any] | AsyncDatabase[Any]:
    """To be defined by the test suite: the database that `hermetic_database` rolls back."""
    raise pytest.UsageError(
        "define a fixture `application_database` that gives the application's Database, or AsyncDatabase"
    )


@pytest.fixture
def hermetic_database(application_database: Database[Any]) -> Iterator[Database[Any]]:
    """The application's Database; what the test writes to it is undone. Raises TypeError for an AsyncDatabase."""
    if not isinstance(application_database, Database):
        raise TypeError("`application_database` gives an AsyncDatabase: use `hermetic_async_database`")
    with rolled_back(application_database):
        yield application_database


@_async_fixture
async def hermetic_async_database(application_database: AsyncDatabase[Any]) -> AsyncIterator[AsyncDatabase[Any]]:
    """The application's AsyncDatabase; what the test writes to it is undone. Raises TypeError for a Database."""
    if isinstance(application_database, Database):
        raise TypeError("`application_database` gives a Database: use `hermetic_database`")
    async with rolled_back(application_database):
        yield application_database

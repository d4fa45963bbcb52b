"""Exception classes, by last name, as handlers name them.

Sources: [exc] https://docs.sqlalchemy.org/en/20/core/exceptions.html, [dbapi] https://peps.python.org/pep-0249/#exceptions
"""

from __future__ import annotations

CATCH_ALL = frozenset(("BaseException", "Exception"))

# Raised by `one()` and the like, or by the project itself: no other call does, and no transaction fails by it. [exc]
RESULT_ERRORS = frozenset(("NoResultFound", "MultipleResultsFound"))

# Catch every failure of a statement.
EVERY_DATABASE_ERROR = frozenset(("SQLAlchemyError", "StatementError", "DBAPIError"))  # [exc]

# Catch some failures of statements after which the transaction needs a rollback.
DATABASE_ERRORS = frozenset(
    (
        "IntegrityError",  # [exc] [dbapi]
        "OperationalError",
        "ProgrammingError",
        "DataError",
        "InternalError",
        "DatabaseError",
        "InterfaceError",
        "NotSupportedError",
        "PendingRollbackError",  # [exc]
        "InvalidRequestError",
        "FlushError",
        "UniqueViolation",  # psycopg.errors
        "UniqueViolationError",  # asyncpg.exceptions
        "PostgresError",
        "StaleDataError",  # [exc] raised by a flush
    )
)

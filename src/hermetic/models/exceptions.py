"""Exception classes, by last name, as handlers name them.

Sources: [exc] https://docs.sqlalchemy.org/en/20/core/exceptions.html, [dbapi] https://peps.python.org/pep-0249/#exceptions,
[oslo] https://docs.openstack.org/oslo.db/latest/reference/api/oslo_db.html#module-oslo_db.exception, [aa]
https://docs.advanced-alchemy.litestar.dev/latest/reference/exceptions.html
"""

from __future__ import annotations

CATCH_ALL = frozenset(("BaseException", "Exception"))

# Raised by `one()` and the like, or by the project itself: no other call does, and no transaction fails by it. [exc]
NO_ROW = "NoResultFound"
RESULT_ERRORS = frozenset((NO_ROW, "MultipleResultsFound"))

# Catch every failure of a statement.
EVERY_DATABASE_ERROR = frozenset(
    (
        "SQLAlchemyError",  # [exc]
        "StatementError",
        "DBAPIError",
        "RepositoryError",  # [aa] raised in their place
        "AdvancedAlchemyError",
        "DBError",  # [oslo] raised in their place
    )
)

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
        "DuplicateKeyError",  # [aa]
        "ForeignKeyError",
        "DBDuplicateEntry",  # [oslo]
        "DBReferenceError",
        "DBConstraintError",
        "DBDeadlock",
        "DBConnectionError",
        "DBDataError",
        "StaleDataError",  # [exc] raised by a flush
    )
)

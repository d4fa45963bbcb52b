"""Advanced Alchemy: repositories and services around a session, and what makes their sessions.

Sources: [repo] https://docs.advanced-alchemy.litestar.dev/latest/usage/repositories.html and advanced_alchemy 1.12
repository/_async.py, [svc] .../usage/services.html and service/_async.py, [cfg] config/asyncio.py, config/sync.py
"""

from __future__ import annotations

from hermetic.models.sqlalchemy import ASYNC, SYNC

# The classes are re-exported in many places; they are known by their last name below one of these packages.
ROOTS = frozenset(("advanced_alchemy", "litestar"))

# Class -> flavour of its session.
REPOSITORIES: dict[str, str] = {
    "SQLAlchemyAsyncRepository": ASYNC,  # [repo]
    "SQLAlchemyAsyncSlugRepository": ASYNC,
    "SQLAlchemySyncRepository": SYNC,
    "SQLAlchemySyncSlugRepository": SYNC,
}
SERVICES: dict[str, str] = {
    "SQLAlchemyAsyncRepositoryService": ASYNC,  # [svc]
    "SQLAlchemyAsyncRepositoryReadService": ASYNC,
    "SQLAlchemySyncRepositoryService": SYNC,
    "SQLAlchemySyncRepositoryReadService": SYNC,
}
# Objects that make sessions. [cfg]
CONFIGS: dict[str, str] = {"SQLAlchemyAsyncConfig": ASYNC, "SQLAlchemySyncConfig": SYNC}
CONFIG_METHODS: dict[str, str] = {
    "create_session_maker": "factory",
    "get_session": "session",  # a context manager, which closes it
    "get_engine": "engine",
    "create_engine": "engine",
}
# Their options for sessions: an object with `expire_on_commit`, left out as in SQLAlchemy. [cfg] config/common.py
SESSION_CONFIG, EXPIRE = "session_config", "expire_on_commit"
# Options that bring a maker of sessions with options of its own. [cfg]
OWN_MAKERS = ("session_maker", "session_maker_class", "create_session_maker")
# Parts of the names of those that a framework's plugin takes: it opens a session for each request, and closes it.
SERVING = ("extensions.litestar", "extensions.starlette", "extensions.fastapi", "extensions.sanic", "litestar.plugins")
# What says whether it commits before: [litestar] before_send_handler, [starlette] commit_mode; nothing does by default.
ENDS = ("before_send_handler", "commit_mode")
CLOSES, CLOSING_HANDLERS = ("manual",), ("default_before_send_handler",)

# Attributes of a class that name the mapped class, and the repository of a service. [repo] [svc]
MODEL, REPOSITORY_TYPE = "model_type", "repository_type"
# Attributes of the objects. [repo] [svc]
SESSION, REPOSITORY = "session", "repository"
# A class method of services: a context manager of a service. [svc]
NEW = "new"

# Methods that write, and flush, or commit where `auto_commit` says so; by what they give: [repo] _flush_or_commit
# "same": the instance they were given, "one": a loaded instance, "many": several, "pair": an instance and a flag.
WRITES: dict[str, str] = {
    "add": "same",
    "add_many": "same",
    "create": "same",  # [svc] calls `add`
    "create_many": "same",
    "update": "one",
    "update_many": "many",
    "upsert": "one",
    "upsert_many": "many",
    "get_or_upsert": "pair",
    "get_and_update": "pair",
    "delete": "one",
    "delete_many": "many",
    "delete_where": "many",
}
# Methods that read, likewise; "rows": several and their number. [repo]
READS: dict[str, str] = {
    "get": "one",
    "get_one": "one",
    "get_one_or_none": "optional",
    "get_by_slug": "optional",
    "list": "many",
    "get_many": "many",
    "list_and_count": "rows",
    "get_many_and_count": "rows",
    "count": "derived",
    "exists": "derived",
}
# What is loaded with the instances: an option of each method, an attribute of the class. [repo]
LOAD, LOADER_OPTIONS = "load", "loader_options"
# Options of the constructor, and of each method that writes, with their defaults. [repo] __init__
AUTO_COMMIT, AUTO_REFRESH, AUTO_EXPUNGE = "auto_commit", "auto_refresh", "auto_expunge"
DEFAULTS: dict[str, bool] = {AUTO_COMMIT: False, AUTO_REFRESH: True, AUTO_EXPUNGE: False}

# Declarative bases: advanced_alchemy/base.py
MODEL_BASES = frozenset(
    """
    UUIDBase UUIDAuditBase UUIDv6Base UUIDv6AuditBase UUIDv7Base UUIDv7AuditBase BigIntBase BigIntAuditBase
    IdentityBase IdentityAuditBase NanoIDBase NanoIDAuditBase DefaultBase AdvancedDeclarativeBase
    """.split()
)

# Columns that they bring. [repo] advanced_alchemy/base.py, mixins/
MODEL_COLUMNS = frozenset(("id", "created_at", "updated_at", "slug"))


def known(name: str, table: dict[str, str]) -> str | None:
    """What a table says of a class, by its full name."""
    root, _, rest = name.partition(".")
    return table.get(rest.rpartition(".")[2]) if root in ROOTS else None


def is_model_base(name: str) -> bool:
    root, _, rest = name.partition(".")
    return root in ROOTS and rest.rpartition(".")[2] in MODEL_BASES


def config_flavour(name: str) -> str | None:
    """Of the sessions that a configuration makes, by the full name of its class."""
    return known(name, CONFIGS)

"""SQLAlchemy, SQLModel and Flask-SQLAlchemy: classes, constructors, and the methods of what they return.

Sources, by abbreviation:
[orm] https://docs.sqlalchemy.org/en/20/orm/session_api.html
[aio] https://docs.sqlalchemy.org/en/20/orm/extensions/asyncio.html
[ctx] https://docs.sqlalchemy.org/en/20/orm/contextual.html
[eng] https://docs.sqlalchemy.org/en/20/core/engines.html
[con] https://docs.sqlalchemy.org/en/20/core/connections.html
[qry] https://docs.sqlalchemy.org/en/20/orm/queryguide/query.html
[res] https://docs.sqlalchemy.org/en/20/core/connections.html#sqlalchemy.engine.Result
[ldr] https://docs.sqlalchemy.org/en/20/orm/queryguide/relationships.html
[map] https://docs.sqlalchemy.org/en/20/orm/mapping_api.html
[sqm] https://sqlmodel.tiangolo.com/
[fsa] https://flask-sqlalchemy.readthedocs.io/en/stable/api/
[kit] hermetic's own toolkit, see `models.toolkit`
"""

from __future__ import annotations

SYNC, ASYNC, EITHER = "sync", "async", "either"

# Full name -> (what it is, flavour). The first word is an entry of `engine.constructors`.
SYMBOLS: dict[str, tuple[str, str]] = {
    "sqlalchemy.orm.Session": ("session", SYNC),  # [orm]
    "sqlalchemy.orm.session.Session": ("session", SYNC),  # [orm] where it is defined
    "sqlmodel.Session": ("session", SYNC),  # [sqm] tutorial/insert: a subclass of SQLAlchemy's
    "sqlmodel.orm.session.Session": ("session", SYNC),  # [sqm] where it is defined
    "sqlalchemy.ext.asyncio.AsyncSession": ("session", ASYNC),  # [aio]
    "sqlalchemy.ext.asyncio.session.AsyncSession": ("session", ASYNC),  # [aio] where it is defined
    "sqlmodel.ext.asyncio.session.AsyncSession": ("session", ASYNC),  # [sqm] adds exec()
    "flask_sqlalchemy.session.Session": ("session", SYNC),  # [fsa]
    "sqlalchemy.orm.sessionmaker": ("factory", SYNC),  # [orm]
    "sqlalchemy.orm.session.sessionmaker": ("factory", SYNC),  # [orm]
    "sqlalchemy.orm.create_session": ("session", SYNC),  # 1.3 legacy, removed in 2.0
    "sqlalchemy.ext.asyncio.async_sessionmaker": ("factory", ASYNC),  # [aio]
    "sqlalchemy.ext.asyncio.session.async_sessionmaker": ("factory", ASYNC),  # [aio]
    "sqlalchemy.orm.scoped_session": ("registry", SYNC),  # [ctx]
    "sqlalchemy.orm.scoping.scoped_session": ("registry", SYNC),  # [ctx]
    "sqlalchemy.ext.asyncio.async_scoped_session": ("registry", ASYNC),  # [aio]
    "sqlalchemy.create_engine": ("engine", SYNC),  # [eng]
    "sqlalchemy.engine.create_engine": ("engine", SYNC),  # [eng]
    "sqlalchemy.engine.create.create_engine": ("engine", SYNC),  # [eng]
    "sqlalchemy.engine_from_config": ("engine", SYNC),  # [eng]
    "sqlalchemy.create_mock_engine": ("nothing", SYNC),  # [eng] never connects
    "sqlmodel.create_engine": ("engine", SYNC),  # [sqm]
    "sqlalchemy.ext.asyncio.create_async_engine": ("engine", ASYNC),  # [aio]
    "sqlalchemy.ext.asyncio.engine.create_async_engine": ("engine", ASYNC),  # [aio]
    "sqlalchemy.ext.asyncio.async_engine_from_config": ("engine", ASYNC),  # [aio]
    "sqlalchemy.ext.asyncio.AsyncEngine": ("wrapped_engine", ASYNC),  # [aio] AsyncEngine(create_engine(...)), 1.4
    "sqlalchemy.Engine": ("engine_class", SYNC),  # [con]
    "sqlalchemy.engine.Engine": ("engine_class", SYNC),  # [con]
    "sqlalchemy.engine.base.Engine": ("engine_class", SYNC),  # [con]
    "sqlalchemy.ext.asyncio.engine.AsyncEngine": ("wrapped_engine", ASYNC),  # [aio]
    "sqlalchemy.Connection": ("connection_class", SYNC),  # [con]
    "sqlalchemy.engine.Connection": ("connection_class", SYNC),  # [con]
    "sqlalchemy.engine.base.Connection": ("connection_class", SYNC),  # [con]
    "sqlalchemy.ext.asyncio.AsyncConnection": ("connection_class", ASYNC),  # [aio]
    "sqlalchemy.ext.asyncio.engine.AsyncConnection": ("connection_class", ASYNC),  # [aio]
    "sqlalchemy.orm.Query": ("query_class", SYNC),  # [qry]
    "sqlalchemy.orm.query.Query": ("query_class", SYNC),  # [qry]
    "sqlalchemy.orm.object_session": ("session_of", SYNC),  # [orm] the session an instance is in
    "sqlalchemy.orm.session.object_session": ("session_of", SYNC),  # [orm]
    "sqlalchemy.ext.asyncio.async_object_session": ("session_of", ASYNC),  # [aio]
    "sqlalchemy.ext.asyncio.async_session": ("async_session", ASYNC),  # [aio] the AsyncSession of a Session
    "sqlalchemy.Select": ("statement_class", "select"),
    "sqlalchemy.sql.Select": ("statement_class", "select"),
    "sqlalchemy.sql.selectable.Select": ("statement_class", "select"),
    "sqlalchemy.sql.expression.Select": ("statement_class", "select"),
    "sqlmodel.sql.expression.SelectOfScalar": ("statement_class", "select"),
    "sqlalchemy.select": ("statement", "select"),
    "sqlalchemy.future.select": ("statement", "select"),
    "sqlalchemy.sql.select": ("statement", "select"),
    "sqlalchemy.sql.expression.select": ("statement", "select"),
    "sqlmodel.select": ("statement", "select"),  # [sqm]
    "sqlmodel.sql.expression.select": ("statement", "select"),  # [sqm]
    "sqlalchemy.insert": ("statement", "insert"),
    "sqlalchemy.sql.insert": ("statement", "insert"),
    "sqlalchemy.sql.expression.insert": ("statement", "insert"),
    "sqlalchemy.dialects.postgresql.insert": ("statement", "insert"),
    "sqlalchemy.dialects.sqlite.insert": ("statement", "insert"),
    "sqlalchemy.dialects.mysql.insert": ("statement", "insert"),
    "sqlmodel.insert": ("statement", "insert"),
    "sqlalchemy.update": ("statement", "update"),
    "sqlalchemy.sql.update": ("statement", "update"),
    "sqlalchemy.sql.expression.update": ("statement", "update"),
    "sqlmodel.update": ("statement", "update"),
    "sqlalchemy.delete": ("statement", "delete"),
    "sqlalchemy.sql.delete": ("statement", "delete"),
    "sqlalchemy.sql.expression.delete": ("statement", "delete"),
    "sqlmodel.delete": ("statement", "delete"),
    "sqlalchemy.text": ("statement", "text"),
    "sqlalchemy.sql.text": ("statement", "text"),
    "sqlalchemy.sql.expression.text": ("statement", "text"),
    "sqlmodel.text": ("statement", "text"),
    "flask_sqlalchemy.SQLAlchemy": ("flask_db", SYNC),  # [fsa] `db.session` is a scoped_session of the app context
    "flask_sqlalchemy.extension.SQLAlchemy": ("flask_db", SYNC),  # [fsa]
    "flask.ext.sqlalchemy.SQLAlchemy": (
        "flask_db",
        SYNC,
    ),  # before Flask 1.0: https://flask.palletsprojects.com/en/0.12.x/extensiondev/
    "flask_sqlalchemy_lite.SQLAlchemy": ("flask_db", SYNC),  # https://flask-sqlalchemy-lite.readthedocs.io/
    "flask_appbuilder.SQLA": ("flask_db", SYNC),  # a subclass of Flask-SQLAlchemy's
    "flask_appbuilder.models.sqla.SQLA": ("flask_db", SYNC),
    "hermetic.Session": ("session", SYNC),  # [kit] a subclass of SQLAlchemy's, which a block makes
    "hermetic.toolkit.session.Session": ("session", SYNC),  # [kit] where it is defined
    "hermetic.AsyncSession": ("session", ASYNC),  # [kit]
    "hermetic.toolkit.async_session.AsyncSession": ("session", ASYNC),  # [kit]
    "hermetic.Database": ("database", SYNC),  # [kit]
    "hermetic.toolkit.database.Database": ("database", SYNC),  # [kit]
    "hermetic.AsyncDatabase": ("database", ASYNC),  # [kit]
    "hermetic.toolkit.async_database.AsyncDatabase": ("database", ASYNC),  # [kit]
    "sqlalchemy.orm.declarative_base": ("model_base", ""),  # [map]
    "sqlalchemy.ext.declarative.declarative_base": ("model_base", ""),  # 1.3
    "sqlalchemy.orm.relationship": ("relationship", ""),  # [ldr]
    "sqlalchemy.orm.backref": ("relationship", ""),
    "sqlmodel.Relationship": ("relationship", ""),  # [sqm]
    "sqlalchemy.orm.dynamic_loader": ("relationship", ""),
    "sqlalchemy.ext.associationproxy.association_proxy": ("relationship", ""),  # reads through a relationship
    "sqlalchemy.Column": ("column", ""),
    "sqlalchemy.orm.mapped_column": ("column", ""),
    "sqlalchemy.orm.column_property": ("column", ""),
    "sqlmodel.Field": ("column", ""),  # [sqm]
    "sqlalchemy.orm.deferred": ("deferred_column", ""),
    "sqlalchemy.orm.joinedload": ("eager", ""),  # [ldr]
    "sqlalchemy.orm.selectinload": ("eager", ""),  # [ldr]
    "sqlalchemy.orm.subqueryload": ("eager", ""),  # [ldr]
    "sqlalchemy.orm.contains_eager": ("eager", ""),  # [ldr]
    "sqlalchemy.orm.immediateload": ("eager", ""),  # [ldr]
    "sqlalchemy.orm.undefer": ("eager", ""),  # https://docs.sqlalchemy.org/en/20/orm/queryguide/columns.html
    "sqlalchemy.orm.undefer_group": ("eager_columns", ""),  # the same: whatever is deferred
    "sqlalchemy.orm.make_transient": ("make_transient", ""),  # [orm]
    "sqlalchemy.pool.NullPool": ("null_pool", ""),  # [eng]
    "sqlalchemy.NullPool": ("null_pool", ""),
    "sqlalchemy.pool.StaticPool": ("null_pool", ""),
}

# Classes whose subclasses are mapped: their instances belong to sessions.
MODEL_BASES = frozenset(
    (
        "sqlalchemy.orm.DeclarativeBase",  # [map]
        "sqlalchemy.orm.DeclarativeBaseNoMeta",
        "sqlalchemy.orm.decl_api.DeclarativeBase",
        "sqlalchemy.ext.asyncio.AsyncAttrs",  # [aio] mixed into a declarative base
        "sqlmodel.SQLModel",  # [sqm] with table=True
        "sqlmodel.main.SQLModel",
        "flask_sqlalchemy.Model",  # [fsa]
        "flask_sqlalchemy.model.Model",
        "flask_appbuilder.Model",
        "fastapi_users_db_sqlalchemy.SQLAlchemyBaseUserTable",
        "fastapi_users_db_sqlalchemy.SQLAlchemyBaseUserTableUUID",
    )
)

# Methods of an AsyncSession that no other kind of client is likely to have. [aio]
STATEMENT_METHODS = frozenset(
    """
    execute scalar scalars exec stream stream_scalars get_one commit flush refresh rollback merge begin_nested run_sync
    """.split()
)

# Methods of Query and of Select that end the building: what each sends and returns. [qry]
QUERY_ENDINGS: dict[str, str] = {
    "all": "many",
    "first": "one",
    "one": "one",
    "one_or_none": "one",
    "get": "one",
    "scalar": "one",  # "the first element of the first result": of a query of a class, the instance
    "scalars": "many",
    "count": "derived",
    "first_or_404": "one",  # [fsa]
    "get_or_404": "one",
    "one_or_404": "one",
    "paginate": "many",  # [fsa]
    "delete": "write",
    "update": "write",
    "yield_per": "query",
    "__iter__": "many",
}

# Methods of Flask-SQLAlchemy's `db` that ask its session for one row, or end the request. [fsa]
FLASK_QUERIES = frozenset(("get_or_404", "first_or_404", "one_or_404"))

# Methods of a relationship, as it stands in loader options, that give it again, of some rows or of a subclass:
# https://docs.sqlalchemy.org/en/20/orm/queryguide/relationships.html#adding-criteria-to-loader-options
NARROWING_METHODS = frozenset(("and_", "of_type"))

# Loader options without which as much would be loaded:
# https://docs.sqlalchemy.org/en/20/orm/queryguide/relationships.html
OPTIONS_THAT_LOAD_NOTHING = frozenset(
    f"sqlalchemy.orm.{name}"
    for name in ("load_only", "defer", "lazyload", "raiseload", "noload", "with_loader_criteria")
)

# https://docs.sqlalchemy.org/en/20/orm/session_api.html#sqlalchemy.orm.attributes.set_committed_value
SETTING_COMMITTED = frozenset(("sqlalchemy.orm.attributes.set_committed_value", "sqlalchemy.orm.set_committed_value"))

# Methods of Result and ScalarResult. [res]
RESULT_METHODS: dict[str, str] = {
    "all": "many",
    "fetchall": "many",
    "fetchmany": "many",
    "partitions": "many",
    "first": "one",
    "one": "one",
    "one_or_none": "one",
    "fetchone": "one",
    "scalar": "one_scalar",
    "scalar_one": "one_scalar",
    "scalar_one_or_none": "one_scalar",
    "scalars": "scalars",
    "unique": "same",
    "mappings": "rows",
    "tuples": "same",
    "columns": "rows",
    "yield_per": "same",
    "freeze": "same",
    "close": "nothing",
    "keys": "nothing",
}

# Methods of a Connection or AsyncConnection. [con]: (sends a statement, result)
CONNECTION_METHODS: dict[str, tuple[bool, str]] = {
    "execute": (True, "result"),
    "scalar": (True, "derived"),
    "scalars": (True, "derived"),
    "exec_driver_sql": (True, "result"),
    "stream": (True, "result"),
    "commit": (True, "nothing"),
    "rollback": (True, "nothing"),
    "begin": (False, "connection_transaction"),
    "begin_nested": (False, "connection_transaction"),
    "run_sync": (True, "run_sync"),
    "close": (False, "nothing"),
    "execution_options": (False, "self"),
}

# Methods of an Engine or AsyncEngine. [con]
ENGINE_METHODS: dict[str, tuple[bool, str]] = {
    "connect": (True, "connection"),
    "begin": (True, "connection"),
    "raw_connection": (True, "nothing"),
    "dispose": (False, "disposed"),
    "execution_options": (False, "self"),
    "execute": (True, "result"),  # 1.x
    "scalar": (True, "derived"),
    "run_sync": (True, "run_sync"),
}

# Options of sessions and factories that SQLAlchemy 2.0 removed: (keyword, value) -> why.
# https://docs.sqlalchemy.org/en/20/changelog/migration_20.html#migration-20-session-autocommit
REMOVED_OPTIONS: dict[tuple[str, bool], str] = {
    (
        "autocommit",
        True,
    ): "`autocommit=True` was removed in SQLAlchemy 2.0: every session begins a transaction by itself",
}

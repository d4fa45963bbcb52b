"""Transaction scopes of oslo.db: a session for the time that a `with` block or a decorated function runs.

The scope commits at its end if it is a writer's, rolls back on an exception, and closes its session. A scope inside of
another one joins it: only the outermost ends anything. Sources: [oslo] https://docs.openstack.org/oslo.db/latest/user/usage.html
and oslo.db 18.1 sqlalchemy/enginefacade.py; [neutron] https://docs.openstack.org/neutron-lib/latest/contributor/
"""

from __future__ import annotations

from hermetic.models.sqlalchemy import ASYNC, SYNC

WRITER, READER = "writer", "reader"

# Beginning of the full name of whatever leads to a scope -> flavour of its session.
FACADES: dict[str, str] = {
    "oslo_db.sqlalchemy.enginefacade.": SYNC,  # [oslo] writer, reader, transaction_context()
    "oslo_db.sqlalchemy.asyncio_facade.": ASYNC,  # [oslo] the same for asyncio
    "neutron_lib.db.api.": SYNC,  # [neutron] neutron_lib/db/api.py: CONTEXT_WRITER, get_context_manager()
}

# Parts of such a name that say of which mode the scope is.
MODES: dict[str, str] = {
    "writer": WRITER,  # [oslo] _TransactionContextManager.writer
    "reader": READER,
    "CONTEXT_WRITER": WRITER,  # [neutron]
    "CONTEXT_READER": READER,
    "get_writer_session": WRITER,
    "get_reader_session": READER,
}
# A part that says that it gives a Connection instead of a Session. [oslo]
CONNECTION = "connection"

# The method that opens a scope for a context object, in a `with`. [oslo]
USING = "using"
# Methods that give what the sessions are made with. [oslo]
GIVES_ENGINE, GIVES_FACTORY = "get_engine", "get_sessionmaker"

# A class decorator: objects of the class have the session as an attribute, while a scope is open. [oslo]
CONTEXT_DECORATOR = "transaction_context_provider"
CONTEXT_CLASSES = frozenset(("neutron_lib.context.Context", "neutron_lib.context.ContextBase"))  # [neutron]
# Its attributes -> flavour. [oslo] enginefacade and asyncio_facade, transaction_context_provider
SESSION_ATTRIBUTES: dict[str, str] = {"session": SYNC, "async_session": ASYNC}

# Libraries without which a program has no such scopes.
LIBRARIES = frozenset(("oslo_db", "neutron_lib"))

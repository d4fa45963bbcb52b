"""hermetic's own toolkit: databases whose blocks are sessions. Source: `hermetic.toolkit`, its docstrings."""

from __future__ import annotations

# Methods of a database -> what they do; on a session they are given, but for the first two.
TRANSACTION, READ = "transaction", "read"
SAVEPOINT, RELEASED, DETACH = "savepoint", "released", "detach"
METHODS = frozenset((TRANSACTION, READ, SAVEPOINT, RELEASED, DETACH))

# The argument that makes a block work in the session of an open one.
JOIN = "join"

"""What may be shown of a database: SQL without literals, an URL without its password, an exception without its text.

Bound parameters, row values and passwords never leave the program. The text of a database error quotes them, so errors
are named by their class alone.
"""

from __future__ import annotations

import re
from typing import Any

LONGEST = 2000  # characters of an SQL text; an INSERT of a thousand rows is as well known by its beginning

# Names in quotes, which stay; then what does not: comments, which carry request data, strings ('it''s', E'…',
# $tag$…$tag$, and "…", which MySQL and SQLite take for one), and numbers that are no part of a name. What is cut off
# has no end.
LITERAL = re.compile(
    r"""(?P<name>"[A-Za-z_][\w$]*")|--[^\n]*|/\*.*?(?:\*/|\Z)|\$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)"""
    r"""|[eE]?'(?:[^'\\]|''|\\.)*'?|"[^"]*"?|(?<![\w$:."])\d+(?:\.\d+)?(?![\w"])""",
    re.DOTALL,
)
SAFE_QUERY = frozenset({"host", "port", "dbname", "driver", "charset", "application_name", "sslmode"})


def sql(statement: str) -> str:
    """The statement on one line with every literal replaced by `?`."""
    return " ".join(LITERAL.sub(lambda found: found["name"] or "?", statement[:LONGEST]).split())


def url(value: Any) -> str:
    """An engine's URL (`sqlalchemy.URL`): no password, and of the query only what says where the server is."""
    query = {key: text if key in SAFE_QUERY else "hidden" for key, text in value.query.items()}
    return str(value.set(query=query).render_as_string(hide_password=True))

"""Transaction managers: what ends the transactions of sessions that have joined one, at the end of a request mostly.

Sources: [zope] https://pypi.org/project/zope.sqlalchemy/ and zope.sqlalchemy 4.2 datamanager.py;
[tm] https://docs.pylonsproject.org/projects/pyramid-tm/en/latest/
"""

from __future__ import annotations

# Functions that let a session, or all sessions of a factory or registry, join the manager; by the first argument. It
# commits or aborts for them, and closes them (or, with keep_session, gives their connection back). [zope] [tm]
JOINING = frozenset(("zope.sqlalchemy.register",))
# Extensions of a factory that do the same. [zope] before version 1.2
JOINED = frozenset(("zope.sqlalchemy.ZopeTransactionExtension", "zope.sqlalchemy.ZopeTransactionEvents"))

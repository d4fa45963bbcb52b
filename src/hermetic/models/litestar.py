"""Litestar: which plain functions it runs on the event loop, and which values it keeps.

Sources: [doc] https://docs.litestar.dev/2/topics/sync-vs-async.html and litestar 2.25, di.py and
handlers/http_handlers/base.py
"""

from __future__ import annotations

_VERBS = ("get", "post", "put", "patch", "delete", "head", "route")
_MODULES = (
    "litestar",
    "litestar.handlers",
    "litestar.handlers.http_handlers",
    "litestar.handlers.http_handlers.decorators",
)

# Decorators of handlers. A plain function runs on the event loop unless `sync_to_thread=True` says otherwise. [doc]
HANDLERS = frozenset(f"{module}.{verb}" for module in _MODULES for verb in _VERBS)

# Markers of dependencies, of which the same holds. [doc] di.py
PROVIDE = frozenset(("litestar.di.Provide", "litestar.Provide"))
TO_THREAD = "sync_to_thread"
# An option with which the marker keeps what the first call gave, for every request after it. di.py, Provide.__call__
USE_CACHE = "use_cache"

# Calls, beside those of HANDLERS, and classes whose `dependencies` map names to functions or markers. [doc]
LAYERS = frozenset(("litestar.Litestar", "litestar.app.Litestar", "litestar.Router", "litestar.router.Router"))
DEPENDENCIES = "dependencies"
CONTROLLERS = frozenset(("litestar.Controller", "litestar.controller.Controller"))
# Options of LAYERS with functions that run after a handler. https://docs.litestar.dev/2/usage/lifecycle-hooks.html
HOOKS = frozenset(("before_send", "after_request", "after_response"))

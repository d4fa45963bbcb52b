"""dependency-injector: what its providers give.

Source: https://python-dependency-injector.ets-labs.org/providers/index.html and dependency_injector 4.48
"""

from __future__ import annotations

LIBRARY = "dependency_injector"

# Base classes whose attributes are providers.
CONTAINERS = frozenset(
    f"{LIBRARY}.containers.{name}" for name in ("DeclarativeContainer", "DynamicContainer", "Container")
)

MADE, OBJECT, DECLARED = "made", "object", "declared"
_KINDS = {
    MADE: (
        "Factory",
        "Singleton",
        "ThreadLocalSingleton",
        "ThreadSafeSingleton",
        "ContextLocalSingleton",
        "Resource",
        "Callable",
        "Coroutine",
    ),
    OBJECT: ("Object",),
    DECLARED: ("Dependency",),
}
# What calling a provider gives: what its first argument makes, that itself, or what its container is given.
PROVIDERS: dict[str, str] = {f"{LIBRARY}.providers.{name}": kind for kind, names in _KINDS.items() for name in names}
# Methods of a provider: another one takes its place, and gives it back.
OVERRIDE, RESET = "override", frozenset(("reset_override", "reset_last_overriding"))

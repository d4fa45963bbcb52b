"""Dependency containers: what marks a provider, how long lives what it gives, and what is given to whom.

Source: [dishka] https://dishka.readthedocs.io/ and dishka 1.10 (provider/make_factory.py, container.py, integrations/)
"""

from __future__ import annotations

from hermetic.models.frameworks import CLI, REQUEST, WORKER

# Decorators, and calls with a function, that make a provider. [dishka] provider/provide
PROVIDE = frozenset(("dishka.provide", "dishka.provider.provide", "dishka.provider.make_factory.provide"))
# The same as a method of these objects: `Provider(scope=...).provide(function)`
PROVIDERS = frozenset(("dishka.Provider", "dishka.provider.Provider", "dishka.provider.provider.Provider"))

# Scopes that are opened once for the whole process. [dishka] entities/scope.py
LASTING_SCOPES = frozenset(("APP", "RUNTIME"))

# Objects that are called for an inner container, and asked for what a provider gives by `get(type)`. [dishka] container
CONTAINERS = frozenset(
    (
        "dishka.make_container",
        "dishka.make_async_container",
        "dishka.Container",
        "dishka.AsyncContainer",
        "dishka.container.Container",
        "dishka.async_container.AsyncContainer",
    )
)

# Integrations of dishka, and how the functions run that their `inject` decorates.
_INTEGRATIONS = {
    "aiogram": REQUEST,
    "aiogram_dialog": REQUEST,
    "aiohttp": REQUEST,
    "arq": WORKER,
    "celery": WORKER,
    "click": CLI,
    "fastapi": REQUEST,
    "faststream": REQUEST,
    "flask": REQUEST,
    "grpcio": REQUEST,
    "litestar": REQUEST,
    "sanic": REQUEST,
    "starlette": REQUEST,
    "taskiq": WORKER,
    "telebot": REQUEST,
}
INJECT: dict[str, str] = {f"dishka.integrations.{name}.inject": context for name, context in _INTEGRATIONS.items()}
INJECT["dishka.integrations.fastapi.inject_sync"] = REQUEST
INJECT["dishka.integrations.litestar.inject_websocket"] = REQUEST

# `FromDishka[T]`: the parameter is what a provider gives for T. [dishka] entities/depends_marker.py
FROM_CONTAINER = frozenset(
    (
        "dishka.FromDishka",
        "dishka.entities.depends_marker.FromDishka",
        *(f"dishka.integrations.{name}.FromDishka" for name in ("base", *_INTEGRATIONS)),
    )
)

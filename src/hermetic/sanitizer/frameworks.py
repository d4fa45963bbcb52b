"""Where frameworks begin a request or a task, and debuggers stop: data, and what is put around it.

A framework is touched only once the program has imported it. Requests of an application mounted in another are parts of
the outer request. A websocket is no operation: its messages are. The body of a streaming WSGI response is read after
the request.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hermetic.sanitizer import patches
from hermetic.sanitizer.operations import Kind, Operation, declared, enter_lifespan, leave_lifespan
from hermetic.sanitizer.waits import stopping

if TYPE_CHECKING:
    from hermetic.sanitizer.probes import Probes

Undo = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Framework:
    """`install` gets the module once it has been imported and has `name`."""

    module: str
    name: str
    install: Callable[[Probes, Any, str], Undo]


def _asgi(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    async def __call__(self: Any, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            token = enter_lifespan()
            try:
                return await original(self, scope, receive, send)  # type: ignore[no-any-return]
            finally:
                leave_lifespan(token)
        begun = _request(probes) if scope["type"] == "http" else None

        async def sending(message: Any) -> None:
            if begun is not None and message["type"] == "http.response.start":
                begun.status = message["status"]
            await send(message)

        try:
            await original(self, scope, receive, sending)
        finally:
            probes.left(begun)

    return __call__


def _wsgi(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    def __call__(self: Any, environ: Any, start_response: Any) -> Any:
        begun = _request(probes)

        def starting(status: str, *args: Any, **kwargs: Any) -> Any:
            if begun is not None:
                begun.status = int(status[:3])
            return start_response(status, *args, **kwargs)

        try:
            return original(self, environ, starting)
        finally:
            probes.left(begun)

    return __call__


def _request(probes: Probes) -> Operation | None:
    around = declared()
    return None if around is not None and around.kind is Kind.REQUEST else probes.entered(Kind.REQUEST)


def _background(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    # It runs when the response has been sent.
    async def __call__(self: Any) -> None:
        begun = probes.entered(Kind.TASK)
        try:
            await original(self)
        finally:
            probes.left(begun)

    return __call__


def _around(method: str, make: patches.Make) -> Callable[[Probes, Any, str], Undo]:
    def install(probes: Probes, module: Any, name: str) -> Undo:
        return patches.install(probes, (patches.Patch(getattr(module, name), method, make),))

    return install


def _celery(probes: Probes, signals: Any, _: str) -> Undo:
    """Both signals are sent in the task's own context, by workers and by eager applications alike; the tracer asks
    for `task_prerun`'s receivers each time."""

    def begins(task: Any, **_: object) -> None:
        probes.entered(Kind.TASK, task.name)

    def ends(**_: object) -> None:
        around = declared()
        probes.left(around if around is not None and around.kind is Kind.TASK else None)

    signals.task_prerun.connect(begins, weak=False)
    signals.task_postrun.connect(ends, weak=False)

    def remove() -> None:
        signals.task_prerun.disconnect(begins)
        signals.task_postrun.disconnect(ends)

    return remove


FRAMEWORKS = (
    # https://www.starlette.io/applications/; FastAPI's application is one of Starlette's
    Framework("starlette.applications", "Starlette", _around("__call__", _asgi)),
    # https://www.starlette.io/background/
    Framework("starlette.background", "BackgroundTask", _around("__call__", _background)),
    # https://flask.palletsprojects.com/en/stable/api/: `wsgi_app` is what middlewares replace, `__call__` stays
    Framework("flask", "Flask", _around("__call__", _wsgi)),
    # https://docs.litestar.dev/latest/reference/app.html
    Framework("litestar.app", "Litestar", _around("__call__", _asgi)),
    # https://docs.litestar.dev/latest/usage/responses.html#background-tasks
    Framework("litestar.background_tasks", "BackgroundTask", _around("__call__", _background)),
    # https://docs.celeryq.dev/en/stable/userguide/signals.html#task-prerun
    Framework("celery.signals", "task_postrun", _celery),
    # https://docs.python.org/3/library/pdb.html; IPython's debugger and pytest's are built on it
    Framework("pdb", "Pdb", _around("interaction", stopping)),
)


class Installed:
    """The frameworks of one watch, each touched when it is first seen."""

    def __init__(self, probes: Probes) -> None:
        self._probes = probes
        self._missing = list(FRAMEWORKS)
        self._undo: list[Undo] = []

    def look(self) -> None:
        """Touch what has been imported meanwhile."""
        for framework in tuple(self._missing):
            module = sys.modules.get(framework.module)
            if hasattr(module, framework.name):
                self._missing.remove(framework)
                self._undo.append(framework.install(self._probes, module, framework.name))

    def remove(self) -> None:
        """Leave all frameworks as they were."""
        while self._undo:
            self._undo.pop()()
        self._missing = list(FRAMEWORKS)

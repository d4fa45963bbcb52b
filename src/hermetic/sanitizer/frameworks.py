"""Where frameworks begin a request or a task, loops make tasks, and debuggers stop: data, and what is put around it.

A framework is touched only once the program has imported it. Requests of an application mounted in another are parts of
the outer request. A websocket is no operation: its messages are. The body of a streaming WSGI response is read after
the request.
"""

from __future__ import annotations

import functools
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


def _job(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        begun = probes.entered(Kind.TASK)
        try:
            return original(*args, **kwargs)
        finally:
            probes.left(begun)

    return run


def _async_job(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    async def run(*args: Any, **kwargs: Any) -> Any:
        begun = probes.entered(Kind.TASK)
        try:
            return await original(*args, **kwargs)
        finally:
            probes.left(begun)

    return run


def _actor(probes: Probes, original: Callable[..., Any]) -> Callable[..., Any]:
    # A worker calls an actor as everybody may; inside of something else that is a call like any other.
    job = _job(probes, original)

    def __call__(*args: Any, **kwargs: Any) -> Any:
        return job(*args, **kwargs) if declared() is None else original(*args, **kwargs)

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


def _apscheduler(probes: Probes, base: Any, _: str) -> Undo:
    """Executors have these functions by name, a pool of processes pickles them by name, and executors that are imported
    later take over what they find, so that each is replaced by one and the same function wherever it stands."""
    made = [_everywhere(base, name, make(probes, getattr(base, name))) for name, make in APSCHEDULER.items()]

    def remove() -> None:
        for undo in made:
            undo()

    return remove


def _everywhere(base: Any, name: str, replacement: Callable[..., Any]) -> Undo:
    original = getattr(base, name)
    functools.update_wrapper(replacement, original)

    def replace(old: Any, new: Any) -> None:
        for module in [each for key, each in sys.modules.items() if key.startswith("apscheduler.executors.")]:
            if vars(module).get(name) is old:
                setattr(module, name, new)

    replace(original, replacement)
    return functools.partial(replace, replacement, original)


APSCHEDULER: dict[str, patches.Make] = {"run_job": _job, "run_coroutine_job": _async_job}

FRAMEWORKS = (
    # https://www.starlette.io/applications/; FastAPI's application is one of Starlette's
    Framework("starlette.applications", "Starlette", _around("__call__", _asgi)),
    # https://www.starlette.io/background/
    Framework("starlette.background", "BackgroundTask", _around("__call__", _async_job)),
    # https://flask.palletsprojects.com/en/stable/api/: `wsgi_app` is what middlewares replace, `__call__` stays
    Framework("flask", "Flask", _around("__call__", _wsgi)),
    # https://docs.litestar.dev/latest/reference/app.html
    Framework("litestar.app", "Litestar", _around("__call__", _asgi)),
    # https://docs.litestar.dev/latest/usage/responses.html#background-tasks
    Framework("litestar.background_tasks", "BackgroundTask", _around("__call__", _async_job)),
    # https://docs.celeryq.dev/en/stable/userguide/signals.html#task-prerun
    Framework("celery.signals", "task_postrun", _celery),
    # https://python-rq.org/docs/workers/: workers and synchronous queues perform a job
    Framework("rq.job", "Job", _around("perform", _job)),
    # https://arq-docs.helpmanual.io/#arq.worker.Worker
    Framework("arq.worker", "Worker", _around("run_job", _async_job)),
    # https://dramatiq.io/reference.html#dramatiq.Actor
    Framework("dramatiq", "Actor", _around("__call__", _actor)),
    # https://apscheduler.readthedocs.io/en/3.x/extending.html#custom-executors
    Framework("apscheduler.executors.base", "run_coroutine_job", _apscheduler),
    # https://uvloop.readthedocs.io/api/index.html: a loop of its own, no `BaseEventLoop`
    Framework("uvloop", "Loop", _around("create_task", patches.create_task)),
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

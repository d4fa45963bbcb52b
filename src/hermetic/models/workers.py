"""Task queues and schedulers: the functions that they run, and what those get.

Sources: [arq] https://arq-docs.helpmanuel.io/ and arq 0.28 worker.py, [rq] https://python-rq.org/docs/, [aps]
https://apscheduler.readthedocs.io/en/3.x/modules/schedulers/base.html, [celery]
https://docs.celeryq.dev/en/stable/userguide/, [dramatiq] https://dramatiq.io/reference.html, [saq]
https://saq-py.readthedocs.io/ and saq 0.26 worker.py, types.py, [litestar-saq] litestar_saq 0.6 config.py
"""

from __future__ import annotations

from typing import NamedTuple

from hermetic.models.frameworks import STARTUP, WORKER


class HandOver(NamedTuple):
    """A call that gives a function to a queue or scheduler: the number of that argument, and its keyword."""

    library: str
    place: int
    keyword: str


# By the last part of the callee's name.
HAND_OVERS: dict[str, HandOver] = {
    "enqueue": HandOver("rq", 0, "f"),  # [rq] Queue.enqueue(f, *args, **kwargs)
    "enqueue_at": HandOver("rq", 1, "f"),  # [rq] Queue.enqueue_at(datetime, f)
    "enqueue_in": HandOver("rq", 1, "func"),  # [rq] Queue.enqueue_in(time_delta, func)
    "enqueue_call": HandOver("rq", 0, "func"),  # [rq] Queue.enqueue_call(func)
    "add_job": HandOver("apscheduler", 0, "func"),  # [aps] add_job(func, trigger=None)
}

# Classes whose subclasses' methods of that name are jobs.
JOB_CLASSES: dict[str, str] = {
    "celery.Task": "run",  # [celery] tasks: custom task classes
    "celery.app.task.Task": "run",
    "dramatiq.GenericActor": "perform",  # [dramatiq] class-based actors
    "dramatiq.generic.GenericActor": "perform",
}

# Decorators that, with `bind=True`, pass the task itself, of the class that `base` names. [celery] tasks: bound tasks
BINDING_DECORATORS = frozenset(("task", "shared_task"))

# Decorators that make a task of a function, which a process or thread of a worker runs among others.
TASKS: dict[str, str] = {"task": "celery", "shared_task": "celery", "actor": "dramatiq"}
# What projects have run around every task: words that name a signal or a hook, base classes. [celery] signals, custom
# task classes [dramatiq] middleware
AROUND_TASKS = frozenset(("task_postrun", "task_prerun", "after_return", "ContextTask"))
TASK_CLASSES = frozenset(
    ("celery.Task", "celery.app.task.Task", "dramatiq.Middleware", "dramatiq.middleware.Middleware")
)

# Decorators of functions that a worker runs once.
SIGNALS: dict[str, str] = {
    "celery.signals.worker_init.connect": STARTUP,  # [celery] signals
    "celery.signals.worker_process_init.connect": STARTUP,
    "celery.signals.worker_ready.connect": STARTUP,
    "celery.signals.worker_process_shutdown.connect": STARTUP,
    "celery.signals.worker_shutdown.connect": STARTUP,
}


class Settings(NamedTuple):
    """How a library's worker is told its functions: context by name. The names stand in the keywords of some calls,
    and, where `told_by` is not empty, in a class or a dictionary that has one of these names."""

    calls: frozenset[str]
    names: dict[str, str]
    told_by: frozenset[str] = frozenset()


_SAQ = {
    "startup": STARTUP,
    "shutdown": STARTUP,
    "before_process": WORKER,
    "after_process": WORKER,
}
# By the root of the library's name. The first parameter of each of these functions is one dictionary: start-up fills
# it, each job gets a copy. [arq] Worker.run_job [saq] Worker.process
STATE_SETTINGS: dict[str, Settings] = {
    "arq": Settings(  # [arq] any class may hold the settings
        frozenset(("Worker",)),
        {
            "functions": WORKER,
            "cron_jobs": WORKER,
            "on_startup": STARTUP,
            "on_shutdown": STARTUP,
            "on_job_start": WORKER,
            "on_job_end": WORKER,
            "after_job_end": WORKER,
        },
        frozenset(("functions", "cron_jobs")),
    ),
    "saq": Settings(  # [saq] SettingsDict
        frozenset(("Worker",)), {"functions": WORKER, "cron_jobs": WORKER, **_SAQ}, frozenset(("functions",))
    ),
    "litestar_saq": Settings(  # [litestar-saq] QueueConfig
        frozenset(("QueueConfig",)), {"tasks": WORKER, "scheduled_tasks": WORKER, **_SAQ}
    ),
}
STATE = "arq.worker.Worker.ctx"

"""Python's own library and a few small helpers, as far as control flow and concurrency are concerned.

Sources: [py] https://docs.python.org/3/library/, [anyio] https://anyio.readthedocs.io/, [fastapi] https://fastapi.tiangolo.com/,
[starlette] https://www.starlette.io/, [asgiref] https://github.com/django/asgiref, [gevent] https://www.gevent.org/api/,
[joblib] https://joblib.readthedocs.io/en/stable/parallel.html
"""

from __future__ import annotations

# Calls that run their first argument (or the argument of that number) in another thread and wait for it.
OFFLOADS: dict[str, int] = {
    "asyncio.to_thread": 0,  # [py] asyncio-task
    "anyio.to_thread.run_sync": 0,  # [anyio] threads
    "fastapi.concurrency.run_in_threadpool": 0,  # [fastapi]
    "starlette.concurrency.run_in_threadpool": 0,  # [starlette]
    "starlette.concurrency.iterate_in_threadpool": 0,
    "asgiref.sync.sync_to_async": 0,  # [asgiref] returns an awaitable function
    "asyncer.asyncify": 0,
    "trio.to_thread.run_sync": 0,
    "sqlalchemy.util.concurrency.greenlet_spawn": 0,  # SQLAlchemy: sync code under asyncio, not blocking
    "sqlalchemy.util.greenlet_spawn": 0,
}

# Methods that do the same, on an object of whatever kind: loop.run_in_executor(executor, function, ...).
OFFLOADING_METHODS: dict[str, int] = {
    "run_in_executor": 1,  # [py] asyncio-eventloop
    "async_add_executor_job": 0,  # Home Assistant
    "run_in_threadpool": 0,
    "run_sync": 0,  # AsyncSession.run_sync, anyio
}

# Objects of these, and of classes derived from them, have other attributes in each thread.
OF_A_THREAD = frozenset(("threading.local",))  # [py] threading

# Calls whose arguments run beside each other.
CONCURRENT = frozenset(("asyncio.gather", "asyncio.wait", "asyncio.as_completed"))  # [py] asyncio-task

# Calls that start something that runs on while the caller continues.
SPAWNS: dict[str, int] = {
    "asyncio.create_task": 0,  # [py]
    "asyncio.ensure_future": 0,
    "threading.Thread": -1,  # [py] target=
    "threading.Timer": 1,
    "multiprocessing.Process": -1,
}
SPAWNING_METHODS: dict[str, int] = {
    "create_task": 0,  # asyncio.TaskGroup, loop
    "start_soon": 0,  # [anyio] task groups, trio nurseries
    "submit": 0,  # [py] concurrent.futures
}

# Pools of threads and processes.
POOLS = frozenset(
    (
        "concurrent.futures.Executor",  # [py] concurrent.futures
        "concurrent.futures.ThreadPoolExecutor",
        "concurrent.futures.ProcessPoolExecutor",
        "concurrent.futures.thread.ThreadPoolExecutor",
        "concurrent.futures.process.ProcessPoolExecutor",
        "multiprocessing.Pool",  # [py] multiprocessing
        "multiprocessing.pool.Pool",
        "multiprocessing.pool.ThreadPool",
        "multiprocessing.dummy.Pool",
        "gevent.pool.Pool",  # [gevent] gevent.pool
        "gevent.threadpool.ThreadPool",
    )
)
# Their methods that call the first argument for each item of the others, several at once; `starmap` unpacks the items.
MAPPING_METHODS = frozenset(("map", "map_async", "imap", "imap_unordered", "starmap", "starmap_async"))
UNPACKING_METHODS = frozenset(("starmap", "starmap_async"))
# Their methods that start one call: the first argument, with the arguments that the others hold.
APPLYING_METHODS = frozenset(("apply_async",))
# Their methods that wait for everything started.
ENDING_METHODS = frozenset(("join", "shutdown"))
# What calls the calls that it gets, several at once, and what prepares them. [joblib]
PARALLEL = frozenset(("joblib.Parallel",))
DELAYING = frozenset(("joblib.delayed",))

# Classes whose `start()` runs the `run()` of a subclass beside the caller.
THREADS = frozenset(
    (
        "threading.Thread",  # [py] threading
        "multiprocessing.Process",  # [py] multiprocessing
        "multiprocessing.context.Process",
        "multiprocessing.process.BaseProcess",
        "billiard.Process",  # https://github.com/celery/billiard, a fork of it
    )
)
# Of all these, those that are processes: what they get of a connection is a copy of its socket, or cannot be pickled.
# https://docs.sqlalchemy.org/en/20/core/pooling.html#using-connection-pools-with-multiprocessing-or-os-fork
PROCESSES = frozenset(
    (
        "multiprocessing.Process",
        "multiprocessing.context.Process",
        "multiprocessing.process.BaseProcess",
        "billiard.Process",
        "multiprocessing.Pool",
        "multiprocessing.pool.Pool",
        "concurrent.futures.ProcessPoolExecutor",
        "concurrent.futures.process.ProcessPoolExecutor",
    )
)
# Methods of threads, futures and results of pools that wait until they are done.
WAITING_METHODS = frozenset(("join", "result", "get", "wait", "exception"))
# Functions that wait for those that they are given.
WAITING = frozenset(("concurrent.futures.wait", "concurrent.futures.as_completed"))

# While one thread or task is in the block of one of these, the others are not.
LOCKS = frozenset(
    (
        "threading.Lock",  # [py] threading
        "threading.RLock",
        "asyncio.Lock",  # [py] asyncio-sync
        "multiprocessing.Lock",
        "multiprocessing.RLock",
        "anyio.Lock",  # [anyio] synchronization
    )
)

# Never return.
NEVER_RETURN = frozenset(
    (
        "sys.exit",
        "os._exit",
        "exit",
        "quit",
        "os.abort",
        "flask.abort",
        "flask_restful.abort",
        "werkzeug.exceptions.abort",
        "quart.abort",
        "pytest.fail",
        "pytest.skip",
        "typing.assert_never",
    )
)

# Calls that cannot fail in a way worth a path of its own: logging, containers, simple conversions of values at hand.
# This is where "what may raise" is decided for calls that are not resolved to the project: everything else may.
# Known unsoundness: `str(x)` and `len(x)` run code of `x`.
NEVER_RAISE = frozenset(
    (
        "len",
        "isinstance",
        "issubclass",
        "str",
        "repr",
        "bool",
        "id",
        "type",
        "print",
        "list",
        "dict",
        "set",
        "tuple",
        "frozenset",
        "hasattr",
        "callable",
        "super",
        "range",
        "enumerate",
        "zip",
        "sorted",
        "reversed",
        "any",
        "all",
        "min",
        "max",
        "sum",
        "getattr",
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "time.time",
        "time.monotonic",
        "time.perf_counter",
        "uuid.uuid4",
        "logging.getLogger",
        "copy.copy",
        "warnings.warn",
        "traceback.print_exc",
        "traceback.format_exc",
        "contextlib.suppress",
        "typing.cast",
        "functools.partial",
        "anyio.CancelScope",  # https://anyio.readthedocs.io/en/stable/cancellation.html#shielding
        "trio.CancelScope",  # what is cancelled in it ends with it
    )
)
# Objects none of whose methods raises. https://docs.python.org/3/library/contextvars.html#contextvars.ContextVar: but
# for a token of another context or variable
NEVER_RAISING_OBJECTS = frozenset(("contextvars.ContextVar",))
NEVER_RAISING_METHODS = frozenset(
    (
        "append",
        "extend",
        "debug",
        "info",
        "warning",
        "warn",
        "error",
        "exception",
        "critical",
        "log",
        "items",
        "keys",
        "values",
        "startswith",
        "endswith",
        "lower",
        "upper",
        "strip",
        "join",
        "format",
        "update",
        "setdefault",
        "isoformat",
        "total_seconds",
        "copy",
        "discard",
    )
)
# Methods of a map that give their second argument where there is nothing else. [py] stdtypes
DEFAULTING = frozenset(("get", "pop", "setdefault"))

# Functions that say what time it is. [py] datetime, time; the rest as documented by each project
CLOCKS = frozenset(
    """
    datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today datetime.date.today time.time
    arrow.now arrow.utcnow pendulum.now pendulum.today django.utils.timezone.now
    sqlalchemy.func.now sqlalchemy.func.current_timestamp sqlalchemy.sql.func.now
    """.split()
)

# Ways to make one object serve all callers: what is stored there lives as long as the process.
CACHING_DECORATORS = frozenset(
    (
        "functools.lru_cache",
        "functools.cache",
        "async_lru.alru_cache",
        "cachetools.cached",
        "streamlit.cache_resource",
    )
)

# Calling what these decorate gives a context manager: https://docs.python.org/3/library/contextlib.html
MANAGER_DECORATORS = frozenset(
    (
        "contextlib.contextmanager",
        "contextlib.asynccontextmanager",
        "contextlib2.contextmanager",  # https://contextlib2.readthedocs.io/
        "contextlib2.asynccontextmanager",
        "async_generator.asynccontextmanager",  # https://async-generator.readthedocs.io/
        "fastapi.concurrency.asynccontextmanager",  # contextlib's, re-exported
    )
)

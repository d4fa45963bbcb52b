"""Web frameworks, task queues and command line tools: who calls a function, and what is put into its parameters.

Sources: [fastapi] https://fastapi.tiangolo.com/reference/, [starlette] https://www.starlette.io/, [litestar]
https://docs.litestar.dev/, [flask] https://flask.palletsprojects.com/api/, [celery] https://docs.celeryq.dev/,
[rq] https://python-rq.org/docs/, [dramatiq] https://dramatiq.io/reference.html, [click]
https://click.palletsprojects.com/api/, [typer] https://typer.tiangolo.com/, [sanic] https://sanic.dev/en/, [quart]
https://quart.palletsprojects.com/, [arq] https://arq-docs.helpmanuel.io/, [pyramid] https://docs.pylonsproject.org/projects/pyramid/en/latest/api/view.html
"""

from __future__ import annotations

# Markers whose first argument is called by the framework; its result is the parameter's value.
INJECTORS = frozenset(
    (
        "fastapi.Depends",  # [fastapi] dependencies
        "fastapi.param_functions.Depends",
        "fastapi.params.Depends",
        "fastapi.Security",
        "fastapi.param_functions.Security",
        "fastapi.params.Security",
        "litestar.di.Provide",  # [litestar] usage/dependency-injection
        "litestar.params.Dependency",
        "taskiq.TaskiqDepends",  # https://taskiq-python.github.io/guide/state-and-deps.html
        "fast_depends.Depends",
        "faststream.Depends",
    )
)

# Of these, the markers of frameworks that run a generator function themselves, and enter no context manager: [fastapi]
# tutorial/dependencies/dependencies-with-yield. taskiq enters them (taskiq-dependencies 1.5.7, tried).
ENTER_NO_MANAGER = frozenset(
    (
        "fastapi.Depends",
        "fastapi.param_functions.Depends",
        "fastapi.params.Depends",
        "fastapi.Security",
        "fastapi.param_functions.Security",
        "fastapi.params.Security",
    )
)

# The routers whose routes fill a schema from what their functions return: [fastapi] tutorial/response-model
ROUTERS = frozenset(
    (
        "fastapi.FastAPI",
        "fastapi.applications.FastAPI",
        "fastapi.APIRouter",
        "fastapi.routing.APIRouter",
    )
)
# Their methods, as decorators and as a call with the function; and the keyword for the schema.
ROUTE_METHODS = frozenset(("get", "put", "post", "delete", "options", "head", "patch", "trace", "api_route"))
# By these a client asks for a change: https://www.rfc-editor.org/rfc/rfc9110.html#name-method-definitions
WRITING_METHODS = frozenset(("post", "put", "patch", "delete"))
ADD_ROUTE = "add_api_route"
RESPONSE_MODEL = "response_model"

# What runs after the endpoint has returned: class -> the place of the function among a call's arguments.
BACKGROUND_METHODS: dict[str, int] = {
    "fastapi.BackgroundTasks.add_task": 0,  # [fastapi] tutorial/background-tasks
    "fastapi.background.BackgroundTasks.add_task": 0,
    "starlette.background.BackgroundTasks.add_task": 0,  # [starlette] background
    "starlette.background.BackgroundTask": 0,
}
# Responses whose body is made, by their first argument, while it is sent.
STREAMING_RESPONSES = frozenset(
    (
        "fastapi.responses.StreamingResponse",  # [fastapi] advanced/custom-response
        "starlette.responses.StreamingResponse",  # [starlette] responses
        "sse_starlette.EventSourceResponse",  # https://github.com/sysid/sse-starlette
        "sse_starlette.sse.EventSourceResponse",
    )
)

# Contexts: how code is run.
LOOP, THREAD, REQUEST, WORKER, CLI, MIGRATION, TEST, STARTUP = (
    "event loop",
    "thread",
    "request",
    "worker",
    "command line",
    "migration",
    "test",
    "start-up",
)

# The last part of a decorator's name -> the context of what it decorates.
ROUTE_DECORATORS: dict[str, str] = {
    "get": REQUEST,  # [fastapi] APIRouter.get and the like, [flask] 2.0, [litestar] handlers
    "post": REQUEST,
    "put": REQUEST,
    "patch": REQUEST,
    "delete": REQUEST,
    "head": REQUEST,
    "options": REQUEST,
    "api_route": REQUEST,
    "websocket": REQUEST,
    "route": REQUEST,  # [flask], [starlette], litestar.route
    "middleware": REQUEST,
    "exception_handler": REQUEST,
    "errorhandler": REQUEST,
    "before_request": REQUEST,
    "after_request": REQUEST,
    "teardown_request": REQUEST,
    "teardown_appcontext": REQUEST,
    "query": REQUEST,  # strawberry, ariadne
    "mutation": REQUEST,
    "field": REQUEST,
    "subscription": REQUEST,
    "view_config": REQUEST,  # [pyramid]
}
# Base classes of commands -> the method that runs one.
COMMAND_CLASSES: dict[str, str] = {
    "cliff.command.Command": "take_action",  # https://docs.openstack.org/cliff/latest/reference/
    "cliff.lister.Lister": "take_action",
    "cliff.show.ShowOne": "take_action",
    "cleo.commands.command.Command": "handle",  # https://cleo.readthedocs.io/en/latest/
    "django.core.management.base.BaseCommand": "handle",  # https://docs.djangoproject.com/en/stable/howto/custom-management-commands/
    "flask_script.Command": "run",  # https://flask-script.readthedocs.io/en/latest/
    "traitlets.config.Application": "start",  # https://traitlets.readthedocs.io/en/stable/config.html
    "traitlets.config.application.Application": "start",
    "jupyter_core.application.JupyterApp": "start",  # https://github.com/jupyter/jupyter_core, application.py
}
# Classes whose methods are tests, or steps of tests, wherever they stand.
TEST_CASES = frozenset(
    (
        "unittest.TestCase",  # [py]
        "unittest.IsolatedAsyncioTestCase",
        "unittest.case.TestCase",
        "flask_testing.TestCase",  # https://flask-testing.readthedocs.io/
        "django.test.TestCase",  # https://docs.djangoproject.com/en/stable/topics/testing/
        "twisted.trial.unittest.TestCase",  # https://docs.twisted.org/en/stable/core/howto/trial.html
    )
)
TASK_DECORATORS: dict[str, str] = {
    "task": WORKER,  # [celery] app.task
    "shared_task": WORKER,  # [celery]
    "job": WORKER,  # [rq]
    "actor": WORKER,  # [dramatiq]
    "scheduled_job": WORKER,  # APScheduler
    "periodic_task": WORKER,
    "flow": WORKER,  # Prefect
    "activity": WORKER,
    "defn": WORKER,  # temporalio activity.defn
    "command": CLI,  # [click], [typer]
    "callback": CLI,  # [typer]
    "group": CLI,  # [click]
    "cli": CLI,
    "on_event": STARTUP,  # [fastapi], [starlette]
    "main_process_start": STARTUP,  # [sanic] guide/basics/listeners
    "before_server_start": STARTUP,
    "after_server_start": STARTUP,
    "before_server_stop": STARTUP,
    "after_server_stop": STARTUP,
    "before_serving": STARTUP,  # [quart] how_to_guides/startup_shutdown
    "after_serving": STARTUP,
    "fixture": TEST,
}

# Applications, and what of theirs holds the functions to run before they serve and after: [fastapi] advanced/events,
# [starlette] lifespan, [litestar] usage/applications (keywords, and attributes of AppConfig).
APPLICATIONS = frozenset(("FastAPI", "Starlette", "Litestar"))
# What is called on an application while it is put together: [fastapi], [starlette] applications, middleware, events.
CONFIGURING = frozenset(
    ("add_middleware", "add_event_handler", "add_exception_handler", "add_api_route", "add_route", "include_router")
)
LIFETIME_HOOKS = frozenset(("lifespan", "on_startup", "on_shutdown", "lifespan_context"))

# Library -> the attribute in which its applications, requests and web sockets keep what others put there.
STATE_ATTRIBUTES: dict[str, str] = {
    "fastapi": "state",  # [starlette] applications: storing state on the app instance; requests: other state
    "starlette": "state",
    "litestar": "state",  # [litestar] usage/applications: application state
    "sanic": "ctx",  # [sanic] guide/basics/app, guide/basics/request
}

# Their applications, and the attribute by which a request leads to its own.
APPLICATIONS = frozenset(("FastAPI", "Starlette", "Litestar", "Sanic"))
APPLICATION_OF_A_REQUEST = "app"

# Methods of a Flask application whose `with` has a Flask-SQLAlchemy session of its own.
APPLICATION_CONTEXTS = frozenset(
    (
        "app_context",  # [flask] Flask.app_context
        "test_request_context",  # [flask]
    )
)

# Decorators of functions that run when a request has been answered.
AFTER_REQUEST = frozenset(
    (
        "after_request",  # [flask]
        "after_app_request",
        "teardown_request",
        "teardown_app_request",
        "teardown_appcontext",
        "middleware",  # [starlette]
    )
)

# Classes whose methods a framework calls by HTTP verb.
VIEW_CLASSES = frozenset(
    (
        "flask.views.MethodView",  # [flask]
        "flask.views.View",
        "flask_restful.Resource",  # https://flask-restful.readthedocs.io/
        "flask_restx.Resource",  # https://flask-restx.readthedocs.io/
        "starlette.endpoints.HTTPEndpoint",  # [starlette]
        "litestar.Controller",  # [litestar]
        "litestar.controller.Controller",
        "tornado.web.RequestHandler",  # https://www.tornadoweb.org/
        "aiohttp.web.View",  # https://docs.aiohttp.org/
        "flask_appbuilder.api.BaseApi",
        "flask_appbuilder.api.ModelRestApi",
    )
)
# Those of which every request gets an instance of its own.
MADE_FOR_A_REQUEST = frozenset(
    (
        "flask.views.MethodView",  # [flask] views: view lifetime and self, init_every_request
        "flask.views.View",
        "flask_restful.Resource",
        "flask_restx.Resource",
        "starlette.endpoints.HTTPEndpoint",  # [starlette] endpoints
        "tornado.web.RequestHandler",  # https://www.tornadoweb.org/en/stable/web.html: entry points
        "aiohttp.web.View",  # https://docs.aiohttp.org/en/stable/web_quickstart.html: class based views
    )
)
VIEW_METHODS = frozenset(("get", "post", "put", "patch", "delete", "head", "options", "dispatch_request", "dispatch"))

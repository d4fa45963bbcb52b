"""The plugin of pytest: its options, and its start. Importing it loads neither SQLAlchemy nor the sanitizer."""

from __future__ import annotations

import sys

import pytest

from hermetic.integrations import pytest_options
from hermetic.integrations.pytest_options import Options

NAME = "hermetic-running"


def pytest_addoption(parser: pytest.Parser) -> None:
    pytest_options.add(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Begin before the first conftest.py, which may import the application and make its engines."""
    _try_to_begin(early_config)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", 'hermetic(ignore, reason): findings of these rules do not concern the test, as ignore=["SES006"]'
    )
    _try_to_begin(config)


def _try_to_begin(config: pytest.Config) -> None:
    """A mistake of hermetic's own leaves the tests unwatched, and that is all."""
    try:
        _begin(config)
    except Exception as error:
        if isinstance(error, pytest.UsageError):
            raise
        from hermetic.sanitizer.evidence import mistake

        print(f"hermetic made a mistake and watches nothing: {mistake(error)}", file=sys.stderr)


def _begin(config: pytest.Config) -> None:
    if config.pluginmanager.hasplugin(NAME):
        return
    options = pytest_options.read(config)
    if options.mode == "off":
        return
    from hermetic.integrations.pytest_running import Running

    config.pluginmanager.register(Running(options, _baseline(options)), NAME)


def _baseline(options: Options) -> frozenset[str]:
    if options.baseline is None or options.updates_baseline:
        return frozenset()
    from hermetic.report.baseline import BaselineError, read

    try:
        return read(options.baseline)
    except BaselineError as error:
        raise pytest.UsageError(str(error)) from None

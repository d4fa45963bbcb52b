"""The trace of a run of tests: one file, which the workers of pytest-xdist have a part in.

A worker is told where to leave its events by a directory that both can name: its conftest.py runs before xdist has told
it anything but the environment variables used here.
https://pytest-xdist.readthedocs.io/en/stable/how-to.html#identifying-the-worker-process-during-a-test
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hermetic.integrations.pytest_options import Options

if TYPE_CHECKING:
    from hermetic.sanitizer.tracing import Recorder


def recorder(options: Options) -> Recorder | None:
    """What records this process's part of the trace, if one is asked for. Raises pytest.UsageError if it cannot."""
    if options.trace is None:
        return None
    from hermetic.sanitizer.children import Children
    from hermetic.sanitizer.tracing import Recorder

    shared = _directory(os.environ.get("PYTEST_XDIST_TESTRUNUID", ""))
    worker = os.environ.get("PYTEST_XDIST_WORKER", "") if shared.is_dir() else ""
    command = f"pytest {worker}" if worker else "pytest"
    try:
        return Recorder(options.trace, command, str(options.root), Children(shared, is_child=True) if worker else None)
    except OSError as error:
        raise pytest.UsageError(f"--hermetic-trace: cannot write {error.filename}: {error.strerror}") from None


def expect_workers(recorder: Recorder, run: str) -> None:
    """Workers of the run of this name are about to be started; called once for each."""
    from hermetic.sanitizer.children import Children

    directory = _directory(run)
    if not directory.is_dir():
        directory.mkdir(mode=0o700)
        recorder.expect(Children(directory))


def _directory(run: str) -> Path:
    return Path(tempfile.gettempdir(), f"hermetic-{run}")

"""The plugin at work in one process: it tells the watch who is running, and charges findings to who caused them.

Nothing of hermetic's own that goes wrong here reaches the tests: each hook does its work through `guarded`, which
notes mistakes for the summary. `__tracebackhide__` keeps the hooks around fixtures and tests out of what pytest shows
of a failure.
"""

from __future__ import annotations

import functools
import gc
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import pytest

from hermetic.integrations import pytest_expected, pytest_options, pytest_scopes, pytest_summary, pytest_tracing
from hermetic.integrations.on_import import when_imported
from hermetic.integrations.pytest_charges import Charges, from_plain
from hermetic.integrations.pytest_options import Options
from hermetic.integrations.pytest_scopes import Scopes
from hermetic.integrations.pytest_summary import Drawing, Seen

if TYPE_CHECKING:
    from hermetic.sanitizer.watch import Report, Watch

P = ParamSpec("P")

TOO_OLD = ("0.", "1.")  # versions of SQLAlchemy
CARRIED = "hermetic"  # what a test's report carries, and a worker's output: it travels between processes


def guarded(work: Callable[Concatenate[Running, P], None]) -> Callable[Concatenate[Running, P], None]:
    """Work of the plugin beside the tests: a mistake in it is noted, and the tests go on.

    The collector waits meanwhile. What is imported here is parsed by pytest, and the parser of Python 3.11 cannot be
    entered twice: the traceback of an error in a finalizer, as of a connection that nobody returned, is parsed as well.
    """

    @functools.wraps(work)
    def run(self: Running, /, *args: P.args, **kwargs: P.kwargs) -> None:
        collecting = gc.isenabled()
        gc.disable()
        try:
            work(self, *args, **kwargs)
        except Exception as error:
            from hermetic.sanitizer.evidence import mistake

            self.seen.mistakes.append(mistake(error))
        finally:
            if collecting:
                gc.enable()

    return run


class Running:
    """The hooks of a run. The watch starts when the tests or what they test import SQLAlchemy."""

    def __init__(self, options: Options, baseline: frozenset[str]) -> None:
        self.options = options
        self.seen = Seen()
        self.watch: Watch | None = None
        self._scopes = Scopes()
        self._charges = Charges(options, baseline)
        self._drawing = Drawing(str(options.start))
        self._ran: set[str] = set()  # tests of this process
        self._test_files: set[str] = set()
        self._swept: set[Path] = set()  # test files after which garbage was collected
        self._began = time.perf_counter()
        self._recorder = pytest_tracing.recorder(options)
        self._forget_import = when_imported("sqlalchemy", self._start)
        self._forget_expected: Callable[[], None] | None = None

    @guarded
    def _start(self) -> None:
        version = str(getattr(sys.modules["sqlalchemy"], "__version__", ""))
        if version.startswith(TOO_OLD):
            self.seen.notes.append(f"SQLAlchemy {version} is too old to be watched; 2.0 is the oldest")
            return
        from hermetic.integrations.sources import installed_copies
        from hermetic.sanitizer.detector import Mode
        from hermetic.sanitizer.stacks import add_applications
        from hermetic.sanitizer.watch import Watch

        add_applications(installed_copies(self.options.root))
        observers = [self._recorder.observer] if self._recorder is not None else []
        watch = Watch(
            Mode.TESTS, self._reported, idle=self.options.idle, root=str(self.options.root), observers=observers
        )
        self.watch = watch.start()
        self._at_work()
        self._tell_test_files()

    @guarded
    def _reported(self, report: Report) -> None:
        self._charges.add(report, self._scopes.test)

    @guarded
    def _at_work(self) -> None:
        """Tell the watch who is."""
        if self.watch is not None:
            self.watch.scope = self._scopes.present

    # Tests

    @pytest.hookimpl
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self._test_files.update(str(item.path) for item in items)
        self._tell_test_files()
        self._listen_for_expected()

    @guarded
    def _tell_test_files(self) -> None:
        if self.watch is not None:
            from hermetic.sanitizer.operations import add_test_files

            add_test_files(self._test_files)

    @guarded
    def _listen_for_expected(self) -> None:
        if self._forget_expected is None:
            self._forget_expected = pytest_expected.listen(self._expected)

    @guarded
    def _expected(self, block: Any, error: BaseException) -> None:
        for each in pytest_expected.named(block, error):
            self._charges.expected(each)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        self._scopes.begin(item.nodeid)
        self._at_work()
        try:
            return (yield)
        finally:
            self._scopes.begin("")
            self._at_work()
            if nextitem is None or (nextitem.path != item.path and item.path not in self._swept):
                self._swept.add(item.path)
                self._collect_garbage()

    @guarded
    def _collect_garbage(self) -> None:
        """What is open in a cycle of garbage would be found in the middle of another test. Once a file, in whatever
        order its tests run: it takes 25 ms."""
        if self.watch is not None and self.watch.ledger.open:
            gc.collect()
            self.watch.drain()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._begin(item.nodeid, pytest_options.ignored_by(item.iter_markers("hermetic")))

    @guarded
    def _begin(self, test: str, ignored: frozenset[str]) -> None:
        self._charges.mark(test, ignored)
        if self.watch is not None:
            self.watch.begin_test()
            if test in self._ran:
                self.watch.forget(test)
        self._ran.add(test)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        __tracebackhide__ = True
        try:
            return (yield)
        finally:
            self._end()

    @guarded
    def _end(self) -> None:
        """The fixtures of the test are gone: what it has left open, nobody closes any more."""
        if self.watch is not None:
            for scope in (*self._scopes.of_test, self._scopes.test):
                self.watch.end_scope(scope)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        self._judge(item, call, report)
        return report

    @guarded
    def _judge(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        if report.when == "setup" and report.passed:
            return  # the test itself is still to come, and is the better place to fail
        charges = self._charges.take(call.excinfo.value if call.excinfo is not None else None)
        if not charges:
            return
        setattr(report, CARRIED, [charge.as_plain() for charge in charges])
        text = self._drawing.of_test(charges)
        if report.failed:
            report.sections.append(("hermetic", text))
        elif not hasattr(report, "wasxfail") and any(
            charge.finding.severity in self.options.fails for charge in charges
        ):
            report.outcome = "failed"
            report.longrepr = _as_failure(item, text)

    # Fixtures

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        __tracebackhide__ = True
        scope = pytest_scopes.of_fixture(fixturedef, request)
        fixturedef.addfinalizer(functools.partial(self._leave, scope, is_over=True))  # the first is the last to run
        self._enter(scope)
        try:
            return (yield)
        finally:
            self._leave(scope)
            fixturedef.addfinalizer(functools.partial(self._enter, scope))
            self._are_fixtures_of(fixturedef.func)

    @guarded
    def _enter(self, scope: str) -> None:
        self._scopes.enter(scope)
        self._at_work()

    @guarded
    def _leave(self, scope: str, is_over: bool = False) -> None:
        self._scopes.leave(scope)
        self._at_work()
        if is_over and not pytest_scopes.test_of(scope) and self.watch is not None:
            self.watch.end_scope(scope)

    @guarded
    def _are_fixtures_of(self, function: Any) -> None:
        """A file that defines fixtures is test code, whatever it is called."""
        code = getattr(function, "__code__", None)
        if code is not None and code.co_filename not in self._test_files:
            self._test_files.add(code.co_filename)
            self._tell_test_files()

    # The whole run

    @pytest.hookimpl
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._measure(session.config)

    @guarded
    def _measure(self, config: pytest.Config) -> None:
        if config.pluginmanager.hasplugin("terminalreporter"):  # a worker has none
            self._drawing.width = config.get_terminal_writer().fullwidth

    @pytest.hookimpl
    def pytest_report_header(self) -> str:
        if find_spec("sqlalchemy") is None:
            return "hermetic: SQLAlchemy is not installed; there is nothing to watch"
        fails = {"fail": "every finding fails", "errors": "errors fail", "warn": "no finding fails"}[self.options.mode]
        return f"hermetic: sessions are watched; {fails} the test that caused it"

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seen.tests.add(report.nodeid)
        self._add_carried(getattr(report, CARRIED, ()))

    @guarded
    def _add_carried(self, plain: Iterable[dict[str, Any]]) -> None:
        self.seen.charges += map(from_plain, plain)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        self._expect_worker(node.workerinput["testrunuid"])

    @guarded
    def _expect_worker(self, run: str) -> None:
        if self._recorder is not None:
            pytest_tracing.expect_workers(self._recorder, run)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._add_worker(getattr(node, "workeroutput", {}).get(CARRIED, {}))

    @guarded
    def _add_worker(self, output: dict[str, Any]) -> None:
        late = list(map(from_plain, output.get("late", ())))
        self.seen.charges += late
        self.seen.late += late
        self.seen.silenced += Counter(output.get("silenced", {}))
        self.seen.mistakes += output.get("mistakes", ())
        self.seen.notes += [note for note in output.get("notes", ()) if note not in self.seen.notes]
        self.seen.sessions += output.get("sessions", 0)
        self.seen.statements += output.get("statements", 0)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        try:
            return (yield)
        finally:
            self._conclude()
            late = any(charge.finding.severity in self.options.fails for charge in self.seen.late)
            if late and not hasattr(session.config, "workerinput"):
                session.testsfailed += 1  # no report tells it, so the exit code has to

    @guarded
    def _conclude(self) -> None:
        """No more tests will run, nor those of the workers."""
        seen, watch = self.seen, self.watch
        self._collect_garbage()
        seen.charges += self._charges.late
        seen.late += self._charges.late
        seen.silenced += self._charges.silenced
        if watch is not None:
            seen.mistakes += [watch.last_error] * watch.errors
            seen.sessions += watch.ledger.sessions_made
            seen.statements += watch.ledger.statements

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._end_trace()
        config = session.config
        if hasattr(config, "workerinput"):
            config.workeroutput[CARRIED] = pytest_summary.as_plain(self.seen)  # type: ignore[attr-defined]
        elif not config.option.collectonly:
            self._write(session)

    @guarded
    def _end_trace(self) -> None:
        if self._recorder is None:
            return
        try:
            missing = self._recorder.close()
        except OSError as error:
            missing = error.strerror or type(error).__name__
        if missing:
            self.seen.notes.append(f"The trace {self.options.trace} is not complete: {missing}")

    @guarded
    def _write(self, session: pytest.Session) -> None:
        from hermetic.integrations import pytest_output

        seconds = time.perf_counter() - self._began
        if not pytest_output.write(self.options, self.seen, seconds):
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not terminalreporter.config.option.collectonly:
            self._print(terminalreporter)

    @guarded
    def _print(self, terminal: pytest.TerminalReporter) -> None:
        pytest_summary.write(terminal, self.seen, self.options.fails, self._drawing)

    @pytest.hookimpl
    def pytest_unconfigure(self) -> None:
        self._stop()

    @guarded
    def _stop(self) -> None:
        self._forget_import()
        if self._forget_expected is not None:
            self._forget_expected()
        if self.watch is not None:
            self.watch.stop()


def _as_failure(item: pytest.Item, text: str) -> Any:
    """The text as what a failed test reports, in the shape that pytest gives to failures."""
    try:
        pytest.fail(text, pytrace=False)
    except pytest.fail.Exception:
        return item.repr_failure(pytest.ExceptionInfo.from_current())

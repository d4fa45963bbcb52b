"""`watch`: the run-time half switched on, and what it found."""

from __future__ import annotations

import logging
import os
import pkgutil
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

from hermetic.finding import Finding, Severity
from hermetic.sanitizer import detectors as detector_package, evidence
from hermetic.sanitizer.clock import perf_counter
from hermetic.sanitizer.detector import Detector, Mode
from hermetic.sanitizer.evidence import Act
from hermetic.sanitizer.ledger import Ledger, SessionRecord
from hermetic.sanitizer.operations import Calls, Operation, declared, set_root
from hermetic.sanitizer.stacks import Frames
from hermetic.sanitizer.watchdog import Watchdog

if TYPE_CHECKING:
    from hermetic.sanitizer.probes import Probes

log = logging.getLogger("hermetic")

MOST_FINDINGS = 1000  # kept by a watch; the oldest go
MOST_KNOWN = 4096  # places that were reported before, so that each is reported once

_active: list[Watch] = []  # the last one watches; those below it wait


@dataclass(frozen=True, slots=True)
class Report:
    """A finding, the test or other span that caused it ("" outside of any), and the error that the application is about
    to see because of it. Whoever keeps that error keeps what its frames hold alive."""

    finding: Finding
    scope: str
    error: BaseException | None = None


class Watch:
    """A running watch. Made by `hermetic.watch`; a context manager that stops it at its end.

    One watch is active at a time in a process: another one started meanwhile takes over, its observers included, until
    it stops.
    """

    def __init__(
        self,
        mode: Mode,
        on_report: Callable[[Report], None],
        *,
        idle: float = 0.5,
        held: float = 30.0,
        sample: float | None = None,
        ignore: Collection[str] = (),
        root: str = "",
        observers: Collection[Detector] = (),
    ) -> None:
        self.mode = mode
        self.idle = idle  # seconds in a transaction without a statement that make a finding
        self.held = held  # seconds out of the pool that make one
        self.sample = sample  # the share of the connections whose stacks are taken in production; None for a limit
        self.root = root or os.getcwd()
        self.ledger = Ledger()
        self.calls = Calls()
        self._scope = ""
        self.test_began = 0.0  # of the clock; what a session of several tests did before was for another one
        self.findings: deque[Finding] = deque(maxlen=MOST_FINDINGS)
        self.errors = 0  # of hermetic's own, swallowed
        self.last_error = ""
        self.pool_timeouts = 0
        self._on_report = on_report
        self._ignored = frozenset(ignore)
        self._known: OrderedDict[tuple[Any, ...], None] = OrderedDict()
        self._lock = threading.RLock()
        self._probes: Probes | None = None
        self.detectors = tuple(each for each in load() if mode in each.modes and each.code not in self._ignored)
        self.observers = tuple(observers)
        self.was_taken_over = False
        self.watchdog = Watchdog(self) if mode is Mode.PRODUCTION else None

    @property
    def scope(self) -> str:
        """The test, fixture or other span that is running; "" outside of any."""
        return self._scope

    @scope.setter
    def scope(self, scope: str) -> None:
        self._scope = scope
        if self._probes is not None and self in _active:
            self._probes.look_for_frameworks()

    def operation(self, frames: Frames) -> Operation | None:
        """What the act with these frames, up to the test, belongs to: the request, task or block that is running, else
        the function that the test calls."""
        return declared() or self.calls.of(frames, self._scope)

    def start(self) -> Self:
        """Begin to watch; the watch that was active until now waits. Raises ImportError without SQLAlchemy."""
        from hermetic.sanitizer.probes import Probes

        with self._lock:
            if self not in _active:
                if _active:
                    self.observers += _active[-1].observers
                    _active[-1].was_taken_over = True
                    _active[-1]._pause()
                _active.append(self)
                self._probes = Probes(self, self.observers + self.detectors)
                self._resume()
        return self

    def stop(self) -> None:
        """Report what the collector has found meanwhile, and leave SQLAlchemy as it was. Twice does no harm."""
        if self.watchdog is not None:
            self.watchdog.stop()
        with self._lock:
            if self not in _active:
                return
            self.drain()
            was_last = _active[-1] is self
            _active.remove(self)
            self._pause()
            if was_last and _active:
                _active[-1]._resume()

    def _pause(self) -> None:
        if self._probes is not None:
            self._probes.remove()
        if self.watchdog is not None:
            self.watchdog.stop(wait=False)

    def _resume(self) -> None:
        set_root(self.root)
        if self._probes is not None:
            self._probes.install()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def drain(self) -> None:
        """Judge the sessions that the garbage collector has found; it runs anywhere, so it only notes them."""
        collected = self.ledger.collected
        while collected and self._probes is not None:
            record = collected.popleft()
            if record.is_open:
                self._probes.tell("collected", record)
                self.ledger.ended(record)

    def tell(self, moment: str, *details: object) -> None:
        """Ask the detectors that listen to a moment which no act of the application's brings about."""
        if self._probes is not None:
            self._probes.tell(moment, *details)

    def begin_test(self) -> None:
        """Another test begins: that a session has been left alone until now is no wait of what it tests."""
        self.test_began = perf_counter()

    def end_scope(self, scope: str) -> None:
        """A test or another span is over: what it has left open is judged now."""
        self.drain()
        self.tell("scope_ended", scope)

    def forget(self, scope: str) -> None:
        """A test or another span runs again: what it is charged with is reported again."""
        with self._lock:
            for key in [key for key in self._known if key[1] == scope]:
                del self._known[key]

    def report(
        self,
        rule: str,
        severity: Severity,
        message: str,
        acts: Sequence[Act],
        *,
        at: int,
        help_text: str,
        scope: str | None = None,
        session: SessionRecord | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Report a finding at the act with the index `at`, once per place and scope; nothing if no application
        code did it. `scope` is the one that caused it, by default the present one; `session` is what it is about, and
        `error` what is being raised."""
        charged = self.scope if scope is None else scope
        key = (rule, charged, *(act.frames[:1] for act in acts))
        with self._lock:
            if key in self._known or rule in self._ignored:
                return
            self._known[key] = None
            if len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
            finding = evidence.finding(rule, severity, message, acts, at, help_text, self.root)
            if finding is None:
                return
            self.findings.append(finding)
        if self._probes is not None:
            self._probes.tell("reported", finding, session)
        self._on_report(Report(finding, charged, error))

    def explain(self, error: BaseException, rule: str, message: str, acts: Sequence[Act]) -> None:
        """Add a finding as a note to the exception that the application is about to see."""
        if rule not in self._ignored:
            error.add_note(evidence.note(rule, message, acts, self.root))

    def pool_failed(self, pool: Any, error: Exception) -> None:
        """A pool had nothing to give: its error says who holds its connections, once, and so does the log."""
        from sqlalchemy.exc import TimeoutError as PoolTimeout

        from hermetic.sanitizer import live

        if not isinstance(error, PoolTimeout) or any(live.TITLE in note for note in getattr(error, "__notes__", ())):
            return
        self.pool_timeouts += 1
        note = live.explain(self, pool)
        error.add_note(note)
        log.warning("%s", note)
        self.tell("pool_timed_out", pool)

    def forked(self) -> None:
        """In a child process: what its parent holds is not its own, nor are the parent's locks and threads."""
        self._lock = threading.RLock()
        self.ledger = self.ledger.after_fork()
        self.watchdog = Watchdog(self) if self.watchdog is not None else None
        if self._probes is not None:
            self._probes.ledger, self._probes.watchdog = self.ledger, self.watchdog

    def swallowed(self, error: Exception) -> None:
        """Count a mistake of hermetic's own. The text of the error is not kept: it may quote values."""
        self.errors += 1
        self.last_error = evidence.mistake(error)
        log.debug("hermetic made a mistake: %s", self.last_error)


def _before_fork() -> None:
    # A child inherits no thread but the one that forks, and Python warns of forks with threads.
    for each in _active:
        if each.watchdog is not None:
            each.watchdog.stop()


def _after_fork_in_parent() -> None:
    for each in _active[-1:]:
        if each.watchdog is not None and each.ledger.holds:
            each.watchdog.ensure()


def _after_fork_in_child() -> None:
    for each in _active:
        each.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


def load() -> tuple[Detector, ...]:
    """Every detector, by its rule's code."""
    modules = [
        import_module(info.name)
        for info in pkgutil.iter_modules(detector_package.__path__, f"{detector_package.__name__}.")
    ]
    return tuple(sorted((module.DETECTOR for module in modules), key=lambda detector: detector.code))


def current() -> Watch | None:
    """The active watch."""
    return _active[-1] if _active else None


def watch(
    mode: str = "tests",
    on_finding: Callable[[Finding], None] | None = None,
    *,
    idle_ms: float = 500,
    held_ms: float = 30_000,
    sample: float | None = None,
    telemetry: bool = False,
    ignore: Collection[str] = (),
    root: str | os.PathLike[str] | None = None,
) -> Watch:
    """Watch the sessions of this process from now on, whichever engines they use, made before or after.

    :param mode: "tests" runs every detector; "production" only what costs next to nothing.
    :param on_finding: called with each `Finding`, once per place; by default it is logged as a warning to `hermetic`.
        In production it may be called in a thread of the watch, while the garbage collector rests.
    :param idle_ms: milliseconds for which a transaction may wait for something else than the database.
    :param held_ms: milliseconds for which a connection may stay out of its pool (production).
    :param sample: the share of the connections whose stacks are taken (production); the others are watched without. By
        default all, up to a hundred a second, and of more than that a share.
    :param telemetry: record OpenTelemetry metrics and log records, with what the application has set up globally.
    :param ignore: codes of rules that are not reported.
    :param root: the directory that paths are shown relative to; by default the working directory.
    :returns: a handle with `stop()` and `findings`; it is a context manager.
    :raises ValueError: for an unknown mode, and for a share that is not above 0 and at most 1.
    :raises ImportError: where SQLAlchemy is not installed, or OpenTelemetry for `telemetry`: `hermetic[otel]`.
    """
    if mode not in list(Mode):
        raise ValueError(f"mode is {mode!r}; it is one of: {', '.join(Mode)}")
    if sample is not None and not 0 < sample <= 1:
        raise ValueError(f"sample is {sample!r}; it is a share above 0 and at most 1")

    def tell(report: Report) -> None:
        (on_finding or _log)(report.finding)

    made = Watch(
        Mode(mode),
        tell,
        idle=idle_ms / 1000,
        held=held_ms / 1000,
        sample=sample,
        ignore=ignore,
        root=os.fspath(root) if root else "",
        observers=_telemetry() if telemetry else (),
    )
    return made.start()


def _telemetry() -> tuple[Detector, ...]:
    try:
        from hermetic.sanitizer import telemetry
    except ModuleNotFoundError as error:
        raise ImportError("telemetry needs OpenTelemetry: pip install hermetic[otel]") from error
    return (telemetry.observer(),)


def _log(finding: Finding) -> None:
    at = finding.at
    log.warning("%s:%s: %s %s", at.path, at.line, finding.rule, finding.message)

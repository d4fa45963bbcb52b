"""`hermetic run`: a program with its sessions watched."""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import signal
import sys
import threading
import time
from argparse import Namespace
from pathlib import Path
from types import FrameType
from typing import NoReturn

from hermetic import files, rules
from hermetic.cli import program, terminal
from hermetic.finding import Finding, Severity
from hermetic.integrations.sources import installed_copies
from hermetic.report import json as json_report, suppress
from hermetic.report.results import Results, Summary
from hermetic.report.runtime import finding_of
from hermetic.report.text import render_findings
from hermetic.sanitizer.children import Children
from hermetic.sanitizer.detector import Mode
from hermetic.sanitizer.stacks import add_applications
from hermetic.sanitizer.tracing import Recorder
from hermetic.sanitizer.watch import Report, Watch
from hermetic.settings import SettingsError, matching_codes

FINDINGS, USAGE = 1, 2


def run(options: Namespace) -> int:
    """Run a program, then print what was found. Raises `terminal.Ended` when the program has ended."""
    words = options.module or options.program
    if not words:
        return _refuse("what is to be run? Name a script, or a module with -m")
    try:
        watched = _Watched(options)
    except (SettingsError, OSError, ImportError) as error:
        return _refuse(_reason(error))
    gc.enable()  # `process` has switched it off, and the program counts on it
    name, *arguments = words
    try:
        ended = (program.run_module if options.module else program.run_script)(name, arguments)
    except program.ProgramError as error:
        watched.finish(judges=False, shows=False)
        return _refuse(str(error))
    _as_python_ends()
    errors = watched.finish(judges=True)
    code = FINDINGS if errors and not ended.code and not options.exit_zero else ended.code
    raise terminal.Ended(code, ended.interrupted)


def _refuse(message: str) -> int:
    print(f"hermetic: {message}", file=sys.stderr)
    return USAGE


def _reason(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"there is nothing to watch: {error}"
    if isinstance(error, OSError):
        return f"cannot write {error.filename}: {error.strerror}"
    return str(error)


def _as_python_ends() -> None:
    """What the interpreter does before it takes modules apart, here already: what is open after it is left open.

    Both functions are what the interpreter itself calls, and do nothing the second time.
    """
    with contextlib.suppress(KeyboardInterrupt):
        threading._shutdown()  # type: ignore[attr-defined] # waits for threads that are no daemons
    atexit._run_exitfuncs()


class _Watched:
    """The watch of a run, what it has found in this process and those forked from it, and what is made of that."""

    def __init__(self, options: Namespace) -> None:
        """Start to watch. Raises SettingsError for a rule that does not exist, OSError for a file that cannot be
        written, ImportError without SQLAlchemy."""
        from hermetic.sanitizer import probes  # noqa: F401 - raises without SQLAlchemy, before anything is begun

        known = tuple(rule.code for rule in rules.load())
        ignored = [code for given in options.ignore or () for code in matching_codes(given, known)]
        self._began = time.perf_counter()
        self._root = os.getcwd()
        self._report = Path(os.path.abspath(options.report)) if options.report else None
        self._found: dict[str, Finding] = {}  # by fingerprint
        self._forks = 0
        self._is_finished = False
        self._recorder = Recorder(Path(options.trace), _command(options), self._root) if options.trace else None
        self._children = Children()
        observers = [self._recorder.observer] if self._recorder is not None else []
        add_applications(installed_copies(Path(self._root)))
        self._watch = Watch(
            Mode(options.mode), self._add, idle=options.idle_ms / 1000, ignore=ignored, observers=observers
        ).start()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_parent=self._forked, after_in_child=self._has_been_forked)
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._terminated)

    def finish(self, judges: bool, shows: bool = True) -> int:
        """Stop, print and write what there is, and return the number of errors. What is still open is only a leak
        if the program has come to its end: `judges`."""
        if self._is_finished:
            return 0
        self._is_finished = True
        gc.collect()
        if judges:
            self._watch.end_scope("")
        self._watch.stop()
        if self._children.is_child:
            return 0
        self._take_from_children()
        findings = tuple(sorted(self._found.values(), key=lambda each: (each.at, each.rule, each.message)))
        errors = sum(finding.severity == Severity.ERROR for finding in findings)
        notes = self._write(findings, errors)
        if shows:
            self._show(findings, errors, notes)
        return errors

    def _add(self, report: Report) -> None:
        finding = report.finding
        if finding.severity == Severity.HINT or suppress.excuses(finding, self._root):
            return
        if self._children.is_child:
            self._children.leave(json.dumps(json_report.as_dict(finding)) + "\n")
        else:
            self._found.setdefault(finding.fingerprint, finding)

    def _take_from_children(self) -> None:
        for file in self._children.files():
            for line in file.read_text().splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):  # a child that was killed as it wrote
                    finding = finding_of(json.loads(line))
                    self._found.setdefault(finding.fingerprint, finding)
        self._children.remove()

    def _write(self, findings: tuple[Finding, ...], errors: int) -> list[str]:
        """Write report and trace; what to say about them."""
        notes = []
        try:
            if self._recorder is not None:
                missing = self._recorder.close()
                if missing:
                    notes.append(f"the trace is not complete: {missing}")
            if self._report is not None:
                files.write(self._report, self._as_json(findings, errors) + "\n")
        except OSError as error:
            notes.append(f"cannot write {error.filename or 'a file'}: {error.strerror}")
        return notes

    def _as_json(self, findings: tuple[Finding, ...], errors: int) -> str:
        ledger = self._watch.ledger
        summary = Summary(0, 0, ledger.sessions_made, 0, errors, len(findings) - errors, self._seconds())
        return json_report.render(Results(findings, (), summary), {finding.fingerprint: () for finding in findings})

    def _seconds(self) -> float:
        return time.perf_counter() - self._began

    def _show(self, findings: tuple[Finding, ...], errors: int, notes: list[str]) -> None:
        stream = sys.__stderr__
        if stream is None:
            return
        lines = [f"hermetic: {note}" for note in notes]
        if findings:
            lines.append(render_findings(findings, terminal.styles_for(stream), self._root))
            lines.append(f"More about a rule: hermetic explain {findings[0].rule}")
        if findings or not self._watch.was_taken_over:  # whoever took over has told what it saw
            lines.append(f"hermetic: {self._verdict(len(findings), errors)}")
        with contextlib.suppress(OSError, ValueError):  # the program has closed it, or nobody reads it
            stream.writelines(f"{line}\n" for line in lines)
            stream.flush()

    def _verdict(self, found: int, errors: int) -> str:
        ledger = self._watch.ledger
        counts = [_count(errors, "error")] if errors else []
        counts += [_count(found - errors, "warning")] if found > errors else []
        seen = f"{_count(ledger.sessions_made, 'session')}, {_count(ledger.statements, 'statement')} watched"
        if self._forks:
            seen += f", besides those of {_count(self._forks, 'forked process')}"
        if self._watch.errors:
            seen += f"; {_count(self._watch.errors, 'mistake')} of hermetic's own, the last {self._watch.last_error}"
        return f"{' and '.join(counts) or 'nothing to report'}: {seen}"

    def _forked(self) -> None:
        self._forks += 1

    def _has_been_forked(self) -> None:
        """Workers of multiprocessing and of celery leave through `os._exit`, past everything that runs at an exit."""
        leave = os._exit

        def judge_and_leave(status: int) -> NoReturn:
            try:
                self.finish(judges=True)
            finally:
                leave(status)

        os._exit = judge_and_leave

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        """SIGTERM, which nobody handles: the program dies of it as it would have, after what was found is told."""
        try:
            if not self._children.is_child:
                self.finish(judges=False)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)


def _command(options: Namespace) -> str:
    """The program by its name. Its arguments are left out: there may be passwords in them."""
    return f"-m {options.module[0]}" if options.module else str(options.program[0])


def _count(number: int, noun: str) -> str:
    plural = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{plural}"

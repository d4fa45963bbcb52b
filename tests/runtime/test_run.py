"""`hermetic run`: what is found, what is printed and written, and with which exit code."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from shell import hermetic

from runtime.programs import APP, LEAK, MADE, PYTEST, found, run, started


def test_a_leak(tmp_path: Path) -> None:
    ended = run(tmp_path, {"app.py": LEAK}, "app.py")

    assert ended.returncode == 1
    assert ended.stdout == "1\n"
    assert "error[SES001] session-not-closed" in ended.stderr
    assert f"--> app.py:{MADE}:" in ended.stderr
    assert "1 error: 1 session, 1 statement watched" in ended.stderr


def test_nothing_to_report(tmp_path: Path) -> None:
    ended = run(tmp_path, {"app.py": APP + "\nwith Session(engine) as session:\n    print(one(session))\n"}, "app.py")

    assert ended.returncode == 0
    assert ended.stderr == "hermetic: nothing to report: 1 session, 1 statement watched\n"


def test_open_at_the_end_of_the_program(tmp_path: Path) -> None:
    ended = run(tmp_path, {"app.py": APP + "\nsession = Session(engine)\none(session)\n"}, "app.py")

    assert ended.returncode == 1
    assert "when the program is over" in ended.stderr


@pytest.mark.parametrize(
    ("end", "code", "says"),
    [
        ("sys.exit(3)", 3, ""),
        ("sys.exit()", 1, ""),
        ("sys.exit('no such user')", 1, "no such user\n"),
        ("raise ValueError('bad user')", 1, "ValueError: bad user\n"),
        ("raise SystemExit(0)", 1, ""),
    ],
)
def test_exit_codes_of_a_program_that_leaks(tmp_path: Path, end: str, code: int, says: str) -> None:
    ended = run(tmp_path, {"app.py": f"{LEAK}\nimport sys\n{end}\n"}, "app.py")

    assert ended.returncode == code
    assert says in ended.stderr
    assert "SES001" in ended.stderr


def test_exit_zero(tmp_path: Path) -> None:
    ended = run(tmp_path, {"app.py": LEAK}, "--exit-zero", "app.py")

    assert ended.returncode == 0
    assert "1 error" in ended.stderr


def test_a_warning_does_not_fail(tmp_path: Path) -> None:
    idle = APP + "\nimport time\nwith Session(engine) as s:\n    one(s)\n    time.sleep(0.1)\n    one(s)\n"
    ended = run(tmp_path, {"app.py": idle}, "--idle-ms", "50", "app.py")

    assert ended.returncode == 0
    assert "warning[SES102]" in ended.stderr


def test_ignored_rules(tmp_path: Path) -> None:
    assert run(tmp_path, {"app.py": LEAK}, "--ignore", "SES001", "app.py").returncode == 0


def test_suppression_comments(tmp_path: Path) -> None:
    lines = LEAK.splitlines()
    lines[MADE - 1] += "  # hermetic: ignore[SES001] the process ends right after"

    assert run(tmp_path, {"app.py": "\n".join(lines)}, "app.py").returncode == 0


def test_production(tmp_path: Path) -> None:
    ended = run(tmp_path, {"app.py": LEAK}, "--mode", "production", "app.py")

    assert ended.returncode == 1
    assert "error[SES001]" in ended.stderr


def test_the_report(tmp_path: Path) -> None:
    run(tmp_path, {"app.py": LEAK}, "--report", "new/report.json", "app.py")

    document = json.loads((tmp_path / "new" / "report.json").read_text())
    assert [(each["path"], each["line"], each["tests"]) for each in document["findings"]] == [("app.py", MADE, [])]
    assert (document["summary"]["errors"], document["summary"]["sessions"]) == (1, 1)


def test_a_report_of_nothing(tmp_path: Path) -> None:
    run(tmp_path, {"app.py": APP}, "--report", "report.json", "app.py")

    assert json.loads((tmp_path / "report.json").read_text())["findings"] == []


def test_a_program_that_changes_its_directory(tmp_path: Path) -> None:
    program = "import os\nos.chdir('/')\n" + LEAK
    ended = run(tmp_path, {"app.py": program}, "--report", "report.json", "--trace", "trace.json", "app.py")

    assert f"{MADE + 2} │ " in ended.stderr
    assert found(tmp_path / "report.json") == [("SES001", "app.py", MADE + 2)]
    assert (tmp_path / "trace.json").exists()


def test_what_runs_at_exit_may_close_sessions(tmp_path: Path) -> None:
    program = APP + "\nimport atexit\nsession = Session(engine)\none(session)\natexit.register(session.close)\n"

    assert run(tmp_path, {"app.py": program}, "app.py").returncode == 0


def test_threads_that_go_on_may_close_sessions(tmp_path: Path) -> None:
    program = f"""{APP}
import threading, time
session = Session(engine)
one(session)

def later():
    threading.main_thread().join()
    print("closed")
    session.close()

threading.Thread(target=later).start()
"""
    ended = run(tmp_path, {"app.py": program}, "app.py")

    assert (ended.returncode, ended.stdout) == (0, "closed\n")


def test_files_that_nobody_closed_are_flushed(tmp_path: Path) -> None:
    run(tmp_path, {"app.py": 'file = open("out.txt", "w")\nfile.write("text")\n'}, "app.py")

    assert (tmp_path / "out.txt").read_text() == "text"


def test_the_collector_is_on(tmp_path: Path) -> None:
    assert run(tmp_path, {"app.py": "import gc\nprint(gc.isenabled())\n"}, "app.py").stdout == "True\n"


def test_an_interruption(tmp_path: Path) -> None:
    ended = run(tmp_path, {"app.py": LEAK + "\nraise KeyboardInterrupt\n"}, "app.py")

    assert ended.returncode == -signal.SIGINT
    assert "\nKeyboardInterrupt\n" in ended.stderr
    assert "SES001" in ended.stderr


def test_sigterm_kills_after_what_was_found_is_told(tmp_path: Path) -> None:
    program = LEAK + "\nimport time\nheld = Session(engine)\none(held)\nprint('ready', flush=True)\ntime.sleep(60)\n"
    with started(tmp_path, {"app.py": program}, "--report", "report.json", "app.py") as process:
        assert process.stdout is not None
        assert [process.stdout.readline(), process.stdout.readline()] == ["1\n", "ready\n"]
        process.terminate()
        _, stderr = process.communicate(timeout=30)

    assert process.returncode == -signal.SIGTERM
    assert stderr.count("error[SES001]") == 1
    assert found(tmp_path / "report.json") == [("SES001", "app.py", MADE)]


def test_a_program_with_a_handler_of_its_own(tmp_path: Path) -> None:
    program = f"""{LEAK}
import os, signal, sys
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(7))
os.kill(os.getpid(), signal.SIGTERM)
"""
    ended = run(tmp_path, {"app.py": program}, "app.py")

    assert ended.returncode == 7
    assert "SES001" in ended.stderr


FORKS = f"""{APP}
import os, sys

def child(number):
    engine.dispose(close=False)
    one(Session(engine))
    sys.exit(number)

for number in (0, 5):
    process = os.fork()
    if not process:
        child(number)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


def test_forked_children(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    ended = run(tmp_path, {"app.py": FORKS}, "--trace", "trace.json", "app.py", TMPDIR="tmp")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]

    assert (ended.returncode, ended.stdout) == (1, "0\n5\n")
    assert ended.stderr.count("error[SES001]") == 1
    assert "1 error: 0 sessions, 0 statements watched, besides those of 2 forked processes" in ended.stderr
    assert len({event["pid"] for event in events if event.get("cat") == "statement"}) == 2
    assert list((tmp_path / "tmp").iterdir()) == []


def test_workers_that_leave_at_once(tmp_path: Path) -> None:
    program = f"""{APP}
import multiprocessing

def work(number):
    engine.dispose(close=False)
    kept.append(Session(engine))
    return one(kept[-1])

kept = []
with multiprocessing.get_context("fork").Pool(1) as pool:
    print(pool.map(work, range(3)))
    pool.close()
    pool.join()
"""
    ended = run(tmp_path, {"app.py": program}, "app.py")

    assert (ended.returncode, ended.stdout) == (1, "[1, 1, 1]\n")
    assert ended.stderr.count("error[SES001]") == 1


def test_processes_that_are_started_anew_are_not_watched(tmp_path: Path) -> None:
    program = f"""{LEAK.replace("print(", "count = (")}
import multiprocessing

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(load))
"""
    ended = run(tmp_path, {"app.py": program}, "app.py")

    assert ended.stdout == "1\n"
    assert "1 error: 1 session, 1 statement watched\n" in ended.stderr


def test_a_run_without_sqlalchemy(tmp_path: Path) -> None:
    files = {"app.py": "print('ran')\n", "hidden/sqlalchemy/__init__.py": "raise ImportError('no sqlalchemy')\n"}
    path = os.pathsep.join([str(tmp_path / "hidden"), os.environ.get("PYTHONPATH", "")])
    ended = run(tmp_path, files, "--trace", "trace.json", "app.py", PYTHONPATH=path)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "hermetic: there is nothing to watch: no sqlalchemy\n"
    assert not (tmp_path / "trace.json").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "what is to be run?"),
        (["-m"], "what is to be run?"),
        (["nowhere.py"], "no such file: nowhere.py"),
        (["-m", "__main__"], "__main__ is no name of a module to run"),
        (["-m", ".app"], ".app is no name of a module to run"),
        (["-m", "nowhere"], "no module named nowhere\n"),
        (["-m", "nowhere.deep"], "no module named nowhere.deep\n"),
        (["-m", "json.nowhere"], "no module named json.nowhere\n"),
        (["-m", "asyncio.events.x"], "no module named asyncio.events.x\n"),
        (["-m", "email"], "no module named email.__main__\n"),
        (["--ignore", "SES999", "app.py"], "SES999"),
        (["--idle-ms", "soon", "app.py"], "`soon` is no number of milliseconds"),
        (["--mode", "prodction", "app.py"], "did you mean `production`?"),
        (["--trace", "nowhere/trace.json", "app.py"], "cannot write nowhere/trace.json: No such file or directory\n"),
    ],
)
def test_a_request_that_cannot_be_carried_out(tmp_path: Path, arguments: list[str], says: str) -> None:
    ended = run(tmp_path, {"app.py": "print('ran')\n"}, *arguments)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert says in ended.stderr


def test_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    ended = run(tmp_path, {"app.py": APP}, "--report", "app.py/report.json", "app.py")

    assert "hermetic: cannot write " in ended.stderr


def test_pytest_is_not_watched_twice(tmp_path: Path) -> None:
    test = f"{LEAK.replace('print(load())', '')}\n\ndef test_load():\n    load()\n"
    ended = run(tmp_path, {"test_app.py": test}, "--trace", "trace.json", *PYTEST)

    assert ended.returncode == 1
    assert "SES001" in ended.stdout
    assert ended.stderr == ""
    assert [kind for kind in ("session", "statement") if kind in _kinds(tmp_path / "trace.json")] == [
        "session",
        "statement",
    ]


def _kinds(trace: Path) -> set[Any]:
    events: list[Mapping[str, Any]] = json.loads(trace.read_text())["traceEvents"]
    return {event.get("cat") for event in events}


def test_a_trace_can_be_shown(tmp_path: Path) -> None:
    run(tmp_path, {"app.py": LEAK}, "--trace", "trace.json", "app.py", "--password", "planted-secret")

    assert "1 session" in hermetic("trace", "trace.json", cwd=tmp_path).stdout
    assert "planted-secret" not in (tmp_path / "trace.json").read_text()
    assert json.loads((tmp_path / "trace.json").read_text())["otherData"]["command"] == "app.py"

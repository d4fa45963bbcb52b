"""Who reads the output: a pipe, a terminal, nobody; and a user who has waited enough."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest
from shell import CLEAN, HERMETIC, LEAK, LEAK_LINE, PATIENCE, check_json, environment, hermetic, write

ESCAPE = "\033["


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write(tmp_path, {"app.py": LEAK})


@pytest.fixture(scope="module")
def slow_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Takes some seconds to check."""
    lines = "".join(f"    value_{number} = compute({number}, [x for x in range({number})])\n" for number in range(3000))
    body = f"{CLEAN}\n\ndef work(compute):\n{lines}"
    root = tmp_path_factory.mktemp("slow")
    return write(root, {f"module_{number}.py": body for number in range(60)})


def on_terminal(*arguments: str, cwd: Path, **changes: str | None) -> tuple[int, str, str]:
    """Run with stdout and stderr on a terminal each; exit code and what the terminals got."""
    out, out_end = pty.openpty()
    err, err_end = pty.openpty()
    changes.setdefault("TERM", "xterm-256color")
    process = subprocess.Popen(
        [HERMETIC, *arguments], cwd=cwd, env=environment(**changes), stdin=out_end, stdout=out_end, stderr=err_end
    )
    os.close(out_end)
    os.close(err_end)
    got = {out: b"", err: b""}
    deadline = time.monotonic() + PATIENCE
    open_ends = [out, err]
    while open_ends and time.monotonic() < deadline:
        for end in select.select(open_ends, [], [], 1)[0]:
            try:
                data = os.read(end, 65536)
            except OSError:  # the other end is closed
                data = b""
            got[end] += data
            if not data:
                open_ends.remove(end)
    code = process.wait(timeout=PATIENCE)
    os.close(out)
    os.close(err)
    return code, got[out].decode(), got[err].decode()


def test_colour_on_a_terminal(project: Path) -> None:
    code, out, err = on_terminal("check", cwd=project)

    assert code == 1
    assert ESCAPE in out
    assert err == ""


@pytest.mark.parametrize("changes", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}])
def test_no_colour_on_a_terminal_that_does_not_want_it(changes: dict[str, str], project: Path) -> None:
    code, out, _ = on_terminal("check", cwd=project, **changes)

    assert code == 1
    assert "SES001" in out
    assert ESCAPE not in out


def test_no_colour_in_a_pipe(project: Path) -> None:
    assert ESCAPE not in hermetic("check", cwd=project).stdout
    assert ESCAPE not in hermetic("check", cwd=project, NO_COLOR="").stdout


def test_colour_in_a_pipe_when_forced(project: Path) -> None:
    assert ESCAPE in hermetic("check", cwd=project, FORCE_COLOR="1").stdout
    assert ESCAPE not in hermetic("check", cwd=project, FORCE_COLOR="1", NO_COLOR="1").stdout


@pytest.mark.parametrize("output_format", ["json", "concise"])
def test_formats_for_programs_have_no_colour(output_format: str, project: Path) -> None:
    run = hermetic("check", "--output-format", output_format, cwd=project, FORCE_COLOR="1")

    assert ESCAPE not in run.stdout


def test_concise_is_one_line_a_finding(project: Path) -> None:
    run = hermetic("check", "--output-format", "concise", cwd=project)

    (line,) = run.stdout.splitlines()
    assert line.startswith(f"app.py:{LEAK_LINE}:15: SES001 error: ")


def test_concise_prints_nothing_where_nothing_is_found(tmp_path: Path) -> None:
    run = hermetic("check", "--output-format", "concise", cwd=write(tmp_path, {"app.py": CLEAN}))

    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_progress_for_who_waits_at_a_terminal(slow_project: Path) -> None:
    began = time.monotonic()
    code, out, err = on_terminal("check", cwd=slow_project)

    assert time.monotonic() - began > 0.5, "too fast to test anything"
    assert code == 0
    assert "/60 files" in err
    assert err.endswith("\r\033[K"), "the bar is wiped away"
    assert "files " not in out.replace("60 files (", "")


def test_no_progress_without_a_wait_or_a_terminal(project: Path, slow_project: Path) -> None:
    assert on_terminal("check", cwd=project)[2] == ""
    assert hermetic("check", cwd=slow_project).stderr == ""


def test_interrupted(slow_project: Path) -> None:
    process = subprocess.Popen(
        [HERMETIC, "check", "--no-cache"],
        cwd=slow_project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.default_int_handler
        ),  # a shell's background job ignores it
    )
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)

    assert (process.returncode, out, err) == (130, "", "interrupted\n")


def test_workers_end_with_the_process_that_waits_for_them(slow_project: Path) -> None:
    command = [HERMETIC, "check", "--no-cache", "--jobs", "3"]
    process = subprocess.Popen(command, cwd=slow_project, env=environment(), stderr=subprocess.PIPE)
    time.sleep(0.5)
    process.kill()

    process.communicate(timeout=PATIENCE)  # returns when nobody holds the pipe any more


def in_shell(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=cwd,
        env=environment(HERMETIC=HERMETIC),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture(scope="module")
def talkative_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More findings than a pipe takes before somebody reads."""
    return write(tmp_path_factory.mktemp("talkative"), {f"module_{number}.py": LEAK for number in range(400)})


@pytest.mark.parametrize("output_format", ["text", "json", "concise"])
def test_a_reader_that_leaves_early(output_format: str, talkative_project: Path) -> None:
    run = in_shell(
        f'"$HERMETIC" check --output-format {output_format} | head -1; echo "${{PIPESTATUS[0]}}"', talkative_project
    )

    assert run.stderr == ""
    assert len(run.stdout.splitlines()) == 2
    assert run.stdout.splitlines()[1] == "1", "the findings are there, whether read or not"


def test_nobody_listens(project: Path) -> None:
    for closed in (">&-", "2>&-", ">&- 2>&-", "<&-"):
        run = in_shell(f'"$HERMETIC" check {closed}; echo $?', project)
        assert run.stdout.splitlines()[-1] == "1", closed
        assert run.stderr == "", closed


def test_a_full_disk(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.mktemp("full") / "report.txt"
    run = in_shell(f'ulimit -f 0; "$HERMETIC" check >"{target}"; echo $?', project)

    assert run.stdout == "2\n"
    assert run.stderr.startswith("hermetic: cannot write the output: ")
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize("output_format", ["text", "json", "concise"])
def test_a_terminal_that_knows_only_ascii(output_format: str, tmp_path: Path) -> None:
    root = write(tmp_path, {"größe.py": LEAK.replace("statement", "größe")})
    run = hermetic(
        "check", "--output-format", output_format, cwd=root, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C"
    )

    assert (run.returncode, run.stderr) == (1, "")
    assert run.stdout.isascii()


def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": CLEAN})
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.py")).write_text(LEAK, encoding="utf-8")

    assert [found["path"] for found in check_json(root)["findings"]] == ["caf\udce9.py"]
    for output_format in ("text", "concise"):
        run = hermetic("check", "--output-format", output_format, cwd=root)
        assert (run.returncode, run.stderr) == (1, "")
        assert r"caf\udce9.py" in run.stdout


@pytest.mark.parametrize("output_format", ["text", "concise", "json"])
def test_nothing_of_the_tree_steers_the_terminal(output_format: str, tmp_path: Path) -> None:
    evil = LEAK.replace("session = Session(engine)", "session = Session(engine)  # \033]0;owned\007 \u202e")
    root = write(tmp_path, {"a\033[31m\nb.py": evil, "bad\033[2J.py": "x = \033[2J\n"})

    run = hermetic("check", "--output-format", output_format, cwd=root)

    assert run.returncode == 1
    assert "\033" not in run.stdout
    assert "\u202e" not in run.stdout
    assert "\nb.py" not in run.stdout

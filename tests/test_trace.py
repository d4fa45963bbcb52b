"""`hermetic trace`: what a trace file may hold, what is read of it, and what becomes of it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from shell import hermetic
from traces import MS, Recording

from hermetic.report.html.trace import render
from hermetic.report.trace_events import Act, Count, Hold, Life, Mark, Statement, Trace, TraceError, Transaction, Wait
from hermetic.report.trace_reader import LONGEST_TEXT, read


def trace_of(recording: Recording) -> Trace:
    return read(json.dumps(recording.document()).encode())


def with_events(*events: Any) -> bytes:
    return json.dumps({"traceEvents": events, "otherData": {"tool": "hermetic"}}).encode()


def one_session() -> Recording:
    made = Recording()
    made.session(12, 0, 100)
    made.statement(12, 10, 20)
    return made


# The command


def test_the_page_stands_beside_the_trace(tmp_path: Path) -> None:
    one_session().write(tmp_path / "out.json")
    run = hermetic("trace", "out.json", cwd=tmp_path)

    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == "out.html: 1 session, 1 statement, 0 idle gaps in transactions, 0 findings\n"
    assert (tmp_path / "out.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_page_goes_where_it_is_asked_to(tmp_path: Path) -> None:
    one_session().write(tmp_path / "out.json")
    (tmp_path / "pages").mkdir()
    run = hermetic("trace", "out.json", "-o", "pages/run.html", cwd=tmp_path)

    assert run.stdout.startswith(str(Path("pages/run.html: ")))
    assert (tmp_path / "pages/run.html").exists()
    assert not (tmp_path / "out.html").exists()


def test_a_page_of_before_is_replaced(tmp_path: Path) -> None:
    one_session().write(tmp_path / "out.json")
    (tmp_path / "out.html").write_text("old")
    hermetic("trace", "out.json", cwd=tmp_path)

    assert "old" not in (tmp_path / "out.html").read_text(encoding="utf-8")[:100]


def test_events_that_were_left_out_are_told(tmp_path: Path) -> None:
    made = one_session()
    made.events.append({"ph": "X", "cat": "session", "ts": "soon"})
    made.write(tmp_path / "out.json")

    assert hermetic("trace", "out.json", cwd=tmp_path).stdout.endswith("; 1 event could not be read\n")


def test_what_the_recorder_had_no_room_for_is_told_by_the_command(tmp_path: Path) -> None:
    made = one_session()
    made.left_out = "12 events: it has 250 MB"
    made.write(tmp_path / "out.json")

    assert hermetic("trace", "out.json", cwd=tmp_path).stdout.endswith("; not recorded: 12 events: it has 250 MB\n")


FOREIGN = {
    "empty": (b"", "it is no JSON: "),
    "cut off": (b'{"traceEvents": [', "it is no JSON: "),
    "no JSON": (b"<!doctype html>", "it is no JSON: "),
    "not UTF-8": (b'{"traceEvents": ["\xff"]}', "it is not UTF-8 text"),
    "UTF-16": ('{"traceEvents": []}'.encode("utf-16"), "it is not UTF-8 text"),
    "a number": (b"12", "it has no `traceEvents`"),
    "a number without end": (b"1" * 10_000, "it is no JSON: "),
    "the array form": (b'[{"ph": "X"}]', "it has no `traceEvents`"),
    "events that are none": (b'{"traceEvents": {}}', "it has no `traceEvents`"),
    "no tool": (b'{"traceEvents": []}', "another tool recorded it"),
    "another tool": (b'{"traceEvents": [], "otherData": {"tool": "chrome"}}', "another tool recorded it"),
    "a report": (b'{"version": 1, "findings": []}', "it has no `traceEvents`"),
    "very deep": (b"[" * 200_000, "its JSON is nested too deeply"),
}


@pytest.mark.parametrize(("data", "reason"), FOREIGN.values(), ids=FOREIGN)
def test_what_is_no_trace_is_refused(data: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "out.json").write_bytes(data)
    run = hermetic("trace", "out.json", cwd=tmp_path)

    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(f"hermetic: no hermetic trace: out.json: {reason}")
    assert len(run.stderr.splitlines()) == 1
    assert not (tmp_path / "out.html").exists()


@pytest.mark.parametrize(
    ("path", "reason"),
    [("nowhere.json", "no such file or directory"), (".", "is a directory"), ("out.json/x", "not a directory")],
)
def test_what_cannot_be_read_is_refused(path: str, reason: str, tmp_path: Path) -> None:
    one_session().write(tmp_path / "out.json")
    run = hermetic("trace", path, cwd=tmp_path)

    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == f"hermetic: cannot read {path}: {reason}\n"


def test_a_file_that_is_too_large_is_refused_at_once(tmp_path: Path) -> None:
    with open(tmp_path / "out.json", "wb") as file:
        file.truncate(513 * 1024 * 1024)  # a hole: it takes no room
    run = hermetic("trace", "out.json", cwd=tmp_path)

    assert (run.returncode, run.stderr) == (2, "hermetic: cannot read out.json: larger than 512 MB\n")


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    one_session().write(tmp_path / "out.json")
    run = hermetic("trace", "out.json", "-o", "nowhere/run.html", cwd=tmp_path)

    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "hermetic: cannot write nowhere/run.html: no such file or directory\n"


@pytest.mark.parametrize("arguments", [("out.json", "-o", "out.json"), ("out.html",)])
def test_the_trace_itself_is_never_overwritten(arguments: tuple[str, ...], tmp_path: Path) -> None:
    before = one_session().write(tmp_path / arguments[0]).read_bytes()
    run = hermetic("trace", *arguments, cwd=tmp_path)

    assert run.returncode == 2
    assert run.stderr == f"hermetic: {arguments[0]} is the trace itself; name another file with --output\n"
    assert (tmp_path / arguments[0]).read_bytes() == before


# What is read


def test_a_session_with_all_that_is_in_it() -> None:
    made = one_session()
    made.transaction(12, 10, 90)
    made.idle(12, 20, 80)
    made.finding(12, 100)
    (lane,) = trace_of(made).sessions

    assert (lane.process, lane.number) == (100, 12)
    assert lane.name == "Session 12 (AsyncSession) app/users.py:31 load"
    assert lane.lives == (Life(0, 100 * MS, "app/users.py:31 in load", "app/users.py:40 in load", "Task-3", ()),)
    assert lane.transactions == (Transaction(10 * MS, 80 * MS, "commit", "app/users.py:39 in load"),)
    assert lane.statements == (Statement(10 * MS, 10 * MS, "SELECT 1", "SELECT 1", "app/users.py:33 in load", ""),)
    assert lane.waits == (Wait(20 * MS, 60 * MS, "app/users.py:33 in load", "app/users.py:38 in load"),)
    acts = (Act("app/users.py", 31, "opened here"), Act("app/api.py", 12, "its task ended here"))
    message = "the session is still open when its task ends"
    assert lane.marks == (Mark(100 * MS, "SES001 session-not-closed", message, "error", "app/users.py", 31, acts),)


def test_sessions_stand_in_the_order_in_which_they_begin() -> None:
    made = Recording()
    for number, start in [(1, 30), (2, 10), (3, 20)]:
        made.session(number, start, 40)

    assert [lane.number for lane in trace_of(made).sessions] == [2, 3, 1]


def test_times_count_from_the_first_event_that_is_of_hermetic() -> None:
    made = one_session()
    made.events.insert(0, {"ph": "X", "cat": "toplevel", "name": "other", "pid": 1, "tid": 1, "ts": 5, "dur": 1})
    trace = trace_of(made)

    assert trace.sessions[0].lives[0].start == 0
    assert trace.duration == 100 * MS


def test_a_name_may_come_after_what_it_names() -> None:
    made = one_session()
    made.events.reverse()

    assert trace_of(made).sessions[0].name.startswith("Session 12 ")


def held(made: Recording) -> list[tuple[float, float, str, bool]]:
    (pool,) = trace_of(made).pools
    return [(hold.start / MS, (hold.start + hold.duration) / MS, hold.connection, hold.ended) for hold in pool.holds]


def test_a_connection_is_held_from_checkout_to_return_time_and_again() -> None:
    made = one_session()
    for start, end in [(10, 20), (20, 30)]:
        made.checkout(1, 7, start, 12)
        made.checkin(1, 7, end, 12)

    assert held(made) == [(10, 20, "7", True), (20, 30, "7", True)]
    (pool,) = trace_of(made).pools
    assert pool.holds[0] == Hold(10 * MS, 10 * MS, "7", 12, "app/users.py:33 in load", True)


def test_connections_are_held_side_by_side() -> None:
    made = one_session()
    made.checkout(1, 7, 10, 12)
    made.checkout(1, 8, 15)
    made.checkin(1, 7, 20, 12)
    made.checkin(1, 8, 30)

    assert held(made) == [(10, 20, "7", True), (15, 30, "8", True)]


def test_a_connection_that_is_not_returned_is_held_to_the_end() -> None:
    made = one_session()
    made.checkout(1, 7, 10, 12)

    assert held(made) == [(10, 100, "7", False)]


def test_a_connection_that_was_out_before_is_held_from_the_beginning() -> None:
    made = one_session()
    made.checkin(1, 7, 10, 12)

    assert held(made) == [(0, 10, "7", True)]


def test_a_pool_without_its_counter_is_counted_by_what_is_held() -> None:
    made = one_session()
    made.checkout(1, 7, 10, 12)
    made.checkout(1, 8, 15)
    made.checkin(1, 7, 20, 12)
    (pool,) = trace_of(made).pools

    assert pool.counts == (Count(10 * MS, 1, None), Count(15 * MS, 2, None), Count(20 * MS, 1, None))


@pytest.mark.parametrize("size", [5, None])
def test_a_pool_may_have_no_size(size: int | None) -> None:
    made = one_session()
    made.in_use(1, 10, 1, size)
    (pool,) = trace_of(made).pools

    assert pool.counts == (Count(10 * MS, 1, size),)


def test_a_text_without_end_is_cut() -> None:
    made = one_session()
    made.statement(12, 30, 40, "SELECT " + "x" * 1_000_000)

    assert len(trace_of(made).sessions[0].statements[1].sql) == LONGEST_TEXT + 2


BROKEN = {
    "null": None,
    "a text": "X",
    "without a time": {"ph": "X", "cat": "session", "dur": 1},
    "without a duration": {"ph": "X", "cat": "session", "ts": 1},
    "a negative duration": {"ph": "X", "cat": "session", "ts": 1, "dur": -1},
    "a time that is true": {"ph": "X", "cat": "session", "ts": True, "dur": 1},
    "no number": {"ph": "X", "cat": "session", "ts": float("nan"), "dur": 1},
    "without end": {"ph": "X", "cat": "session", "ts": 1, "dur": float("inf")},
    "a number beyond all time": {"ph": "X", "cat": "session", "ts": 10**400, "dur": 1},
    "a lane of text": {"ph": "X", "cat": "session", "ts": 1, "dur": 1, "tid": "main"},
    "arguments that are a list": {"ph": "X", "cat": "session", "ts": 1, "dur": 1, "args": []},
    "a place that is a number": {"ph": "X", "cat": "session", "ts": 1, "dur": 1, "args": {"opened": 3}},
    "rules that are no list": {"ph": "X", "cat": "session", "ts": 1, "dur": 1, "args": {"findings": "SES001"}},
    "another category": {"ph": "X", "cat": "toplevel", "ts": 1, "dur": 1},
    "a category that is a list": {"ph": "X", "cat": ["session"], "ts": 1, "dur": 1},
    "another phase": {"ph": "B", "cat": "session", "ts": 1},
    "a count of nothing": {"ph": "C", "cat": "pool", "ts": 1},
    "a connection without number": {"ph": "b", "cat": "connection", "ts": 1},
    "an act of two parts": {"ph": "i", "cat": "finding", "ts": 1, "args": {"trace": [["app.py", 1]]}},
    "a name that is a number": {"ph": "M", "name": "thread_name", "args": {"name": 3}},
}


@pytest.mark.parametrize("event", BROKEN.values(), ids=BROKEN)
def test_a_broken_event_is_counted_and_left_out(event: Any) -> None:
    trace = read(with_events(event, {"ph": "X", "cat": "session", "tid": 12, "ts": 5, "dur": 10}))

    assert trace.unread == 1
    assert [(lane.number, lane.lives[0].start) for lane in trace.sessions] == [(12, 0)]


def test_names_of_processes_are_no_broken_events() -> None:
    assert read(with_events({"ph": "M", "name": "process_name", "args": {"name": "python"}})).unread == 0


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert read(b"\xef\xbb\xbf" + with_events()).sessions == ()


def test_notes_of_a_wrong_type_are_left_out() -> None:
    about = {"tool": "hermetic", "command": ["pytest"], "started": 12}
    trace = read(json.dumps({"traceEvents": [], "otherData": about}).encode())

    assert (trace.command, trace.started) == ("", "")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = (
    "opened",
    "closed",
    "task",
    "findings",
    "sql",
    "at",
    "trace",
    "line",
    "in use",
    "size",
    "session",
    "holder",
)
EVENT = st.fixed_dictionaries(
    {},
    optional={
        "ph": st.sampled_from("XCibeM") | JSON,
        "cat": st.sampled_from(["session", "transaction", "statement", "wait", "finding", "pool", "connection"]) | JSON,
        "name": st.sampled_from(["thread_name"]) | JSON,
        "ts": st.integers(0, 10**12) | JSON,
        "dur": st.integers(0, 10**6) | JSON,
        "pid": st.integers(0, 2) | JSON,
        "tid": st.integers(0, 3) | st.integers(1_000_000, 1_000_002) | JSON,
        "id": st.integers(0, 2) | JSON,
        "args": st.dictionaries(st.sampled_from(ARGUMENTS), JSON) | JSON,
    },
)


@given(st.lists(EVENT | JSON, max_size=12))
def test_whatever_the_events_are_there_is_a_page(events: list[Any]) -> None:
    trace = read(with_events(*events))

    assert trace.unread <= len(events)
    assert "</html>" in render(trace, "out.json")


# The page as a file; tests/trace_page/ uses it


def test_the_page_names_nothing_outside_of_itself() -> None:
    page = render(trace_of(one_session()), "out.json")

    assert re.findall(r"\b(?:src|srcset|action|poster)=", page.partition('id="data"')[0]) == []
    assert set(re.findall(r'href="([^"]*)"', page)) == {"data:,", "#sessions"}
    assert re.findall(r"@import|url\(|https?://|innerHTML|\beval\b|Function\(", page) == []


def test_the_policy_allows_the_scripts_and_styles_of_the_page_and_no_others() -> None:
    page = render(trace_of(one_session()), "out.json")
    parts = re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", page, flags=re.DOTALL)
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'" for part in parts}

    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert set(re.findall(r"'sha256-[^']*'", policy)) == hashes
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; ")


def test_equal_texts_are_kept_once() -> None:
    made = one_session()
    for number in range(1000):
        made.statement(12, number, number + 1, "SELECT users.a_long_name FROM users")

    assert render(trace_of(made), "out.json").count("users.a_long_name") == 1


def test_a_trace_error_says_why() -> None:
    with pytest.raises(TraceError, match="another tool recorded it"):
        read(b'{"traceEvents": [], "otherData": {}}')

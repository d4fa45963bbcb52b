"""The page of a trace: what its picture and its words say of the run."""

from __future__ import annotations

from traces import Recording

from trace_page.pages import Show, colour, colours, working


def test_the_head_counts_what_the_run_did(show: Show) -> None:
    made = working()
    made.session(2, 120, 130, closed=None)
    made.transaction(2, 121, 129, "rollback")
    made.statement(2, 121, 122, "INSERT INTO users (name) VALUES (?)", failed="IntegrityError")
    made.finding(2, 130)
    tab = show(made)

    assert tab.text("h1") == "pytest -q"
    assert tab.texts("#totals > div") == [
        "sessions\n2\n1 never closed",
        "transactions\n2\n1 rolled back",
        "statements\n3\n1 failed",
        "longest idle in a transaction\n80.0 ms\nsession 1",
        "findings\n1\nSES001 \u00d7 1",
    ]


def test_each_session_has_a_lane_that_says_who_opened_it(show: Show) -> None:
    made = working(1)
    made.session(2, 120, 130, opened="app/api/v2/orders.py:7 in Orders.place")
    tab = show(made)

    assert tab.texts("#lanes .label") == ["1\nload\napp/users.py:31", "2\nOrders.place\napp/api/v2/orders.py:7"]


def test_an_idle_gap_is_hatched_and_a_statement_is_not(show: Show) -> None:
    tab = show(working())
    middle = 17

    assert colour(tab, "#lanes canvas", 5, middle) in colours(tab, "statement")
    assert colour(tab, "#lanes canvas", 95, middle) in colours(tab, "statement")
    hatched = {colour(tab, "#lanes canvas", ms / 10, middle) for ms in range(150, 350)}
    assert colours(tab, "idle", "idle-stripe") <= hatched
    assert not hatched & colours(tab, "statement", "transaction", "panel")


def test_an_idle_gap_is_told_in_words(show: Show) -> None:
    tab = show(working())

    assert tab.texts("#lanes .label .idle") == [""]
    assert tab.texts("#gaps tbody td") == ["load\napp/users.py:33", "load\napp/users.py:38", "80.0 ms", "1", "80.0 ms"]
    assert "1 time idle in a transaction" in tab.ask("document.querySelector('#lanes .label').ariaLabel")


def test_a_short_gap_in_a_long_run_stays_visible(show: Show) -> None:
    made = Recording()
    made.session(1, 0, 600_000)
    made.transaction(1, 0, 600_000)
    made.idle(1, 300_000, 300_020)
    tab = show(made)

    assert colour(tab, "#lanes canvas", 300_000, 17) in colours(tab, "idle-stripe")


def test_a_failed_statement_among_many_in_one_pixel_is_seen(show: Show) -> None:
    made = Recording()
    made.session(1, 0, 60_000)
    for ms in range(0, 60_000, 10):
        made.statement(1, ms, ms + 5, failed="OperationalError" if ms == 30_010 else None)
    tab = show(made)

    assert colour(tab, "#lanes canvas", 30_010, 17) in colours(tab, "failed")


def test_a_long_statement_that_begins_within_a_drawn_pixel_is_drawn_whole(show: Show) -> None:
    made = Recording()
    made.session(1, 0, 10_000)
    made.statement(1, 5000, 5000.1)
    made.statement(1, 5000.2, 8000)
    tab = show(made)

    assert colour(tab, "#lanes canvas", 7000, 17) in colours(tab, "statement")


def test_a_session_that_nothing_closed_says_so(show: Show) -> None:
    made = Recording()
    made.session(1, 0, 10, closed=None)
    tab = show(made)

    assert tab.texts("#sessions tbody td")[2] == "never"


def test_a_session_without_a_life_of_its_own_still_has_a_lane(show: Show) -> None:
    made = Recording()
    made.name(7, "Session 7 (Session) app/users.py:31 load")
    made.statement(7, 0, 5)
    tab = show(made)

    assert tab.texts("#lanes .number") == ["7"]


def test_sessions_of_two_processes_with_one_number_are_two_lanes(show: Show) -> None:
    made = Recording()
    made.session(1, 0, 10, pid=100)
    made.session(1, 5, 10, pid=200)
    tab = show(made)

    assert tab.texts("#lanes .number") == ["100-1", "200-1"]
    assert "2 processes" in tab.text("#about")


def test_a_run_without_sessions_says_so(show: Show) -> None:
    tab = show(Recording())

    assert tab.text("#empty") == "No session was made while this was recorded."
    assert tab.texts("#totals b") == ["0", "0", "0", "none", "0"]
    assert not tab.ask("document.querySelector('#sessions').checkVisibility()")


def test_events_that_could_not_be_read_are_told(show: Show) -> None:
    made = working()
    made.events += [{"ph": "X", "cat": "toplevel", "ts": 1, "dur": 1}, None]  # type: ignore[list-item]
    tab = show(made)

    assert "2 events of the file could not be read and are left out" in tab.text("#footer")


def test_what_the_recorder_had_no_room_for_is_told(show: Show) -> None:
    made = working()
    made.left_out = "12 events: it has 250 MB"

    assert "Not recorded: 12 events: it has 250 MB" in show(made).text("#footer")

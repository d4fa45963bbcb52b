"""The page of a trace: the filter, the boxes and the table."""

from __future__ import annotations

import pytest
from traces import Recording, by_chance

from trace_page.pages import Show, three_sessions, working


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("orders", ["2"]),
        ("MAILER", ["2"]),
        ("update users", ["1"]),
        ("ses001", ["2"]),
        ("jobs.py nightly", ["3"]),
        ("app/", ["1", "2", "3"]),
        ("nothing of the kind", []),
    ],
)
def test_the_filter_looks_at_places_tasks_sql_and_rules(words: str, left: list[str], show: Show) -> None:
    tab = show(three_sessions())
    tab.click("#filter")
    tab.write(words)
    tab.until("!waiting")

    assert tab.texts("#lanes .number") == left
    assert tab.texts("#sessions tbody td:first-child") == left
    assert tab.ask("document.querySelector('#empty').hidden") == bool(left)


@pytest.mark.parametrize(("box", "left"), [("#only-findings", ["2"]), ("#only-idle", ["1"])])
def test_boxes_leave_only_what_is_of_interest(box: str, left: list[str], show: Show) -> None:
    tab = show(three_sessions())
    tab.click(box)
    tab.until("!waiting")

    assert tab.texts("#lanes .number") == left


def test_a_link_to_a_session_that_is_filtered_out_ends_the_filter(show: Show) -> None:
    tab = show(three_sessions())
    tab.click("#only-findings")
    tab.click("#gaps tbody button")
    tab.until("!waiting")

    assert tab.texts("#lanes .label.chosen .number") == ["1"]


def test_the_table_says_of_each_session_what_the_picture_shows(show: Show) -> None:
    tab = show(working(12))

    assert tab.texts("#sessions th button") == [
        *("session", "opened", "closed", "task", "start", "open for"),
        *("transactions", "statements", "longest idle", "findings"),
    ]
    assert tab.texts("#sessions tbody td") == [
        *("12", "load\napp/users.py:31", "load\napp/users.py:40", "Task-3", "0 ms", "100 ms"),
        *("1", "2", "80.0 ms", ""),
    ]


def test_the_table_is_sorted_by_its_headings(show: Show) -> None:
    made = Recording()
    for number, lasting in [(1, 20), (2, 50), (3, 10)]:
        made.session(number, number, number + lasting)
    tab = show(made)
    tab.click("#sessions th:nth-child(6) button")
    longest_first = tab.texts("#sessions tbody td:first-child")
    tab.click("#sessions th:nth-child(6) button")

    assert longest_first == ["2", "1", "3"]
    assert tab.texts("#sessions tbody td:first-child") == ["3", "1", "2"]
    assert tab.ask("document.querySelector('#sessions th:nth-child(6)').ariaSort") == "ascending"


def test_a_long_table_grows_when_asked(show: Show) -> None:
    tab = show(by_chance(450))
    before = tab.text("#more")
    tab.click("#more")

    assert before == "Show 200 more of 250"
    assert tab.ask("document.querySelectorAll('#sessions tbody tr').length") == 400


def test_a_link_in_a_table_leads_to_the_details(show: Show) -> None:
    tab = show(three_sessions())
    tab.ask("document.querySelector('#gaps tbody button').focus()")
    tab.key("Enter")

    assert tab.ask("document.activeElement.id") == "details"
    assert tab.text("#details h3") == "Idle in a transaction"

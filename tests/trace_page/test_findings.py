"""The page of a trace: findings and idle gaps, and their details."""

from __future__ import annotations

from traces import Recording, by_chance

from trace_page.pages import Show, at, colour, colours, pooled, working


def test_a_finding_is_marked_and_told_with_both_acts(show: Show) -> None:
    made = working()
    made.finding(1, 50)
    tab = show(made)

    assert colour(tab, "#lanes canvas", 50, 8) in colours(tab, "failed")
    assert tab.text("#findings summary") == "SES001 session-not-closed 1 finding"
    assert tab.texts("#findings .acts li") == ["app/users.py:31 opened here", "app/api.py:12 its task ended here"]


def test_findings_of_one_place_stand_together(show: Show) -> None:
    made = Recording()
    for number in range(1, 4):
        made.session(number, number, number + 5)
        made.finding(number, number + 4)
    tab = show(made)

    assert tab.texts("#findings li > p:first-child") == ["the session is still open when its task ends"]
    assert tab.texts("#findings .where button") == ["session 1", "session 2", "session 3"]


def test_pressing_on_a_finding_tells_its_acts(show: Show) -> None:
    made = working()
    made.finding(1, 50)
    tab = show(made)
    x, y = at(tab, 50)
    tab.press(x, y - 9)

    assert tab.text("#details h3") == "SES001 session-not-closed"
    assert tab.texts("#details .acts li")[1] == "app/api.py:12 its task ended here"


def test_a_finding_of_an_engine_is_marked_at_its_pool(show: Show) -> None:
    made = pooled()
    made.finding(1_000_001, 50, "SES007 factory-misconfigured", severity="warning", message="three engines for one URL")
    tab = show(made)

    assert tab.texts("#pools .label .warning") == [""]
    assert tab.texts("#findings .where button") == ["postgresql+psycopg://localhost/shop"]


def test_pressing_on_a_gap_tells_what_is_around_it(show: Show) -> None:
    tab = show(working())
    tab.press(*at(tab, 60))

    assert tab.text("#details h3") == "Idle in a transaction"
    assert tab.text("#details .took").startswith("80.0 ms from 10.0 ms")
    assert tab.texts("#details .item dd") == ["app/users.py:33 in load", "app/users.py:38 in load"]


def test_pointing_at_a_statement_shows_its_sql(show: Show) -> None:
    tab = show(working())
    tab.mouse("mouseMoved", *at(tab, 5))

    assert tab.text("#tip pre") == "SELECT users.name FROM users WHERE users.id = ?"
    assert tab.text("#cursor-time") == "5.0 ms"


def test_the_details_list_a_session_in_its_order(show: Show) -> None:
    tab = show(working(), "#session=1")

    assert tab.texts(".event bdi") == [
        "Transaction: committed",
        "SELECT users",
        "Idle in a transaction",
        "UPDATE users",
    ]


def test_a_link_to_a_session_opens_it(show: Show) -> None:
    tab = show(by_chance(60), "#session=33")

    assert "Session 33" in tab.texts("#details h3")
    assert tab.texts("#lanes .label.chosen .number") == ["33"]


def test_choosing_a_session_makes_a_link_to_it(show: Show) -> None:
    tab = show(working(12))
    tab.click("#lanes .label")

    assert tab.ask("location.hash") == "#session=12"

"""The page of a trace: how many connections were in use, and who held them."""

from __future__ import annotations

import pytest

from trace_page.pages import Show, at, colour, colours, pooled, working


@pytest.mark.parametrize(
    ("ms", "reading"), [(5, "0 of 2 in use"), (20, "1 of 2 in use"), (45, "3 of 2 in use"), (59, "2 of 2 in use")]
)
def test_the_pool_says_how_much_is_in_use_at_a_time(ms: int, reading: str, show: Show) -> None:
    tab = show(pooled(), f"#at={ms}")

    assert tab.text("#pools output") == reading


def test_the_pool_says_its_peak_where_no_time_is_asked_for(show: Show) -> None:
    assert show(pooled()).text("#pools .label") == "shop\npostgresql+psycopg://localhost\npeak 3 of 2"


def test_what_exceeds_the_size_of_the_pool_has_another_colour(show: Show) -> None:
    tab = show(pooled())
    bottom, top = 48, 14  # pixels of a pool's row, three connections high

    assert colour(tab, "#pools canvas", 45, bottom) in colours(tab, "pool")
    assert colour(tab, "#pools canvas", 45, top) in colours(tab, "pool-over")
    assert colour(tab, "#pools canvas", 35, top) in colours(tab, "panel")


def test_pressing_on_a_pool_tells_who_holds_its_connections(show: Show) -> None:
    tab = show(pooled())
    x, _ = at(tab, 45)
    tab.press(x, tab.middle("#pools canvas")[1])

    assert tab.texts(".holds li") == [
        "connection 1 for 35.0 ms\n\napp/users.py:33 in load session 1",
        "connection 2 for 15.0 ms\n\napp/jobs.py:2 in run",
        "connection 3 for 5.00 ms\n\napp/jobs.py:3 in run",
    ]


def test_a_connection_that_never_came_back_is_held_until_the_end(show: Show) -> None:
    made = working()
    made.pool(1)
    made.checkout(1, 7, 20, 1)
    tab = show(made)
    x, _ = at(tab, 99.9)
    tab.press(x, tab.middle("#pools canvas")[1])

    assert tab.text(".holds strong") == "connection 7"
    assert "never returned" in tab.text(".holds li")


def test_many_engines_do_not_push_the_sessions_out_of_sight(show: Show) -> None:
    made = working()
    for engine in range(1, 200):
        made.pool(engine, f"sqlite:///{engine}.db")
        made.in_use(engine, 10, 1)
    tab = show(made)

    assert tab.box("#pools")["height"] < 200
    assert len(tab.texts("#pools .label")) < 10

"""The page of a trace: finding one's way with wheel, pointer, fingers and keys."""

from __future__ import annotations

import pytest
from traces import MS, Recording, by_chance

from trace_page.pages import Show, at, press_key, window, working


def test_the_wheel_zooms_to_what_is_under_the_pointer(show: Show) -> None:
    tab = show(working())
    before = window(tab)
    x, y = at(tab, 30)
    tab.wheel(x, y, -200)
    tab.until("!waiting")

    assert window(tab)[1] - window(tab)[0] < (before[1] - before[0]) * 0.8
    assert at(tab, 30)[0] == pytest.approx(x, abs=0.5)


def test_zooming_out_ends_at_the_whole_run(show: Show) -> None:
    tab = show(working())
    before = window(tab)
    for _ in range(3):
        tab.wheel(*at(tab, 30), 2000)

    assert window(tab) == pytest.approx(before)


def test_dragging_moves_the_time(show: Show) -> None:
    tab = show(working())
    press_key(tab, "+")
    x, y = at(tab, 50)
    tab.drag((x, y), (x - 60, y))

    assert at(tab, 50)[0] == pytest.approx(x - 60, abs=0.5)
    assert not tab.ask("document.body.classList.contains('with-details')")


def test_two_fingers_zoom(show: Show) -> None:
    tab = show(working())
    before = window(tab)
    x, y = at(tab, 50)
    for kind, apart in [("touchStart", 40), ("touchMove", 60), ("touchMove", 120), ("touchEnd", 0)]:
        points = [{"x": x - apart, "y": y, "id": 1}, {"x": x + apart, "y": y, "id": 2}] if apart else []
        tab.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    assert window(tab)[1] - window(tab)[0] == pytest.approx((before[1] - before[0]) / 3, rel=0.35)


@pytest.mark.parametrize(
    ("key", "narrower", "later"),
    [
        ("+", True, None),
        ("-", False, None),
        ("ArrowRight", None, True),
        ("ArrowLeft", None, False),
        ("End", None, True),
    ],
)
def test_keys_zoom_and_move(key: str, narrower: bool | None, later: bool | None, show: Show) -> None:
    tab = show(working())
    tab.ask("view.set(40000, 60000)")
    press_key(tab, key)
    start, end = window(tab)

    assert (end - start < 20 if narrower else end - start > 20) if narrower is not None else end - start == 20
    assert later is None or (start > 40) == later


def test_arrows_choose_the_next_session_and_say_it(show: Show) -> None:
    made = working(1)
    made.session(2, 50, 60)
    tab = show(made)
    press_key(tab, "ArrowDown")
    press_key(tab, "ArrowDown")

    assert tab.texts("#lanes .label.chosen .number") == ["2"]
    assert tab.text("#announced").startswith("Session 2, opened at app/users.py:31 in load, 0 statements")


def test_n_goes_from_gap_to_finding_and_p_back(show: Show) -> None:
    made = working()
    made.finding(1, 95)
    tab = show(made)
    titles = []
    for key in "nnp":
        press_key(tab, key)
        titles.append(tab.text("#details h3"))

    assert titles == ["Idle in a transaction", "SES001 session-not-closed", "Idle in a transaction"]


def test_pressing_on_the_map_moves_the_window_there(show: Show) -> None:
    tab = show(by_chance(300))
    box = tab.box("#map")
    tab.press(box["x"] + box["width"] * 0.8, box["y"] + 20)
    start, end = window(tab)

    assert (start + end) / 2 == pytest.approx(tab.ask("trace.duration") / MS * 0.8, rel=0.02)


def test_only_sessions_of_the_window_have_lanes_until_all_are_asked_for(show: Show) -> None:
    made = Recording()
    for number in range(1, 11):
        made.session(number, number * 100, number * 100 + 50)
    tab = show(made)
    tab.ask("view.set(190_000, 260_000)")
    tab.until("!waiting")
    within = tab.texts("#lanes .number")
    tab.click("#only-here")
    tab.until("!waiting")

    assert within == ["3"]
    assert tab.text("#shown") == "10 sessions"


def test_of_many_sessions_only_those_in_sight_exist(show: Show) -> None:
    tab = show(by_chance(2000))
    tab.click("#fit")
    tab.until("!waiting")
    first = tab.texts("#lanes .number")
    tab.ask("document.querySelector('#lanes').scrollTop = 1e6")
    tab.until("!waiting")
    last = tab.texts("#lanes .number")

    assert first[0] == "1"
    assert last[-1] == "2000"
    assert len(first) < 40


def test_a_chosen_session_far_away_comes_into_sight(show: Show) -> None:
    tab = show(by_chance(2000))
    tab.ask("show(trace.byKey.get('1777'), null)")
    tab.until("!waiting")

    assert "1777" in tab.texts("#lanes .label.chosen .number")


def test_a_frame_of_fifty_thousand_statements_draws_no_more_than_can_be_seen(show: Show) -> None:
    made = Recording()
    made.session(1, 0, 100_000)
    for number in range(50_000):
        made.statement(1, number * 2, number * 2 + 1)
    tab = show(made)
    drawn = tab.ask(
        """(() => {
          let drawn = 0;
          const { fillRect } = CanvasRenderingContext2D.prototype;
          CanvasRenderingContext2D.prototype.fillRect = function (...box) { drawn += 1; fillRect.apply(this, box); };
          lanes.draw(view, colours, null);
          CanvasRenderingContext2D.prototype.fillRect = fillRect;
          return drawn;
        })()"""
    )

    assert 500 < drawn < 1500  # the picture is some 950 pixels wide

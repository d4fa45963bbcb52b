"""The page of a trace: for every screen, every eye, every way to read, and paper."""

from __future__ import annotations

from itertools import pairwise

import pytest
from traces import by_chance

from trace_page.pages import Show, colour, press_key, three_sessions, window, working


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground", "least"),
    [
        ("ink", "panel", 7.0),
        ("soft", "panel", 4.5),
        ("soft", "paper", 4.5),
        ("focus", "panel", 4.5),
        ("idle-ink", "panel", 4.5),
        ("statement", "panel", 3.0),
        ("statement", "transaction", 3.0),
        ("failed", "panel", 3.0),
        ("warning", "panel", 3.0),
        ("pool", "panel", 3.0),
        ("idle-stripe", "panel", 3.0),
    ],
)
def test_what_is_to_be_seen_stands_out(text: str, ground: str, least: float, scheme: str, show: Show) -> None:
    tab = show(working())
    tab.look(scheme=scheme)
    style = "getComputedStyle(document.documentElement)"
    pair = [tab.ask(f"{style}.getPropertyValue('--{name}').trim()") for name in (text, ground)]

    assert contrast(*pair) >= least


def contrast(one: str, other: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio"""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_picture_follows_the_colour_scheme(show: Show) -> None:
    tab = show(working())
    light = colour(tab, "#lanes canvas", 5, 2)
    tab.look(scheme="dark")
    tab.until("!waiting")

    assert (light, colour(tab, "#lanes canvas", 5, 2)) == ("#ffffff", "#171d24")


@pytest.mark.parametrize("width", [320, 390, 768, 1180, 1920])
def test_no_width_needs_scrolling_sideways(width: int, show: Show) -> None:
    tab = show(by_chance(40, engines=2), "#session=3", width=width)

    assert tab.ask("document.documentElement.scrollWidth") <= width
    assert tab.box("#lanes canvas")["width"] > 150


def test_whoever_wants_no_motion_is_there_at_once(show: Show) -> None:
    tab = show(by_chance(200))
    moves = "(() => { const { from } = view; show(trace.byKey.get('150'), null); return view.from - from; })()"
    at_once = tab.ask(moves)
    tab.until("!waiting")
    there = window(tab)
    tab = show(by_chance(200))
    tab.look(calm=False)
    glided = tab.ask(moves)
    tab.until(f"Math.abs(view.from / 1000 - {there[0]}) < 1")

    assert at_once > 0
    assert glided == 0


def test_every_control_has_a_name_and_every_table_a_caption(show: Show) -> None:
    tab = show(three_sessions(), "#session=1")
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    named = {"button", "link", "checkbox", "searchbox", "table", "group", "complementary", "region"}
    roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
    nameless = [
        node["role"]["value"]
        for node in nodes
        if not node["ignored"] and node["role"]["value"] in named and not node["name"]["value"]
    ]

    assert nameless == []
    assert {"button", "checkbox", "searchbox", "table", "group", "complementary", "region"} <= set(roles)


def test_headings_go_down_one_level_at_a_time(show: Show) -> None:
    tab = show(three_sessions(), "#session=1")
    levels = tab.ask(
        "[...document.querySelectorAll('h1, h2, h3')].filter((h) => h.checkVisibility()).map((h) => +h.tagName[1])"
    )

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_enter_leads_from_the_picture_to_its_details(show: Show) -> None:
    tab = show(working())
    press_key(tab, "ArrowDown")
    press_key(tab, "Enter")

    assert tab.ask("document.activeElement.id") == "details"


def test_paper_gets_all_rows_and_no_controls(show: Show) -> None:
    tab = show(by_chance(450))
    tab.call("Page.printToPDF")
    tab.call("Emulation.setEmulatedMedia", media="print")
    controls = tab.ask(
        "['#filter', '#fit', '#more', '#map'].filter((id) => document.querySelector(id).checkVisibility())"
    )
    tab.call("Emulation.setEmulatedMedia", media="")

    assert tab.ask("document.querySelectorAll('#sessions tbody tr').length") == 450
    assert controls == []

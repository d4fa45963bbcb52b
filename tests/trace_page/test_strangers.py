"""The page of a trace: what is in it stays text, and nothing is asked of the network."""

from __future__ import annotations

import json

import pytest
from traces import Recording

from trace_page.pages import Show, at, press_key, working

ATTACKS = [
    "</script><script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 1'>",
    "<!--<script>",
    "]]>",
    '" onmouseover="window.broken = 1" x="',
    "javascript:window.broken=1",
    "${window.broken = 1}",
    "<!-- data --><!-- policy -->",
    "\u2028window.broken = 1\u2029",
    "\ud800 \x00 \u202e",
    "&lt;b&gt;",
    "<style>*{display:none}</style>",
]


def of_strangers(text: str) -> Recording:
    """A trace in which every text is the given one."""
    made = Recording(command=text)
    made.session(1, 0, 100, opened=f"{text} in {text}", closed=text, task=text, kind=text)
    made.transaction(1, 0, 100, text)
    made.statement(1, 0, 10, f"{text} x", at=text, failed=text)
    made.idle(1, 10, 90, after=text, before=text)
    made.finding(1, 95, f"{text} {text}", message=text, path=text, severity=text, trace=[[text, 1, text]])
    made.pool(1, text)
    made.in_use(1, 10, 1)
    made.checkout(1, 1, 10, 1, holder=text)
    return made


@pytest.mark.parametrize("text", ATTACKS, ids=range(len(ATTACKS)))
def test_text_stays_text(text: str, show: Show) -> None:
    tab = show(of_strangers(text), "#session=1")
    tab.mouse("mouseMoved", *at(tab, 5))
    for ms in (5, 50, 95):
        tab.press(*at(tab, ms))
    tab.press(at(tab, 50)[0], tab.middle("#pools canvas")[1])

    assert tab.ask("window.broken") is None
    assert tab.ask("document.querySelectorAll('img, iframe, object, embed, svg').length") == 0
    assert tab.ask("document.scripts.length") == 10
    assert tab.ask("document.querySelector('h1').textContent") == tab.ask(f"JSON.parse({json.dumps(json.dumps(text))})")


def test_a_script_that_is_not_of_the_page_does_not_run(show: Show) -> None:
    tab = show(working())
    tab.ask("document.body.append(element('script', {}, 'window.broken = 1'))")

    assert tab.ask("window.broken") is None
    assert "Content Security Policy" in tab.complaints.pop()


@pytest.mark.parametrize(
    "attempt",
    [
        "fetch('http://127.0.0.1:9/')",
        "new Promise((_, no) => { const image = new Image(); image.onerror = no; image.src = 'http://127.0.0.1:9/'; })",
        "import('http://127.0.0.1:9/x.js')",
    ],
)
def test_nothing_can_be_asked_of_the_network(attempt: str, show: Show) -> None:
    tab = show(working())
    refused = tab.ask(f"{attempt}.then(() => 'loaded', () => 'refused')")
    tab.until("true")

    assert refused == "refused"
    assert tab.complaints
    assert all("Content Security Policy" in complaint for complaint in tab.complaints)
    tab.complaints.clear()
    tab.requests[:] = [url for url in tab.requests if not url.startswith("http://127.0.0.1:9/")]


def test_times_that_are_centuries_apart_can_be_looked_at(show: Show) -> None:
    made = working()
    made.session(2, 8e12, 8e12 + 1)
    tab = show(made)
    press_key(tab, "End")
    for key in "+++-0":
        press_key(tab, key)

    assert tab.texts("#lanes .number") == ["1", "2"]


def test_twenty_thousand_findings_of_one_place_are_one_entry(show: Show) -> None:
    made = working()
    for number in range(20_000):
        made.finding(1, number / 200)
    tab = show(made)

    assert tab.text("#findings summary").endswith("20,000 findings")
    assert tab.ask("document.querySelectorAll('#findings .where').length") == 1

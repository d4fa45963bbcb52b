"""Recordings to show, and questions about the picture of one."""

from __future__ import annotations

import json
from collections.abc import Callable

from traces import MS, Recording

from trace_page.tab import Tab

Show = Callable[..., Tab]

SESSION = 34  # pixels of a row


def working(number: int = 1, start: float = 0) -> Recording:
    """One session of 100 ms: 10 ms of work, 80 ms idle in its transaction, 10 ms of work."""
    made = Recording()
    made.session(number, start, start + 100)
    made.transaction(number, start, start + 100)
    made.statement(number, start, start + 10, "SELECT users.name FROM users WHERE users.id = ?")
    made.idle(number, start + 10, start + 90)
    made.statement(number, start + 90, start + 100, "UPDATE users SET name=?")
    return made


def pooled() -> Recording:
    """A pool of two: one connection from 10 to 90 ms, another from 30 to 60 ms, and a third from 40 to 50 ms."""
    made = working()
    made.pool(1)
    for connection, (start, end) in enumerate([(10, 90), (30, 60), (40, 50)], 1):
        session, holder = (
            (1, "app/users.py:33 in load") if connection == 1 else (None, f"app/jobs.py:{connection} in run")
        )
        made.checkout(1, connection, start, session, holder=holder)
        made.checkin(1, connection, end, session, holder=holder)
    for at, count in [(10, 1), (30, 2), (40, 3), (50, 2), (60, 1), (90, 0)]:
        made.in_use(1, at, count, 2)
    return made


def colour(tab: Tab, canvas: str, ms: float, y: float) -> str:
    """The colour of a picture at a time and a height, as `#rrggbb`."""
    return str(
        tab.ask(
            f"""(() => {{
              const canvas = document.querySelector({json.dumps(canvas)});
              const copy = new OffscreenCanvas(canvas.width, canvas.height);
              const pen = copy.getContext("2d", {{ willReadFrequently: true }});
              pen.drawImage(canvas, 0, 0);
              const x = Math.round(view.scale(canvas.clientWidth).x({ms * MS}));
              const [r, g, b] = pen.getImageData(x, {y}, 1, 1).data;
              return "#" + [r, g, b].map((part) => part.toString(16).padStart(2, "0")).join("");
            }})()"""
        )
    )


def colours(tab: Tab, *names: str) -> set[str]:
    return {str(tab.ask(f"palette()['{name}']")) for name in names}


def at(tab: Tab, ms: float, row: int = 0) -> tuple[float, float]:
    """Where on the screen a time of a session is."""
    box = tab.box("#lanes canvas")
    x = tab.ask(f"view.scale(document.querySelector('#lanes canvas').clientWidth).x({ms * MS})")
    return box["x"] + x, box["y"] + (row + 0.5) * SESSION


def window(tab: Tab) -> tuple[float, float]:
    start, end = tab.ask("[view.from, view.to]")
    return start / MS, end / MS


def press_key(tab: Tab, key: str) -> None:
    tab.ask("document.querySelector('#pictures').focus()")
    tab.key(key)
    tab.until("!waiting")


def three_sessions() -> Recording:
    """One that is idle, one with a finding, one with neither."""
    made = working(1)
    made.session(2, 10, 20, opened="app/orders.py:3 in place", task="mailer")
    made.finding(2, 15)
    made.session(3, 30, 40, opened="app/jobs.py:9 in nightly")
    return made

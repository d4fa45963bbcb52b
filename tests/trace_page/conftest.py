"""A recording, shown in a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime.browser import find_browser
from traces import Recording

from hermetic.report.html.trace import render
from hermetic.report.trace_reader import read
from trace_page.pages import Show
from trace_page.tab import Tab, opened


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with opened(find_browser()) as tab:
        yield tab


@pytest.fixture
def show(tab: Tab, tmp_path: Path) -> Iterator[Show]:
    """Makes the page of a recording and opens it. In the end no script may have complained, and nothing been loaded."""
    page = tmp_path / "out.html"

    def shown(recording: Recording, fragment: str = "", width: int = 1280) -> Tab:
        trace = read(json.dumps(recording.document()).encode())
        page.write_text(render(trace, "out.json"), encoding="utf-8")
        tab.complaints.clear()
        tab.look(width=width)
        tab.open(page.as_uri() + fragment)
        return tab

    yield shown
    assert tab.complaints == []
    assert tab.requests == [page.as_uri()]

"""What a stream can show: colours only on a terminal, and never against the user's wish."""

from __future__ import annotations

import os
from typing import TextIO

from hermetic.report.style import COLOUR, PLAIN, Styles


def styles_for(stream: TextIO) -> Styles:
    """https://no-color.org: NO_COLOR, present and not empty, wins over everything."""
    if os.environ.get("NO_COLOR"):
        return PLAIN
    if os.environ.get("FORCE_COLOR"):
        return COLOUR
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return PLAIN
    return COLOUR

"""What to tell a user when hermetic itself fails."""

from __future__ import annotations

import platform
import traceback

from hermetic import __version__


def describe(error: BaseException) -> str:
    """Where it failed, in hermetic's own code, and how to report it."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = "\n".join(f"    {frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
    return (
        f"hermetic: internal error: {type(error).__name__}: {error}\n{places}\n\n"
        "This is a bug in hermetic, not in your code. Please report it with the lines above and, if you can, the "
        "file that was being checked.\n"
        f"hermetic {__version__}, Python {platform.python_version()}, {platform.system()}"
    )

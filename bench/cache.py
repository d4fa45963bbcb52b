"""Where the benchmarks keep what they download: outside of the repository, and kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cached(name: str) -> Path:
    """The directory of that name in the benchmarks' cache, made where it is missing."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    directory = Path(base) / "hermetic-bench" / name
    directory.mkdir(parents=True, exist_ok=True)
    return directory

"""`hermetic clean`."""

from __future__ import annotations

import os
import sys
from argparse import Namespace

from hermetic.cache import place
from hermetic.cache.clean import Kept, kept
from hermetic.cli.terminal import write

USAGE = 2


def run(options: Namespace) -> int:
    """Remove the caches of all projects, or say where they are and how large."""
    directory = place.directory()
    try:
        place.check(directory)
        files = kept(directory)
        removed = files if options.dry_run else [file for file in files if _is_removed(file)]
    except (OSError, place.Distrusted) as error:
        print(f"hermetic: {error}", file=sys.stderr)
        return USAGE
    what = "would remove" if options.dry_run else "removed"
    count = f"{len(removed)} file{'' if len(removed) == 1 else 's'}"
    write(f"{what} {count}, {sum(file.size for file in removed) / 1e6:.1f} MB, in {directory}")
    return 0


def _is_removed(file: Kept) -> bool:
    """Remove a file, if nobody else has. Raises OSError."""
    try:
        os.unlink(file.path)
    except FileNotFoundError:
        return False
    return True

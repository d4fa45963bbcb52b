"""What becomes of kept results and reports when files are edited in a way that no finding depends on."""

from __future__ import annotations

import contextlib
import marshal

from hermetic.cache.memory import Edited, Memory, Printed
from hermetic.cache.stored import Front, Key, Text
from hermetic.engine.neutral import Moved, moved_lines
from hermetic.engine.source import facts_of
from hermetic.files import SUPPRESSION, lines


def moved(edited: Edited) -> dict[str, Moved] | None:
    """Where lines are now, of each file that was edited; None if an edit may matter."""
    texts = edited.packed[2]
    found: dict[str, Moved] = {}
    for path, (facts, content) in edited.files.items():
        to = None if SUPPRESSION in content else moved_lines(facts, content)
        if to is None or not _still_there(texts.get(path, {}), to, lines(content)):
            return None
        found[path] = to
    return found


def _still_there(named: Text, to: Moved, now: list[str]) -> bool:
    """Do the lines that the results name read as they did?"""
    return named is not None and all(line in to and now[to[line] - 1] == text for line, text in named.items())


def keep(memory: Memory, edited: Edited, found: dict[str, Moved]) -> None:
    """Keep what the edited files hold now, and what the results hang on there."""
    memory.hangs_on({path: _moved_text(text, found.get(path)) for path, text in edited.packed[2].items()})
    for path, (facts, content) in edited.files.items():
        are_same = all(line == now for line, now in found[path].items())
        with contextlib.suppress(ValueError):  # blocks nested beyond what marshal can do
            memory.keep(edited.looked.digest(path), marshal.dumps(facts if are_same else facts_of(content)))


def _moved_text(named: Text, to: Moved | None) -> Text:
    return named if named is None or to is None else {to[line]: text for line, text in named.items()}


def still_holds(root: str, key: Key, front: Front, moved_files: list[str]) -> bool:
    """Does the report of that key hold to the letter, although these files may have changed? Then it is kept for the
    files as they are now."""
    places, exit_code, before, after, results_key = front[2][key]
    memory = Memory(root)
    edited = memory.edited(root, results_key, {}, (front, moved_files)) if results_key is not None else None
    found = moved(edited) if edited is not None else None
    if edited is None or found is None or results_key is None or not _stay(edited, found):
        return False
    keep(memory, edited, found)
    memory.save(edited.looked, places, Printed(key, exit_code, before, after, results_key, edited.packed[1], False))
    return True


def _stay(edited: Edited, found: dict[str, Moved]) -> bool:
    """Are all lines that the results name where they were?"""
    texts = edited.packed[2]
    return all(to[line] == line for path, to in found.items() for line in texts.get(path) or ())

"""The caches of one run: one for each project root that it reads."""

from __future__ import annotations

from hermetic.cache.inputs import Places
from hermetic.cache.looked import Looked
from hermetic.cache.memory import Memory
from hermetic.cache.stored import Key


class Caches:
    """Opens caches, and saves them when the report is printed."""

    def __init__(self) -> None:
        self._opened: list[tuple[Memory, Looked, Places]] = []

    def of(self, root: str, looked: Looked, places: Places) -> Memory:
        """What earlier runs have left for a root; what this one sees there is seen through `looked`."""
        memory = Memory(root)
        self._opened.append((memory, looked, places))
        return memory

    def save(self, key: Key | None, exit_code: int, report: tuple[str, str | None]) -> None:
        """Leave what this run has found. A report with a key, on one root, as its files are on disk, can be printed
        again."""
        for memory, looked, places in self._opened:
            if key is not None and len(self._opened) == 1 and not looked.unsaved:
                memory.save(looked, key, (places, exit_code, *report))
            else:
                memory.save(looked)

    def notices(self) -> list[str]:
        """Why caches were not used or not written."""
        return [memory.notice for memory, _, _ in self._opened if memory.notice]

    def paths(self) -> list[str]:
        """The files of the caches."""
        return [memory.path for memory, _, _ in self._opened]

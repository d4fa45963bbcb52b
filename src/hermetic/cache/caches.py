"""The caches of one run: one for each project root that it reads."""

from __future__ import annotations

from collections.abc import Mapping

from hermetic.cache.inputs import Places
from hermetic.cache.looked import Looked
from hermetic.cache.memory import Edited, Memory, Printed
from hermetic.cache.stored import Key


class Caches:
    """Opens caches, and saves them when the report is printed."""

    def __init__(self) -> None:
        self._memories: dict[str, Memory] = {}
        self._looked: dict[str, Looked] = {}
        self._places: dict[str, Places] = {}

    def results(self, root: str, key: Key) -> bytes | None:
        """The packed results of an earlier run, if nothing has changed that they depend on."""
        found = self._memory(root).results(root, key)
        if found is None:
            return None
        self._places[root] = found[0]
        return found[1]

    def edited(self, root: str, key: Key, unsaved: Mapping[str, bytes]) -> Edited | None:
        """The packed results of an earlier run, and which files have been edited since; `unsaved` stands for some."""
        return self._memory(root).edited(root, key, unsaved)

    def of(self, root: str, looked: Looked, places: Places) -> Memory:
        """What earlier runs have left for a root; what this one sees there is seen through `looked`."""
        self._looked[root], self._places[root] = looked, places
        return self._memory(root)

    def save(self, printed: Printed | None) -> None:
        """Leave what this run has found. What it printed can be printed again if it is about one root."""
        for root, places in self._places.items():
            memory, looked = self._memories[root], self._looked.get(root)
            again = None if len(self._places) > 1 else printed
            if looked is not None:
                memory.save(looked, places, again)
            elif again is not None:
                memory.add(places, again)

    def notices(self) -> list[str]:
        """Why caches were not used or not written."""
        return [memory.notice for memory in self._memories.values() if memory.notice]

    def paths(self) -> list[str]:
        """The files of the caches."""
        return [memory.path for memory in self._memories.values()]

    def _memory(self, root: str) -> Memory:
        if root not in self._memories:
            self._memories[root] = Memory(root)
        return self._memories[root]

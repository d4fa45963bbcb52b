"""What a review says: six questions with their answers, and the census behind them."""

from __future__ import annotations

from dataclasses import dataclass

from hermetic.finding import Sighting
from hermetic.report.results import NotAnalysed

YES, NO, PARTLY, NOT_APPLICABLE = "yes", "no", "partly", "not applicable"


@dataclass(frozen=True, slots=True)
class Item:
    """One place that a question asks about. `kind` says in a few words how it is there; `sighting` what a run has
    shown of what is bad there."""

    path: str
    line: int
    function: str
    kind: str
    good: bool
    sighting: Sighting | None = None

    @property
    def text(self) -> str:
        """The kind, and what a run has shown."""
        return self.kind if self.sighting is None else f"{self.kind}, {self.sighting.words}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its numbers; `packages` has the same for each package, when there are several."""

    answer: str
    good: int
    total: int


@dataclass(frozen=True, slots=True)
class Question:
    """`unit` is what is counted, in the plural; `counts` how many items there are of each kind, `evidence` the bad."""

    id: str
    question: str
    unit: str
    answer: Answer
    counts: tuple[tuple[str, int], ...]
    evidence: tuple[Item, ...]
    packages: tuple[tuple[str, Answer], ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the census: a place, and what is known of it by name."""

    path: str
    line: int
    function: str
    facts: tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True)
class Review:
    """`census`: kind of place -> all of them, in the order of the code."""

    questions: tuple[Question, ...]
    census: tuple[tuple[str, tuple[Entry, ...]], ...]
    not_analysed: tuple[NotAnalysed, ...]

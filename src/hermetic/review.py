"""The six questions of a session review, answered by counting: what `hermetic review` prints.

Each question has its items, places of the code that are as they should be or not; what `check` finds makes an item
bad, or adds one. Yes means all of them, no means none, partly anything between; without items it does not apply.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

from hermetic.driver import Surveyed
from hermetic.engine import census
from hermetic.engine.program import CLI, REQUEST, STARTUP, TEST, WORKER, Place, Program
from hermetic.finding import Finding
from hermetic.report.answers import NO, NOT_APPLICABLE, PARTLY, YES, Answer, Entry, Item, Question, Review
from hermetic.report.results import NotAnalysed

Kind = TypeVar("Kind")

CONTEXTS = ((REQUEST, "request"), (WORKER, "worker"), (CLI, "command line"), (STARTUP, "start-up"), (TEST, "test"))


class Asked(NamedTuple):
    """A question, what is counted for it, and the rules whose findings answer it. `of_functions`: a function counts
    once, whatever is found in it; else each line does."""

    id: str
    question: str
    unit: str
    rules: tuple[str, ...]
    of_functions: bool


QUESTIONS = (
    Asked("context-managers", "Are all sessions used as context managers?", "sessions", ("SES001",), False),
    Asked("own-session", "Does each request or job get its own session?", "entry points", ("SES002", "SES103"), True),
    Asked("begin", "Are transactions explicit `begin()` blocks?", "write scopes", ("SES101", "SES006"), False),
    Asked("async", "Does asynchronous code use AsyncSession?", "coroutine functions", ("SES004",), True),
    Asked("inside", "Are objects used before their session ends?", "functions that load rows", ("SES005",), True),
    Asked("configured-once", "Are engine and factory configured once?", "engines and factories", ("SES007",), False),
)


def review(surveyed: Iterable[Surveyed]) -> Review:
    """Answer the questions from the census of one or several projects."""
    items: list[list[Item]] = [[] for _ in QUESTIONS]
    entries: dict[str, list[Entry]] = {}
    unread: list[NotAnalysed] = []
    for survey in surveyed:
        unread.extend(survey.not_analysed)
        taken = _Census(survey)
        for number, found in enumerate(taken.items()):
            items[number].extend(_with_findings(found, survey.findings, QUESTIONS[number]))
        for kind, entry in taken.entries():
            entries.setdefault(kind, []).append(entry)
    questions = tuple(
        _question(asked, sorted(set(found), key=_order)) for asked, found in zip(QUESTIONS, items, strict=True)
    )
    ordered = tuple((kind, tuple(sorted(found, key=_order))) for kind, found in entries.items())
    return Review(questions, ordered, tuple(sorted(unread, key=lambda entry: entry.path)))


def _order(place: Item | Entry) -> tuple[str, int, str]:
    return place.path, place.line, place.function


def _question(asked: Asked, items: list[Item]) -> Question:
    by_package: dict[str, list[Item]] = {}
    counts: dict[str, int] = {}
    for item in items:
        by_package.setdefault(package_of(item.path), []).append(item)
        counts[item.kind] = counts.get(item.kind, 0) + 1
    packages = tuple((name, _answer(found)) for name, found in sorted(by_package.items()))
    evidence = tuple(item for item in items if not item.good)
    ranked = tuple(sorted(counts.items(), key=lambda count: (-count[1], count[0])))
    each = packages if len(packages) > 1 else ()
    return Question(asked.id, asked.question, asked.unit, _answer(items), ranked, evidence, each)


def _answer(items: list[Item]) -> Answer:
    good = sum(item.good for item in items)
    if not items:
        return Answer(NOT_APPLICABLE, 0, 0)
    return Answer(YES if good == len(items) else PARTLY if good else NO, good, len(items))


def package_of(path: str) -> str:
    """The top-level package or directory that a file belongs to; `src` and the like are looked into."""
    parts = path.split("/")[:-1]
    while len(parts) > 1 and parts[0] in ("src", "lib", "backend", "server", ".", ".."):
        parts = parts[1:]
    return parts[0] if parts else "."


def _with_findings(items: list[Item], findings: tuple[Finding, ...], asked: Asked) -> Iterator[Item]:
    """The items, those bad about which `check` finds something; what it finds elsewhere are items of their own."""
    found: dict[tuple[str, str | int], Finding] = {}
    for finding in findings:
        if finding.rule in asked.rules:
            found.setdefault((finding.at.path, finding.function if asked.of_functions else finding.at.line), finding)
    for item in items:
        bad = found.pop((item.path, item.function if asked.of_functions else item.line), None)
        yield item if bad is None else _bad(bad)
    yield from map(_bad, found.values())


def _bad(finding: Finding) -> Item:
    kind = f"{finding.rule} {finding.name}"
    return Item(finding.at.path, finding.at.line, finding.function, kind, False, finding.sighting)


class _Census:
    """The census of one project, as items of the questions and as entries to be listed."""

    def __init__(self, survey: Surveyed) -> None:
        self.program: Program = survey.program
        self.survey = survey

    def items(self) -> tuple[list[Item], ...]:
        """The items of each question."""
        return (
            [self._item(*at, found.how, found.how == census.BY_WITH) for at, found in self._opened()],
            [self._item(*at, _joined(sources), "shared" not in sources) for at, sources in self._entry_points()],
            [self._item(*at, how, how != census.BY_COMMIT) for at, how in self._committed()],
            [self._item(*at, _joined(found.flavours), True) for at, found in self._worked() if at[0].function.is_async],
            [self._item(*at, "returned" if found.leave else "used inside", True) for at, found in self._rows()],
            [self._item(*at, found.what, True) for at, found in self._configured()],
        )

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Every place of the census, with its kind."""
        for at, opened in self._opened(everything=True):
            yield "sessions", self._entry(*at, how=opened.how, flavour=opened.flavour)
        for at, sources in self._entry_points():
            yield "entry_points", self._entry(*at, contexts=_contexts(at[0]), sessions=sorted(sources))
        for at, how in self._committed():
            yield "write_scopes", self._entry(*at, committed_by=how)
        for at, worked in self._worked():
            flavours, is_async = list(worked.flavours), at[0].function.is_async
            yield "database_work", self._entry(*at, contexts=_contexts(at[0]), is_async=is_async, flavours=flavours)
        for at, rows in self._rows():
            yield "loaded_rows", self._entry(*at, returned=rows.leave)
        for at, configured in self._configured():
            what, options = configured.what, list(configured.options)
            entry = self._entry(*at, what=what, flavour=configured.flavour, options=options)
            yield "engines_and_factories", entry

    # -- where things are ---------------------------------------------------------------------------------------

    def _opened(self, everything: bool = False) -> Iterator[tuple[tuple[Place, int], census.Opened]]:
        """Sessions that somebody here has to end; with `everything` also those that are handed on or borrowed."""
        for place, found in self._observed(census.Opened):
            if everything or found.how not in (census.HANDED_ON, census.OVER_A_CONNECTION):
                yield (place, found.at[1][0]), found

    def _entry_points(self) -> Iterator[tuple[tuple[Place, int], frozenset[str]]]:
        for place in self.program.entry_points():
            sources = self.program.sources(place) if self._is_reported(place) else frozenset()
            if sources:
                yield (place, place.function.line), sources

    def _committed(self) -> Iterator[tuple[tuple[Place, int], str]]:
        for place, found in self._observed(census.Committed):
            yield (place, found.at[1][0]), found.how
        for place, write in self.program.unsaved_writes():
            if self._is_reported(place) and self.program.is_committed_afterwards(place, write):
                yield (place, place.function.line), "after the request"

    def _worked(self) -> Iterator[tuple[tuple[Place, int], census.Worked]]:
        for place, found in self._observed(census.Worked):
            yield (place, place.function.line), found

    def _rows(self) -> Iterator[tuple[tuple[Place, int], census.Rows]]:
        for place, found in self._observed(census.Rows):
            yield (place, place.function.line), found

    def _configured(self) -> Iterator[tuple[tuple[Place, int], census.Configured]]:
        for place, found in self._observed(census.Configured):
            yield (place, found.at[1][0]), found

    def _observed(self, kind: type[Kind]) -> Iterator[tuple[Place, Kind]]:
        return ((place, found) for place, found in self.program.census(kind) if self._is_reported(place))

    def _is_reported(self, place: Place) -> bool:
        return self.program.code.path_of(place.function) in self.survey.files

    def _path(self, place: Place) -> str:
        return self.survey.display(self.program.code.path_of(place.function))

    def _item(self, place: Place, line: int, kind: str, good: bool) -> Item:
        return Item(self._path(place), line, place.function.qualname, kind, good)

    def _entry(self, place: Place, line: int, **facts: object) -> Entry:
        return Entry(self._path(place), line, place.function.qualname, tuple(facts.items()))


def _joined(names: Iterable[str]) -> str:
    return " and ".join(sorted(names))


def _contexts(place: Place) -> list[str]:
    return [name for bit, name in CONTEXTS if place.contexts & bit]


__all__ = ["review"]

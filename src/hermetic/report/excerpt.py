"""Source code with places underlined, for a terminal: what is too long is cut, and wide signs count as two cells."""

from __future__ import annotations

import io
import re
import textwrap
import tokenize
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

from hermetic.report.style import Styles, printable

TAB = 4
LEAST_LABEL = 28  # cells that a label gets, however far to the right its place is
BEFORE_CUT = 8  # cells kept before a place, where the beginning of its line is cut off

LINE_END = re.compile(r"\r\n|\r|\n")  # Python's; str.splitlines knows more
DEF = re.compile(r"\s*(?:async\s+)?def\s")

Paint = Callable[[str], str]


class Label(NamedTuple):
    """A place in a file and what is to be said of it. Columns as in Position; the place that is reported is `main`."""

    line: int
    start: int
    end: int
    text: str
    main: bool


class Place(NamedTuple):
    """A span of cells on a drawn line, and its texts."""

    start: int
    end: int
    texts: list[str]
    main: bool

    @property
    def size(self) -> int:
        return self.end - self.start


class Piece(NamedTuple):
    at: int
    text: str
    paint: Paint


def read_lines(path: str) -> tuple[str, ...]:
    """The lines of a file as Python counts them, whatever is wrong with its encoding; none if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return lines_in(file.read())
    except (OSError, ValueError):
        return ()


lines_of = lru_cache(maxsize=64)(read_lines)


def lines_in(data: bytes) -> tuple[str, ...]:
    """The lines of a file's bytes."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding, "replace")
    except (SyntaxError, LookupError):
        text = data.decode("utf-8", "replace")
    return tuple(LINE_END.split(text.removeprefix("\ufeff")))


def draw(
    source: tuple[str, ...], labels: list[Label], gutter: int, width: int, styles: Styles, mark: Paint
) -> list[str]:
    """The lines of the labels, each once, under the head of their function. `mark` paints what is main."""
    labelled = {line: [label for label in labels if label.line == line] for line in {label.line for label in labels}}
    out: list[str] = []
    last = 0
    for line in _shown(source, labelled):
        if last and line > last + 1:
            out.append(f"{' ' * gutter} {styles.accent('┆')}")
        last = line
        room = max(LEAST_LABEL, width - gutter - 3)
        text, places = _cut(source[line - 1] if line <= len(source) else "", labelled.get(line, []), room)
        main = any(place.main for place in places)
        number = (mark if main else styles.accent)(f"{line:>{gutter}}")
        out.append(f"{number} {styles.accent('│')} {text if places else styles.dim(text)}".rstrip())
        out += [f"{' ' * gutter} {styles.accent('│')} {row}" for row in _underlines(places, room, styles, mark)]
    return out


def _shown(source: tuple[str, ...], labelled: Iterable[int]) -> list[int]:
    """The labelled lines, the head of the function around each, and what stands alone between two of them."""
    lines = set(labelled)
    lines |= {head for line in labelled if (head := _function_head(source, line))}
    lines |= {line + 1 for line in lines if line + 2 in lines and source[line : line + 1] != ("",)}
    return sorted(lines)


def _function_head(source: tuple[str, ...], line: int) -> int:
    """The line of the `def` around a line, by indentation; 0 for none."""
    if not 0 < line <= len(source) or DEF.match(source[line - 1]):
        return 0
    depth = _indent(source[line - 1])
    for number in range(line - 1, 0, -1):
        text = source[number - 1]
        if text.strip() and _indent(text) < depth and DEF.match(text):
            return number
    return 0


def _indent(text: str) -> int:
    expanded = text.expandtabs(8)
    return len(expanded) - len(expanded.lstrip())


def cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(map(_cells_of, text))


def _cells_of(sign: str) -> int:
    if sign.isascii():
        return 1
    if unicodedata.combining(sign) or unicodedata.category(sign) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def _cut(text: str, labels: list[Label], room: int) -> tuple[str, list[Place]]:
    """A line as it is shown, in `room` cells, and the places of its labels on it."""
    pieces, at = _pieces(text.rstrip())
    first, last = _window(at, labels, room)
    shift = at[first] - (first > 0)
    shown = ("…" if first else "") + "".join(pieces[first:last]) + ("…" if last < len(pieces) else "")
    size = max(cells(shown), 1)
    spans: dict[tuple[int, int], Place] = {}
    for label in labels:
        start = min(max(_offset(at, label.start) - shift, 0), size - 1)
        end = min(max(_offset(at, label.end) - shift, start + 1), size)
        place = spans.get((start, end), Place(start, end, [], False))
        spans[start, end] = place._replace(texts=[*place.texts, label.text], main=place.main or label.main)
    return shown, sorted(spans.values())


def _window(at: list[int], labels: list[Label], room: int) -> tuple[int, int]:
    """The characters of a line to show. A place that does not fit loses its end rather than its beginning."""
    size, count = at[-1], len(at) - 1
    if size <= room:
        return 0, count
    focus = next((label for label in labels if label.main), labels[0] if labels else None)
    start, end = (_offset(at, focus.start), _offset(at, focus.end)) if focus else (0, 0)
    first = 0
    if end >= room and start > room // 2:
        least = max(min(start - BEFORE_CUT, end - room + 2), 0)
        first = next(index for index in range(count + 1) if at[index] >= least)
    space = room - (first > 0)
    if size - at[first] <= space:
        return first, count
    return first, max(index for index in range(first, count + 1) if at[index] - at[first] < space)


def _pieces(text: str) -> tuple[list[str], list[int]]:
    """What to show for each character, and the cell that each begins at; one more for the end."""
    pieces: list[str] = []
    at = [0]
    for sign in text:
        pieces.append(" " * (TAB - at[-1] % TAB) if sign == "\t" else printable(sign))
        at.append(at[-1] + cells(pieces[-1]))
    return pieces, at


def _offset(at: list[int], column: int) -> int:
    return at[min(max(column - 1, 0), len(at) - 1)]


def _underlines(places: list[Place], room: int, styles: Styles, mark: Paint) -> list[str]:
    """Underlines of one line and their texts; places that overlap get a row of underlines each."""
    out: list[str] = []
    while places:
        row: list[Place] = []
        left: list[Place] = []
        for place in places:
            (left if row and place.start <= row[-1].end else row).append(place)
        out += _row(row, room, styles, mark)
        places = left
    return out


def _row(row: list[Place], room: int, styles: Styles, mark: Paint) -> list[str]:
    """One row of underlines. The last place's texts stand to its right where they fit; others hang below."""

    def paint(place: Place) -> Paint:
        return mark if place.main else styles.accent

    underlines = [Piece(place.start, ("^" if place.main else "-") * place.size, paint(place)) for place in row]
    hanging = [(place, place.start, list(filter(None, place.texts))) for place in row]
    last, _, texts = hanging[-1]
    beside = last.end + 1
    if texts and all(beside + cells(text) <= room for text in texts):
        underlines.append(Piece(beside, texts[0], paint(last)))
        hanging[-1] = (last, beside, texts[1:])
    out = [_join(underlines)]
    for number, (place, start, texts) in reversed(list(enumerate(hanging))):
        longest = max(map(cells, texts), default=0)
        start = max(0, min(start, room - min(longest, LEAST_LABEL)))
        lines = [Piece(other.start, "│", paint(other)) for other in row[:number] if other.start < start]
        for text in texts:
            out += [
                _join([*lines, Piece(start, part, paint(place))])
                for part in textwrap.wrap(text, max(LEAST_LABEL, room - start))
            ]
    return out


def _join(pieces: list[Piece]) -> str:
    out, at = "", 0
    for piece in sorted(pieces, key=lambda piece: piece.at):
        out += " " * (piece.at - at) + piece.paint(piece.text)
        at = max(at, piece.at) + cells(piece.text)
    return out

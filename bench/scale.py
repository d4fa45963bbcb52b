"""Time and memory of `hermetic check` against the size of the tree: the curve has to be a straight line.

The trees are real code: apache-airflow-core 3.3.2, and renamed copies of it in which each module imports its own copy
before. Smaller trees are every second, third, ... file of one copy.

usage: python bench/scale.py [--lines 10k,100k,1M] [--keep DIRECTORY] [--plot FILE.svg]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from speed import HERMETIC, WHEELS, Usage, measured, unpacked, with_bytecode

PACKAGE = "airflow"
UNITS = {"k": 1_000, "M": 1_000_000}


@dataclass(frozen=True, slots=True)
class Point:
    """One tree: lines, files, and what a check of it took."""

    lines: int
    files: int
    sessions: int
    findings: int
    usage: Usage


def main() -> None:
    """Measure trees of growing size, print a table and draw a plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", default="10k,30k,100k,300k,1M", help="sizes of the trees (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="leave the trees there")
    parser.add_argument("--plot", type=Path, metavar="FILE", default=Path(__file__).with_name("scale.svg"))
    options = parser.parse_args()
    with_bytecode("hermetic")
    points = []
    with tempfile.TemporaryDirectory() as scratch:
        for size in options.lines.split(","):
            tree = (options.keep or Path(scratch)) / size
            points.append(check(tree, number_of(size)))
            print(row(points[-1]), flush=True)
    options.plot.write_text(plot(points), encoding="utf-8")
    print(f"\n{table(points)}\n\n{growth(points)}\n{options.plot}")


def number_of(size: str) -> int:
    """`100k` as a number."""
    return int(float(size.rstrip("kM")) * UNITS.get(size[-1], 1))


def check(tree: Path, lines: int) -> Point:
    """Make a tree of about that many lines, and check it without a cache."""
    made = files = 0
    for path, text in modules(lines):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text, encoding="utf-8")
        made += text.count("\n")
        files += 1
    (tree / ".git").mkdir(exist_ok=True)
    usage, output = measured([sys.executable, "-m", *HERMETIC, "."], tree)
    document = json.loads(output)
    return Point(made, files, document["summary"]["sessions"], len(document["findings"]), usage)


def modules(lines: int) -> Iterator[tuple[str, str]]:
    """Paths and texts of modules that have about so many lines together."""
    source = unpacked(WHEELS[0])
    paths = sorted((source / PACKAGE).rglob("*.py"))
    whole = sum(path.read_bytes().count(b"\n") for path in paths)
    paths = paths[:: max(1, round(whole / lines))]
    name = re.compile(rf"\b{PACKAGE}\b")
    copy = 0
    while lines > 0:
        for path in paths:
            relative = path.relative_to(source / PACKAGE).as_posix()
            text = name.sub(f"{PACKAGE}_{copy}", path.read_text(encoding="utf-8"))
            if copy and path.name != "__init__.py":
                before = f"{PACKAGE}_{copy - 1}/{relative}".removesuffix(".py").replace("/", ".")
                text += f"\nimport {before} as copy_before\n"
            yield f"{PACKAGE}_{copy}/{relative}", text
            lines -= text.count("\n")
            if lines <= 0:
                return
        copy += 1


NAMES = ("lines", "files", "sessions", "findings", "CPU", "wall", "CPU a 100k lines", "peak memory")


def row(point: Point) -> str:
    """One line of the table."""
    usage = point.usage
    rate = usage.cpu / point.lines * 100_000
    figures = f"{usage.cpu:.2f} s | {usage.wall:.2f} s | {rate:.2f} s | {usage.peak / 1e6:,.0f} MB"
    return f"| {point.lines:,} | {point.files:,} | {point.sessions:,} | {point.findings:,} | {figures} |"


def table(points: Sequence[Point]) -> str:
    """All points."""
    return "\n".join([f"| {' | '.join(NAMES)} |", "|---" * len(NAMES) + "|", *map(row, points)])


def growth(points: Sequence[Point]) -> str:
    """How the last step of the curve compares with a straight line."""
    if len(points) < 2:
        return ""
    first, last = points[-2:]
    lines, cpu = last.lines / first.lines, last.usage.cpu / first.usage.cpu
    return f"from {first.lines:,} to {last.lines:,} lines: {lines:.1f} times the lines, {cpu:.1f} times the CPU time"


# -- the plot -----------------------------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, GAP = 360, 260, 60, 90


def plot(points: Sequence[Point]) -> str:
    """Two panels side by side, as SVG: CPU time and peak memory over lines, with straight lines from 0 to the end."""
    panels = [
        panel(0, "CPU time, s", [(point.lines, point.usage.cpu) for point in points]),
        panel(WIDTH + GAP, "peak memory, MB", [(point.lines, point.usage.peak / 1e6) for point in points]),
    ]
    size = f'width="{2 * WIDTH + GAP + LEFT + 40}" height="{HEIGHT + 90}"'
    lines = ".grid{stroke:#ccc}.even{stroke:#999;stroke-dasharray:4}.found{stroke:#06c;fill:none;stroke-width:2}"
    style = "text{font:12px sans-serif}" + lines
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{style}</style>\n{"".join(panels)}</svg>\n'


def panel(shift: int, title: str, figures: Sequence[tuple[float, float]]) -> str:
    """One quantity over the number of lines."""
    most_lines = max(lines for lines, _ in figures)
    most = max(figure for _, figure in figures) * 1.05
    left, bottom = LEFT + shift, HEIGHT + 40
    places = [(left + lines / most_lines * WIDTH, bottom - figure / most * HEIGHT) for lines, figure in figures]
    out = [f'<text x="{left}" y="24">{title}, over lines of code</text>\n']
    for part in range(5):
        y, x = bottom - part / 4 * HEIGHT, left + part / 4 * WIDTH
        out.append(f'<path class="grid" d="M{left} {y:.0f}h{WIDTH}"/>')
        out.append(f'<text x="{left - 6}" y="{y + 4:.0f}" text-anchor="end">{most * part / 4:,.0f}</text>')
        out.append(f'<text x="{x:.0f}" y="{bottom + 20}" text-anchor="middle">{most_lines * part / 4:,.0f}</text>\n')
    end_x, end_y = places[-1]
    out.append(f'<path class="even" d="M{left} {bottom}L{end_x:.0f} {end_y:.0f}"/>')
    out.append(f'<path class="found" d="M{"L".join(f"{x:.0f} {y:.0f}" for x, y in places)}"/>\n')
    out += [f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="#06c"/>' for x, y in places]
    return "".join(out)


if __name__ == "__main__":
    main()

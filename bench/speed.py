"""CPU time and memory of `hermetic check`, beside `ast.parse` and ruff; then its wall time with a cache.

Clocks drift on shared machines, so the tools take turns, several rounds long, and what counts is their ratio. Runs with
a cache are measured by the wall, beside `python -c pass`: that is what somebody waits for.

usage: python bench/speed.py [--rounds N] [--warm-only] [TREE ...]

Without a tree, two large applications are taken from PyPI: apache-airflow-core 3.3.2 and apache-superset 6.1.0.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from statistics import median
from zipfile import ZipFile

from cache import cached

WHEELS = ("apache-airflow-core==3.3.2", "apache-superset==6.1.0")

# Reading is done before the clock starts: the loop is what no tool that parses with `ast` can do without.
PARSE = """
import ast, json, pathlib, sys, time, warnings
warnings.simplefilter("ignore")
sources = [path.read_bytes() for path in sorted(pathlib.Path(".").rglob("*.py"))]
unreadable = 0
began = time.process_time()
for source in sources:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        unreadable += 1
seconds = time.process_time() - began
lines = sum(source.count(b"\\n") for source in sources)
json.dump({"seconds": seconds, "files": len(sources), "lines": lines, "unreadable": unreadable}, sys.stdout)
"""

# The kernel counts the memory of the process that starts a program towards that program's peak, and this script grows
# while it reads reports. So a process that is smaller than any of the tools starts them.
LAUNCH = """
import os, sys, time
began = time.perf_counter()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
status, used = os.wait4(child, 0)[1:]
wall = time.perf_counter() - began
with open(sys.argv[1], "w") as report:
    print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, wall, used.ru_maxrss, file=report)
"""

HERMETIC = "hermetic check --no-cache --exit-zero --output-format json".split()
RUFF = "ruff check --select ALL --preview --no-cache --exit-zero --quiet".split()

NOT_ANALYSED = 3  # the exit code of a run that could not read some file, and is complete otherwise

LOOP, PARSER, CHECK, LINT = (
    "ast.parse, the loop alone",
    "ast.parse, whole process",
    "hermetic check",
    "ruff check, all rules",
)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process took: seconds, and bytes at its peak."""

    cpu: float
    wall: float
    peak: int


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of each tool."""

    usages: dict[str, Usage]
    parsed: dict[str, float]
    checked: dict[str, float]


def main() -> None:
    """Measure each tree and print a table for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs="*", type=Path, metavar="TREE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warm-only", action="store_true", help="only the runs with a cache")
    options = parser.parse_args()
    with_bytecode("hermetic")
    trees = options.trees or [unpacked(requirement) for requirement in WHEELS]
    tools = f"hermetic {version('hermetic')}, ruff {version('ruff')}"
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, {tools}")
    for tree in trees:
        if not options.warm_only:
            report(tree, [one_round(tree) for _ in range(options.rounds)])
        with tempfile.TemporaryDirectory() as scratch:
            os.environ["XDG_CACHE_HOME"] = scratch
            report_warm(tree, warm(tree, options.rounds))
            print(imports(tree))


def with_bytecode(package: str) -> None:
    """Compile our own files, as an installer does: a work tree need not have its bytecode."""
    found = find_spec(package)
    for directory in found.submodule_search_locations or () if found is not None else ():
        compileall.compile_dir(directory, quiet=2)


def unpacked(requirement: str) -> Path:
    """A wheel's contents. An empty `.git` makes the tree a project of its own, wherever the cache lies."""
    tree = cached("trees") / requirement.replace("==", "-")
    if not (tree / ".git").exists():
        print(f"downloading {requirement} ...", file=sys.stderr)
        with tempfile.TemporaryDirectory() as scratch:
            pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:")
            subprocess.run([*pip, "--ignore-requires-python", "--dest", scratch, requirement], check=True)
            (wheel,) = Path(scratch).glob("*.whl")
            with ZipFile(wheel) as archive:
                archive.extractall(tree, [name for name in archive.namelist() if name.endswith(".py")])
        (tree / ".git").mkdir()
    return tree


def one_round(tree: Path) -> Round:
    """Each tool once, one after the other."""
    parser, parsed = measured([sys.executable, "-c", PARSE], tree)
    check, checked = measured([sys.executable, "-m", *HERMETIC], tree)
    ruff = which("ruff", path=str(Path(sys.executable).parent)) or "ruff"
    lint, _ = measured([ruff, *RUFF[1:]], tree)
    figures = json.loads(parsed)
    return Round({PARSER: parser, CHECK: check, LINT: lint}, figures, json.loads(checked)["summary"])


def measured(command: Sequence[str], directory: Path, given: str = "") -> tuple[Usage, str]:
    """Run a command; what it took, all its threads and children included, and what it printed. `given` is its input."""
    with tempfile.NamedTemporaryFile("r") as figures:
        launcher = [sys.executable, "-I", "-S", "-c", LAUNCH, figures.name]
        done = subprocess.run(
            [*launcher, *command], cwd=directory, input=given, capture_output=True, text=True, check=True
        )
        exit_code, cpu, wall, peak = figures.read().split()
    if int(exit_code) not in (0, NOT_ANALYSED):
        sys.exit(f"{' '.join(command[:4])} ended with {exit_code}:\n{done.stderr}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Usage(float(cpu), float(wall), int(peak) * unit), done.stdout


def report(tree: Path, rounds: list[Round]) -> None:
    """The least and the median of each figure, then the ratios."""
    parsed, checked = rounds[0].parsed, rounds[0].checked
    print(f"\n{tree.name}: {parsed['files']:,} files, {parsed['lines']:,} lines; {len(rounds)} rounds")
    print(f"hermetic reported on {checked['files']:,} files; {checked['sessions']:,} sessions\n")
    print(f"{'':27}{'CPU s, least':>14}{'median':>9}{'wall s, least':>15}{'median':>9}{'peak MB':>10}")
    loop = [turn.parsed["seconds"] for turn in rounds]
    print(f"{LOOP:27}{min(loop):14.2f}{median(loop):9.2f}")
    for tool in (PARSER, CHECK, LINT):
        usages = [turn.usages[tool] for turn in rounds]
        cpu, wall = [usage.cpu for usage in usages], [usage.wall for usage in usages]
        peak = max(usage.peak for usage in usages) / 1e6
        print(f"{tool:27}{min(cpu):14.2f}{median(cpu):9.2f}{min(wall):15.2f}{median(wall):9.2f}{peak:10.0f}")
    print()
    show_ratio(rounds, LOOP, lambda turn: turn.parsed["seconds"])
    show_ratio(rounds, PARSER, lambda turn: turn.usages[PARSER].cpu)
    show_ratio(rounds, LINT, lambda turn: turn.usages[LINT].cpu)


def show_ratio(rounds: list[Round], beside: str, cpu: Callable[[Round], float]) -> None:
    """hermetic's CPU time over another's: of the least times, and the median over the rounds."""
    least = min(turn.usages[CHECK].cpu for turn in rounds) / min(cpu(turn) for turn in rounds)
    middle = median(turn.usages[CHECK].cpu / cpu(turn) for turn in rounds)
    print(f"{CHECK} / {beside:27}{least:6.2f} of the least, {middle:.2f} median of the rounds")


# -- with a cache -------------------------------------------------------------------------------------------------

START, AGAIN, LINT_AGAIN = "python -c pass", "nothing changed", "ruff check, nothing changed"
# A comment leaves all findings as they are, but for their lines; a function may change any of them.
COMMENTED, EXTENDED = "one file changed, a comment", "one file changed, a function"
UNSAVED, UNSAVED_EXTENDED = "--stdin-filename, a comment", "--stdin-filename, a function"
SETTLING = 2.5  # seconds, after which a file is known by its times


def warm(tree: Path, rounds: int) -> dict[str, list[Usage]]:
    """What runs with a cache take, and what they are compared with, in turns."""
    names = (START, AGAIN, COMMENTED, EXTENDED, UNSAVED, UNSAVED_EXTENDED, LINT_AGAIN)
    found: dict[str, list[Usage]] = {name: [] for name in names}
    check = [str(Path(sys.executable).with_name("hermetic")), *HERMETIC[1:]]
    check.remove("--no-cache")
    ruff = [which("ruff", path=str(Path(sys.executable).parent)) or "ruff", *RUFF[1:]]
    ruff.remove("--no-cache")
    _, printed = measured(check, tree)
    victim = tree / json.loads(printed)["findings"][0]["path"]
    text = before = victim.read_text(encoding="utf-8")
    time.sleep(SETTLING)
    for command in (check, ruff):
        measured(command, tree)
    try:
        for _ in range(rounds):
            for name, command in ((START, [sys.executable, "-c", "pass"]), (AGAIN, check), (LINT_AGAIN, ruff)):
                found[name].append(measured(command, tree)[0])
        unsaved = [*check, "--stdin-filename", str(victim.relative_to(tree))]
        for number in range(rounds):
            comment, function = f"\n# {number}\n", f"\ndef added_{number}(): return {number}\n"
            for edited, in_place, alone in ((function, EXTENDED, UNSAVED_EXTENDED), (comment, COMMENTED, UNSAVED)):
                text += edited
                victim.write_text(text, encoding="utf-8")
                found[in_place].append(measured(check, tree)[0])
                found[alone].append(measured(unsaved, tree, text)[0])
    finally:
        victim.write_text(before, encoding="utf-8")
    for _ in range(2):  # a whole run, and one that compares contents
        time.sleep(SETTLING)
        measured(check, tree)
    return found


def imports(tree: Path) -> str:
    """What a run in which nothing changed imports after Python has started, and how long that takes."""
    check = [str(Path(sys.executable).with_name("hermetic")), *HERMETIC[1:]]
    check.remove("--no-cache")
    command = [sys.executable, "-X", "importtime", *check]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True)
    rows = [line.split("|") for line in done.stderr.splitlines() if line.startswith("import time:")]
    names = [row[2].strip() for row in rows]
    own = rows[names.index("site") + 1 :]
    milliseconds = sum(int(row[0].removeprefix("import time:")) for row in own) / 1e3
    return f"it imports, in {milliseconds:.1f} ms: {', '.join(row[2].strip() for row in own)}"


def report_warm(tree: Path, found: dict[str, list[Usage]]) -> None:
    """The medians, and how often Python could have been started meanwhile."""
    start = median(usage.wall for usage in found[START])
    head = f"{'wall ms, least':>{49 - len(tree.name)}}{'median':>9}{'of a start':>12}{'CPU ms':>9}"
    print(f"\n{tree.name}, with a cache{head}")
    for name, usages in found.items():
        wall, cpu = [usage.wall * 1e3 for usage in usages], median(usage.cpu for usage in usages) * 1e3
        print(f"{name:40}{min(wall):24.1f}{median(wall):9.1f}{median(wall) / 1e3 / start:12.2f}{cpu:9.1f}")


if __name__ == "__main__":
    main()

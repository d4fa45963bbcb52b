"""hermetic beside the tools that know one of its rules: what each finds, and where each is wrong.

SES001 beside leakguard-ast and safelint, SES004 beside hydroid. Each tool sees each case alone, as a project of its
own. The cases are those of bench/cases, whose names say whether the rule has to speak (`bad_…`) or to be silent
(`good_…`), and the files of another folder: there `bad_1_….py` is bad under SES001, and `good_….py` good under all.

usage: python bench/rivals.py [--cases FOLDER]        exit status 1 where another tool does better
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

from cache import cached

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent

LEAKGUARD, SAFELINT, HYDROID = "leakguard-ast==0.1.0", "safelint[python]==2.14.3", "hydroid-cli==0.5.0"
LIBRARIES = ("sqlalchemy[asyncio]==2.1.9", "fastapi==0.165.0", "sqlmodel==0.0.50")  # hydroid is blind without them


@dataclass(frozen=True, slots=True)
class Case:
    """A file or a folder in which the rule has to speak (bad), or to be silent."""

    source: Path
    bad: bool

    @property
    def name(self) -> str:
        """As it is listed."""
        return f"{self.source.parent.name}/{self.source.stem}"


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: how it is called in the tables, and what it reports on a directory, as `file:line`."""

    name: str
    check: Callable[[Path], list[str]]


Reports = dict[tuple[Tool, Case], list[str]]


def main() -> int:
    """Run every tool on every case of its rule, and show the outcome."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, metavar="FOLDER", help="default: ../shared/bench/seed, where it exists")
    options = parser.parse_args()
    if options.cases and not options.cases.is_dir():
        parser.error(f"no folder {options.cases}")
    more = options.cases or PROJECT.parent / "shared/bench/seed"
    rivals = {"SES001": [Tool(LEAKGUARD, leakguard), Tool(SAFELINT, safelint)], "SES004": [Tool(HYDROID, hydroid)]}
    for requirements in ((LEAKGUARD,), (SAFELINT,), (HYDROID,), LIBRARIES):
        environment(requirements)  # before there are threads, which would make it twice
    beaten = False
    for rule, others in rivals.items():
        tools = [Tool(f"hermetic=={version('hermetic')}", partial(hermetic, rule)), *others]
        cases = sorted([*own_cases(rule), *other_cases(rule, more)], key=lambda case: (not case.bad, case.name))
        reports = run(tools, cases)
        show(rule, tools, cases, reports)
        beaten |= not at_least_as_good(tools, cases, reports)
    return 1 if beaten else 0


def own_cases(rule: str) -> Iterator[Case]:
    """The project's own."""
    for source in (HERE / "cases" / rule.lower()).iterdir():
        if source.name.startswith(("bad_", "good_")):
            yield Case(source, source.name.startswith("bad_"))


def other_cases(rule: str, folder: Path) -> Iterator[Case]:
    """Those of the folder that are about this rule, and all that are good."""
    for source in folder.glob("*.py"):
        if source.name.startswith((f"bad_{rule[-1]}_", "good_")):
            yield Case(source, source.name.startswith("bad_"))


def run(tools: Sequence[Tool], cases: Sequence[Case]) -> Reports:
    """What each tool reports on each case, two or more at a time."""
    pairs = list(product(tools, cases))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(pairs, pool.map(lambda pair: checked(*pair), pairs), strict=True))


def checked(tool: Tool, case: Case) -> list[str]:
    """The tool on a copy of the case: nothing around it matters, and nothing that a tool writes stays."""
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch) / "project"
        if case.source.is_dir():
            shutil.copytree(case.source, project, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            project.mkdir()
            shutil.copy(case.source, project)
        (project / ".git").mkdir()  # where hermetic's search for the project around a path ends
        return tool.check(project)


def hermetic(rule: str, project: Path) -> list[str]:
    """Errors and warnings of the rule; hints are weak by their own account."""
    words = "check --isolated --no-cache --exit-zero --output-format json --select".split()
    report = reported([sys.executable, "-m", "hermetic", *words, rule, "."], project)
    return [f"{found['path']}:{found['line']}" for found in report["findings"] if found["severity"] != "hint"]


def leakguard(project: Path) -> list[str]:
    """What it says of sessions; it also follows files, sockets and engines."""
    report = reported([program(LEAKGUARD, "leakguard"), *"scan --quiet --format json .".split()], project)
    sessions = [found for found in report["findings"] if "session" in found["resource_type"].lower()]
    return [f"{Path(found['file_path']).name}:{found['location']['start']['line']}" for found in sessions]


def safelint(project: Path) -> list[str]:
    """SAFE401, its rule about resources; in the cases only sessions are such."""
    report = reported([program(SAFELINT, "safelint"), *"check --all-files --no-cache --format json .".split()], project)
    return [f"{found['filepath']}:{found['lineno']}" for found in report["violations"] if found["code"] == "SAFE401"]


def hydroid(project: Path) -> list[str]:
    """Blocking calls to a database; it also knows files, HTTP and sleeps."""
    libraries = str(Path(program(*LIBRARIES, "python")).parent.parent)
    words = ["--python", libraries, *"--no-cache --format json .".split()]
    report = reported([program(HYDROID, "hydroid"), *words], project)
    places = [found["location"] for found in report["diagnostics"] if found["sink"]["category"] == "database"]
    return [f"{place['path']}:{place['line']}" for place in places]


def reported(command: Sequence[str], project: Path) -> dict[str, Any]:
    """The JSON object that a command prints, whatever it prints before."""
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    try:
        report: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
    except ValueError:
        sys.exit(f"{' '.join(command)} printed no report, and ended with {done.returncode}:\n{done.stderr}")
    return report


def program(*requirements_and_name: str) -> str:
    """A program from a virtual environment that has these requirements."""
    *requirements, name = requirements_and_name
    return str(environment(tuple(requirements)) / "bin" / name)


@cache
def environment(requirements: tuple[str, ...]) -> Path:
    """The virtual environment with just these, made on first use."""
    directory = cached("venvs") / "+".join(requirements)
    ready = directory / ".ready"
    if not ready.exists():
        print(f"installing {', '.join(requirements)} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
        subprocess.run([directory / "bin/python", "-m", "pip", "install", "--quiet", *requirements], check=True)
        ready.touch()
    return directory


def count(tool: Tool, cases: Sequence[Case], reports: Reports, *, bad: bool) -> int:
    """On how many of the bad cases, or of the good ones, the tool speaks."""
    return sum(bool(reports[tool, case]) for case in cases if case.bad == bad)


def at_least_as_good(tools: Sequence[Tool], cases: Sequence[Case], reports: Reports) -> bool:
    """Does the first tool find as much as each other, with no more false alarms?"""
    found = [count(tool, cases, reports, bad=True) for tool in tools]
    alarms = [count(tool, cases, reports, bad=False) for tool in tools]
    return found[0] == max(found) and alarms[0] == min(alarms)


def show(rule: str, tools: Sequence[Tool], cases: Sequence[Case], reports: Reports) -> None:
    """The counts, and below them each case."""
    bad = sum(case.bad for case in cases)
    print(f"\n{rule}: {bad} bad cases, {len(cases) - bad} good ones\n")
    for tool in tools:
        found, alarms = (count(tool, cases, reports, bad=bad) for bad in (True, False))
        print(f"  {tool.name:28}{found:4} found{alarms:4} false alarms")
    verdict = "no other tool does better" if at_least_as_good(tools, cases, reports) else "ANOTHER TOOL DOES BETTER"
    print(f"  {verdict}\n\n  {'':44}{''.join(f'{short(tool):>12}' for tool in tools)}")
    for case in cases:
        print(f"  {case.name:44}{''.join(f'{outcome(case, reports[tool, case]):>12}' for tool in tools)}")


def short(tool: Tool) -> str:
    """The tool's name alone, as a column's head."""
    return tool.name.partition("==")[0].partition("[")[0].partition("-")[0]


def outcome(case: Case, places: Sequence[str]) -> str:
    """One cell of the table."""
    if case.bad:
        return "found" if places else "missed"
    return "false alarm" if places else "silent"


if __name__ == "__main__":
    sys.exit(main())

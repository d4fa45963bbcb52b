"""All scores on labelled real code at once, kept in bench/scores.jsonl, and what moved since the last time.

The labels, the pairs and their scorers lie in one folder, as `score.py`, `score_pairs.py`, `labels/*.jsonl` and
`pairs-*.jsonl`. bench/labels adds the project's own: a file whose first row is a project's (`"meta": true`) is scored
like the others, where there is a work tree for it; any other holds findings that were read and judged, which count
for precision alone.

usage: python bench/scores.py --data DATA --checkouts CHECKOUTS --repos REPOS [--rules SES00] [--verbose] [--dry-run]

CHECKOUTS holds work trees, named as the label files, and REPOS clones, named owner+name. Each folder may also be given
in the environment, as HERMETIC_BENCH_DATA, HERMETIC_BENCH_CHECKOUTS and HERMETIC_BENCH_REPOS.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RECORD = HERE / "scores.jsonl"
OWN_LABELS = HERE / "labels"

HERMETIC = f"{shlex.quote(sys.executable)} -m hermetic check --output-format json --exit-zero --no-cache"
PAIR_LINE = re.compile(r"^(?P<rule>SES\d+) (?P<counts>\{.*\})$", re.MULTILINE)

LABELS, OWN, PAIRS = "labels", "own labels", "pairs"
MEASURES = {LABELS: ("bugs", "risks", "false", "precision"), PAIRS: ("found", "silent")}
MEASURES[OWN] = MEASURES[LABELS]
FEWER_IS_BETTER = {"false"}
LABELLED = {"bugs", "risks", "found"}  # counted out of what the labels say there is

Rules = dict[str, dict[str, int]]  # of each rule, how many of each kind
Value = tuple[int, int]  # so many of so many; 0 of 0 where there is no "of"


def main() -> None:
    """Score, show, compare, record."""
    options = arguments()
    labels = sorted((options.data / "labels").glob("*.jsonl"))
    scores = {LABELS: score_labels(labels, options)}
    own = [path for path in own_projects() if has_checkout(path, options.checkouts)]
    if own:
        scores[OWN] = score_labels(own, options)
    scores[PAIRS] = score_pairs(sorted(options.data.glob("pairs-*.jsonl")), options)
    for part, rules in scores.items():
        show(part, rules)
    before = last_line(options.rules)
    if before is None:
        print("\nnothing recorded yet to compare with")
    else:
        print(f"\nmoved since {before['when']} ({before['commit']}):")
        print("\n".join(moves(before["scores"], scores)) or "  nothing")
    if not options.dry_run and (before is None or before["scores"] != scores):
        with RECORD.open("a", encoding="utf-8") as record:
            print(json.dumps({**heading(options.rules), "scores": scores}), file=record)


def arguments() -> argparse.Namespace:
    """The command line; the folders have to be there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "checkouts", "repos"):
        default = os.environ.get(f"HERMETIC_BENCH_{name.upper()}")
        parser.add_argument(f"--{name}", type=Path, default=default, required=default is None, metavar="FOLDER")
    parser.add_argument("--rules", default="SES00", help="only rules that begin so (default: SES00)")
    parser.add_argument("--verbose", action="store_true", help="list all that was missed, false or unlabelled")
    parser.add_argument("--dry-run", action="store_true", help="record nothing")
    options = parser.parse_args()
    for name in ("data", "checkouts", "repos"):
        folder = Path(getattr(options, name)).resolve()
        if not folder.is_dir():
            parser.error(f"--{name}: no folder {folder}")
        setattr(options, name, folder)
    return options


def own_projects() -> Iterator[Path]:
    """The project's own label files that are about a whole project."""
    for path in sorted(OWN_LABELS.glob("*.jsonl")):
        if is_project(path):
            yield path


def is_project(path: Path) -> bool:
    """Does the file's first row describe a project?"""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return bool(first) and bool(json.loads(first).get("meta"))


def has_checkout(labels: Path, checkouts: Path) -> bool:
    """Is there a work tree for these labels? Says so where there is none."""
    there = (checkouts / labels.stem).is_dir()
    if not there:
        print(f"{labels.name}: not scored, no work tree {checkouts / labels.stem}", file=sys.stderr)
    return there


def score_labels(labels: Sequence[Path], options: argparse.Namespace) -> Rules:
    """The totals over all of these label files."""
    judged = [path.read_text(encoding="utf-8") for path in sorted(OWN_LABELS.glob("*.jsonl")) if not is_project(path)]
    with tempfile.TemporaryDirectory() as scratch:
        extra, totals = Path(scratch, "extra.jsonl"), Path(scratch, "totals.json")
        extra.write_text("\n".join(judged), encoding="utf-8")
        words = ["--checkouts", options.checkouts, "--extra", extra, "--json", totals]
        scorer(options, "score.py", [*labels, *words])
        rules = json.loads(totals.read_text(encoding="utf-8"))["rules"]
    return {rule: label_counts(Counter(counts)) for rule, counts in sorted(rules.items())}


def label_counts(counts: Counter[str]) -> dict[str, int]:
    """The scorer's counts under one rule, as they are recorded."""
    return {
        "bugs": counts["bug_hit"],
        "of bugs": counts["bug_hit"] + counts["bug_missed"],
        "risks": counts["risk_hit"],
        "of risks": counts["risk_hit"] + counts["risk_missed"],
        "true": counts["true"],
        "false": counts["false"] + counts["unlabelled"],
        "unread": counts["unread"],
    }


def score_pairs(files: Sequence[Path], options: argparse.Namespace) -> Rules:
    """The totals over all pairs of revisions, before and after a fix."""
    total: dict[str, Counter[str]] = {}
    for path in files:
        printed = scorer(options, "score_pairs.py", [path, options.repos])
        for match in PAIR_LINE.finditer(printed):
            total.setdefault(match["rule"], Counter()).update(ast.literal_eval(match["counts"]))
    return {rule: pair_counts(counts) for rule, counts in sorted(total.items())}


def pair_counts(counts: Counter[str]) -> dict[str, int]:
    """The scorer's counts under one rule, as they are recorded: silent only counts where the bug was found before."""
    return {
        "found": counts["found"],
        "of found": counts["pairs"],
        "silent": counts["both"],
        "of silent": counts["found"],
    }


def scorer(options: argparse.Namespace, name: str, words: Sequence[Path | str]) -> str:
    """Run one of the scorers; what it prints."""
    flags = ["--rules", options.rules, "--tool", HERMETIC, *(["--verbose"] if options.verbose else [])]
    done = subprocess.run([sys.executable, options.data / name, *words, *flags], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} ended with {done.returncode}:\n{done.stdout[-1000:]}{done.stderr}")
    if options.verbose:
        print(done.stdout)
    return done.stdout


def value(counts: Mapping[str, int], measure: str) -> Value:
    """One figure of a rule."""
    if measure == "precision":
        return counts["true"], counts["true"] + counts["false"]
    return counts[measure], counts.get(f"of {measure}", 0)


def shown(figure: Value, *, plain: bool) -> str:
    """The figure as it is printed: `3`, `3/4 75%`, or `-` where there is nothing to count."""
    part, whole = figure
    if plain:
        return str(part)
    return f"{part}/{whole} {part / whole:.0%}" if whole else "-"


def with_total(rules: Rules) -> Rules:
    """The rules, and below them all together."""
    total: Counter[str] = Counter()
    for counts in rules.values():
        total.update(counts)
    return {**rules, "all": dict(total)} if rules else {}


def show(part: str, rules: Rules) -> None:
    """One table."""
    print(f"\n{part:12}{''.join(f'{measure:>14}' for measure in MEASURES[part])}")
    for rule, counts in with_total(rules).items():
        cells = (shown(value(counts, name), plain=name in FEWER_IS_BETTER) for name in MEASURES[part])
        print(f"{rule:12}{''.join(f'{cell:>14}' for cell in cells)}")


def moves(before: Mapping[str, Rules], now: Mapping[str, Rules]) -> Iterator[str]:
    """A line for each figure that is not what it was."""
    for part in dict.fromkeys([*before, *now]):
        if part not in now or part not in before:
            yield f"  {part}: {'new' if part in now else 'not scored this time'}"
            continue
        old, new = with_total(before[part]), with_total(now[part])
        for rule in sorted(old.keys() | new.keys()):
            for measure in MEASURES[part]:
                yield from move(f"{part} {rule} {measure}", measure, old.get(rule), new.get(rule))


def move(name: str, measure: str, old: Mapping[str, int] | None, new: Mapping[str, int] | None) -> Iterator[str]:
    """The line for one figure, if it moved; a rule that has no labels and no findings is missing from a score."""
    was, is_now = (value(counts, measure) if counts else (0, 0) for counts in (old, new))
    if was == is_now:
        return
    plain = measure in FEWER_IS_BETTER
    figures = " -> ".join(shown(figure, plain=plain) for figure in (was, is_now))
    yield f"  {name}: {figures}  {verdict(measure, was, is_now)}".rstrip()


def verdict(measure: str, was: Value, is_now: Value) -> str:
    """Better or worse, where the two can be compared."""
    if measure in FEWER_IS_BETTER:
        return "better" if is_now < was else "worse"
    if measure in LABELLED and was[1] != is_now[1]:
        return "other labels"
    if not was[1] or not is_now[1]:
        return ""
    old, new = was[0] / was[1], is_now[0] / is_now[1]
    return "better" if new > old else "worse" if new < old else "as before, of another number"


def last_line(rules: str) -> dict[str, Any] | None:
    """The record's last line for these rules."""
    if RECORD.exists():
        for line in reversed(RECORD.read_text(encoding="utf-8").splitlines()):
            entry: dict[str, Any] = json.loads(line)
            if entry["rules"] == rules:
                return entry
    return None


def heading(rules: str) -> dict[str, str]:
    """When, and of which code; a `+` says that the code was not committed."""
    commit = git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", "src") else "")
    now = datetime.now(UTC).isoformat(timespec="minutes")
    return {"when": now, "version": version("hermetic"), "commit": commit, "rules": rules}


def git(*words: str) -> str:
    """What git says of the project."""
    return subprocess.run(["git", *words], cwd=HERE, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()

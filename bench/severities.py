"""What the labels say of each severity: of the findings of each rule, how many hit a bug, a risk, or are false.

DESIGN's words: an `error` is what the labels call a bug, a `warning` what they call a risk. A severity whose findings
are false more often than the floor of precision allows is not earned; its findings become hints.

usage: python bench/severities.py --data DATA --checkouts CHECKOUTS

The folders are those of `scores.py`; its labels, and its matching, are used.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
KINDS = ("bug", "risk", "false", "unread")
FLOOR = 0.85  # of precision, for a rule that is on by default


def main() -> None:
    """Print one row for each rule and severity."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "checkouts"):
        default = os.environ.get(f"HERMETIC_BENCH_{name.upper()}")
        parser.add_argument(f"--{name}", type=Path, default=default, required=default is None, metavar="FOLDER")
    options = parser.parse_args()
    scorer = _scorer(options.data / "score.py")
    counts: dict[tuple[str, str], Counter[str]] = {}
    extra = [label for path in (HERE / "labels").glob("*.jsonl") for label in _extra(path)]
    for path in sorted([*(options.data / "labels").glob("*.jsonl"), *(HERE / "labels").glob("*.jsonl")]):
        meta, labels = scorer.load(path)
        checkout = options.checkouts / path.stem
        if not meta or not checkout.is_dir():
            continue
        hit: set[int] = set()
        for finding in _findings(checkout):
            label = scorer.match(labels, finding) or scorer.match(extra, finding)
            if label is not None and id(label) in hit:
                continue
            hit.add(id(label))
            kind = _kind(scorer, meta, label, finding)
            counts.setdefault((finding["rule"], finding["severity"]), Counter())[kind] += 1
    print(f"{'rule':8} {'severity':9}{''.join(f'{kind:>8}' for kind in KINDS)}  {'precision':>9}")
    for (rule, severity), found in sorted(counts.items()):
        print(f"{rule:8} {severity:9}{''.join(f'{found[kind]:>8}' for kind in KINDS)}  {_precision(found):>9}")


def _scorer(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("score", path)
    if spec is None or spec.loader is None:
        sys.exit(f"no scorer at {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _extra(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [] if rows and rows[0].get("meta") else rows


def _findings(checkout: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "hermetic", "check", "--output-format", "json", "--exit-zero", "--no-cache"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return found


def _kind(scorer: ModuleType, meta: dict[str, Any], label: dict[str, Any] | None, finding: dict[str, Any]) -> str:
    if label is not None:
        return "false" if label["verdict"] == "ok" else str(label["verdict"])
    complete = scorer.inside(finding["path"], meta.get("complete_folders", []))
    return "false" if complete and finding["rule"] not in scorer.OPEN_ENDED else "unread"


def _precision(found: Counter[str]) -> str:
    judged = found["bug"] + found["risk"] + found["false"]
    if not judged:
        return "-"
    share = (found["bug"] + found["risk"]) / judged
    return f"{share:.0%}{' !' if share < FLOOR else ''}"


if __name__ == "__main__":
    main()

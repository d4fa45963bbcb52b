"""`hermetic explain RULE`."""

from __future__ import annotations

import sys
from argparse import Namespace
from difflib import get_close_matches
from inspect import getdoc

from hermetic import rules
from hermetic.cli.terminal import styles_for, write
from hermetic.report import suppress
from hermetic.report.style import Styles
from hermetic.rule import Example, Rule


def run(options: Namespace) -> int:
    """Print a rule's page."""
    known = rules.load()
    wanted = options.rule.strip()
    for rule in known:
        if wanted.upper() == rule.code or wanted.lower() == rule.name:
            write(page(rule, styles_for(sys.stdout)))
            return 0
    if wanted.upper() == suppress.CODE or wanted.lower() == suppress.NAME:
        write(f"{styles_for(sys.stdout).bold(f'{suppress.CODE} {suppress.NAME}')}\n\n{getdoc(suppress)}")
        return 0
    names = [name for rule in known for name in (rule.code, rule.name)]
    near = get_close_matches(wanted.upper(), names, 1, 0.5) or get_close_matches(wanted.lower(), names, 1, 0.5)
    hint = f"; did you mean {near[0]}?" if near else "; `hermetic rules` lists them"
    print(f"hermetic: unknown rule `{wanted}`{hint}", file=sys.stderr)
    return 2


def page(rule: Rule, styles: Styles) -> str:
    """Documentation and examples of a rule, for a terminal."""
    lines = [styles.bold(f"{rule.code} {rule.name}"), ""]
    for line in rule.doc.splitlines():
        lines.append(styles.bold(line.removeprefix("## ")) if line.startswith("## ") else line)
    for title, examples, mark in (("Reported", rule.bad, styles.error), ("Not reported", rule.good, styles.good)):
        for example in examples:
            lines += ["", mark(f"{title}: {example.title}"), ""]
            lines += _code(example, rule.code, styles)
    return "\n".join(lines)


def _code(example: Example, code: str, styles: Styles) -> list[str]:
    out = []
    for line in example.source.strip().splitlines():
        text, marker, _ = line.partition(f"  # expect: {code}")
        out.append(f"    {styles.error(text)}  {styles.dim('# reported')}" if marker else f"    {line}".rstrip())
    return out

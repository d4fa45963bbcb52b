"""`hermetic rules`."""

from __future__ import annotations

import json
from argparse import Namespace

from hermetic import rules
from hermetic.cli.terminal import write


def run(options: Namespace) -> int:
    """List every rule."""
    known = rules.load()
    if options.output_format == "json":
        write(json.dumps([{"code": rule.code, "name": rule.name, "summary": rule.summary} for rule in known], indent=1))
        return 0
    width = max(len(rule.name) for rule in known)
    write("\n".join(f"{rule.code}  {rule.name:{width}}  {rule.summary}" for rule in known))
    return 0

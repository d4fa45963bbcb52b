"""One line a finding, for editors and `grep`."""

from __future__ import annotations

from hermetic.report.results import Results
from hermetic.report.style import printable


def render(results: Results) -> str:
    """`path:line:column: CODE severity: message`."""
    lines = [
        f"{found.at.path}:{found.at.line}:{found.at.column}: {found.rule} {found.severity.label}: {found.message}"
        f"{f' ({found.sighting.words})' if found.sighting is not None else ''}"
        for found in results.findings
    ]
    lines += [f"{entry.path}: not analysed: {entry.reason}" for entry in results.not_analysed]
    return "\n".join(map(printable, lines))

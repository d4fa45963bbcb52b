"""The machine-readable format; its shape is a contract, see the documentation of `--output-format json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hermetic.finding import Finding
from hermetic.report.results import Results


def render(results: Results, tests: Mapping[str, Sequence[str]] | None = None) -> str:
    """One JSON document, without a line end; ASCII, so that it survives every terminal and every pipe.

    `tests` says which tests caused a finding, by its fingerprint: what was seen at run time has a key of this name.
    """
    summary = results.summary
    caused = {} if tests is None else {fingerprint: {"tests": list(names)} for fingerprint, names in tests.items()}
    document = {
        "version": 1,
        "findings": [as_dict(finding) | caused.get(finding.fingerprint, {}) for finding in results.findings],
        "not_analysed": [{"path": entry.path, "reason": entry.reason} for entry in results.not_analysed],
        "summary": {
            "files": summary.files,
            "functions": summary.functions,
            "sessions": summary.sessions,
            "unresolved": summary.unresolved,
            "errors": summary.errors,
            "warnings": summary.warnings,
            "seconds": round(summary.seconds, 2),
        },
    }
    return json.dumps(document, indent=1)


def as_dict(finding: Finding) -> dict[str, Any]:
    """One finding, with the keys of the contract; what a run has shown of it, if one is known, are two more."""
    at, sighting = finding.at, finding.sighting
    seen = {} if sighting is None else {"runtime": sighting.label, "tests": list(sighting.tests)}
    return {
        "rule": finding.rule,
        "name": finding.name,
        "severity": finding.severity.label,
        "path": at.path,
        "line": at.line,
        "column": at.column,
        "end_line": at.end_line or at.line,
        "end_column": at.end_column or at.column,
        "function": finding.function,
        "message": finding.message,
        "trace": [{"path": step.at.path, "line": step.at.line, "text": step.text} for step in finding.trace],
        "fix": None if finding.fix is None else {"safety": finding.fix.safety, "message": finding.fix.message},
        "fingerprint": finding.fingerprint,
        **seen,
    }

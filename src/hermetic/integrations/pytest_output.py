"""The files that the plugin writes: the report and the baseline."""

from __future__ import annotations

from hermetic import files
from hermetic.finding import Severity
from hermetic.integrations.pytest_options import Options
from hermetic.integrations.pytest_summary import Seen
from hermetic.report import baseline, json
from hermetic.report.results import Results, Summary


def write(options: Options, seen: Seen, seconds: float) -> bool:
    """Write what is asked for, and note it in `seen`. False where a file cannot be written."""
    try:
        if options.report is not None:
            files.write(options.report, _report(seen, seconds) + "\n")
        if options.baseline is not None and options.updates_baseline:
            count = baseline.write(options.baseline, seen.distinct())
            seen.notes.append(f"The baseline {options.baseline} has {count:,} finding{'' if count == 1 else 's'} now")
    except OSError as error:
        seen.notes.append(f"hermetic cannot write {error.filename}: {error.strerror}")
        return False
    return True


def _report(seen: Seen, seconds: float) -> str:
    """In the format of `hermetic check`; its files and functions are here those that hold tests, and tests."""
    findings = tuple(seen.distinct())
    severities = [finding.severity for finding in findings]
    summary = Summary(
        files=len({test.partition("::")[0] for test in seen.tests}),
        functions=len(seen.tests),
        sessions=seen.sessions,
        unresolved=0,
        errors=severities.count(Severity.ERROR),
        warnings=severities.count(Severity.WARNING),
        seconds=seconds,
    )
    return json.render(Results(findings, (), summary), seen.causes())

"""A baseline: findings that are known and must not grow. A JSON file of fingerprints, with what people need to read it.

Fingerprints survive edits elsewhere in the file, so a baseline stays good while the code around its findings changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from hermetic import files
from hermetic.finding import Finding

LARGEST_FILE = 64 * 1024 * 1024
VERSION = 1


class BaselineError(Exception):
    """A baseline that cannot be used; the message says which and why."""


def read(path: Path) -> frozenset[str]:
    """The fingerprints of a baseline. Raises BaselineError for a file that is missing or is none."""
    try:
        document = json.loads(files.read(str(path), LARGEST_FILE))
        if document["version"] != VERSION:
            raise BaselineError(f"{path} is a baseline of version {document['version']}; this hermetic knows {VERSION}")
        return frozenset(str(entry["fingerprint"]) for entry in document["findings"])
    except OSError as error:
        raise BaselineError(f"cannot read the baseline {path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BaselineError(f"{path} is no baseline of hermetic") from None


def write(path: Path, findings: Iterable[Finding]) -> int:
    """Make a baseline of findings; returns how many they are. Raises OSError."""
    entries = {
        finding.fingerprint: {
            "fingerprint": finding.fingerprint,
            "rule": finding.rule,
            "path": finding.at.path,
            "function": finding.function,
        }
        for finding in findings
    }
    listed = sorted(entries.values(), key=lambda entry: (entry["path"], entry["rule"], entry["fingerprint"]))
    files.write(path, json.dumps({"version": VERSION, "findings": listed}, indent=1) + "\n")
    return len(listed)

"""Which version of a library a project uses, as its own lock or metadata says. Nothing is imported or installed."""

from __future__ import annotations

import os
import re

from hermetic import files

LARGEST_FILE = 16 * 1024 * 1024

# Locks name one version; metadata names a range. The first file that says something is believed.
LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "Pipfile.lock")
LISTS = ("requirements.txt", "requirements.lock", "requirements/base.txt", "requirements/prod.txt")
METADATA = ("pyproject.toml", "setup.cfg", "setup.py", "Pipfile", *LISTS)

# In a lock: name = "fastapi" … version = "0.115.0"; of Pipfile.lock: "fastapi": {… "version": "==0.115.0"
IN_LOCK = r'name = "{name}"\s+version = "(?P<version>[^"]+)"'
IN_PIPFILE_LOCK = r'"{name}": \{{[^}}]*"version": "==(?P<version>[^"]+)"'
# In metadata: "fastapi[all]>=0.115,<0.116", fastapi = "^0.115", fastapi = {version = "~0.115", …}
IN_METADATA = (
    r"(?im)(?:^|[\"'\s,\[])(?<![\w.-]){name}(?:\[[^\]]*\])?"
    r"\s*(?:=\s*(?:\{{[^}}\n]*version\s*=\s*)?)?[\"']?\s*(?P<range>(?:[~^<>=!]=?=?|@)\s*\d[^\"'\n;#\]]*)"
)
VERSION = re.compile(r"\d+(?:\.\d+)*")
CLAUSE = re.compile(r"(?P<operator>~=|\^|~|===?|>=|<=|>|<|!=)?\s*(?P<version>\d+(?:\.\d+)*)(?P<star>\.\*)?")

Version = tuple[int, ...]
LATEST: Version = (10**6,)


def versions(root: str, directory: str, name: str, read: files.Read = files.read) -> tuple[Version, Version] | None:
    """The lowest version of a library that the project around a directory can have, and the lowest that it cannot.
    None if nothing says. `directory` is relative to `root`; of several projects in it the nearest counts."""
    found = _in(os.path.join(root, directory), name, read)
    if found is None and directory:
        return versions(root, os.path.dirname(directory), name, read)
    return found


def _in(root: str, name: str, read: files.Read) -> tuple[Version, Version] | None:
    for file in LOCKS:
        text = _text(os.path.join(root, file), read)
        for pattern in (IN_LOCK, IN_PIPFILE_LOCK) if text else ():
            found = re.search(pattern.format(name=re.escape(name)), text)
            if found is not None and VERSION.match(found["version"]):
                version = _version(found["version"])
                return version, (*version[:-1], version[-1] + 1)
    for file in METADATA:
        text = _text(os.path.join(root, file), read)
        found = re.search(IN_METADATA.format(name=re.escape(name)), text) if text else None
        if found is not None:
            return _range(found["range"])
    return None


def _text(path: str, read: files.Read) -> str:
    try:
        return read(path, LARGEST_FILE).decode("utf-8", "replace")
    except OSError:
        return ""


def _version(text: str) -> Version:
    found = VERSION.match(text)
    return tuple(int(part[:9]) for part in found[0].split(".")[:4]) if found is not None else ()


def _range(text: str) -> tuple[Version, Version]:
    low: Version = (0,)
    high = LATEST
    for clause in CLAUSE.finditer(text):
        version, operator = _version(clause["version"]), clause["operator"] or "=="
        if operator in (">=", ">"):
            low = max(low, version)
        elif operator in ("<", "<="):
            high = min(high, version if operator == "<" else (*version[:-1], version[-1] + 1))
        elif operator != "!=":
            low, high = max(low, version), min(high, _end(operator, version, bool(clause["star"])))
    return low, high


def _end(operator: str, version: Version, star: bool) -> Version:
    """The first version that a clause leaves out, of those above its own."""
    if operator == "^":  # poetry: up to the next of the first number that is not 0
        place = next((number for number, part in enumerate(version) if part), len(version) - 1)
    elif operator == "~=":
        place = max(len(version) - 2, 0)
    elif operator == "~":
        place = min(1, len(version) - 1)
    else:
        place = len(version) - 1
    return (*version[:place], version[place] + 1)


__all__ = ["versions"]

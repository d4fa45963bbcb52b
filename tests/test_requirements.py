"""Which version of a library a project uses, by its lock or its metadata."""

from __future__ import annotations

from pathlib import Path

import pytest
from shell import write

from hermetic.requirements import LATEST, versions

UV = """version = 1

[[package]]
name = "fastapi-utils"
version = "0.8.0"

[[package]]
name = "fastapi"
version = "0.115.6"
"""
POETRY = "[tool.poetry.dependencies]\n"
PIPFILE = '{"default": {"fastapi": {"hashes": ["sha256:x"], "index": "pypi", "version": "==0.110.1"}}}'


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("uv.lock", UV, ((0, 115, 6), (0, 115, 7))),
        ("poetry.lock", UV, ((0, 115, 6), (0, 115, 7))),
        ("Pipfile.lock", PIPFILE, ((0, 110, 1), (0, 110, 2))),
        ("requirements.txt", "starlette\nfastapi==0.121.0  # pinned\n", ((0, 121, 0), (0, 121, 1))),
        ("requirements.txt", "FastAPI[standard] >= 0.106, < 0.118\n", ((0, 106), (0, 118))),
        ("requirements.txt", "fastapi-cache2==0.2\nfastapi~=0.115.0\n", ((0, 115, 0), (0, 116))),
        ("pyproject.toml", '[project]\ndependencies = ["fastapi>=0.118"]\n', ((0, 118), LATEST)),
        ("pyproject.toml", POETRY + 'fastapi = "^0.115.4"\n', ((0, 115, 4), (0, 116))),
        ("pyproject.toml", POETRY + 'fastapi = {version = "~0.112", extras = ["all"]}\n', ((0, 112), (0, 113))),
        ("setup.py", 'setup(install_requires=["fastapi==0.115.*"])\n', ((0, 115), (0, 116))),
        ("requirements.txt", "fastapi\n", None),
        ("requirements.txt", "fastapi-users>=13\n", None),
        ("pyproject.toml", '[project]\nname = "fastapi"\nversion = "3"\n', None),
    ],
)  # fmt: skip
def test_versions(
    tmp_path: Path, file: str, text: str, expected: tuple[tuple[int, ...], tuple[int, ...]] | None
) -> None:
    write(tmp_path, {file: text})

    assert versions(str(tmp_path), "app", "fastapi") == expected


def test_the_nearest_project_counts_and_a_lock_before_metadata(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "requirements.txt": "fastapi==0.90\n",
            "server/pyproject.toml": '[project]\ndependencies = ["fastapi>=0.100"]\n',
            "server/uv.lock": UV,
            "worker/requirements.txt": "celery\n",
        },
    )

    assert versions(str(tmp_path), "server/app", "fastapi") == ((0, 115, 6), (0, 115, 7))
    assert versions(str(tmp_path), "worker", "fastapi") == ((0, 90), (0, 91))
    assert versions(str(tmp_path), "server/app", "flask") is None

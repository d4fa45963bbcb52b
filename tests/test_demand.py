"""What is said of one file alone is what is said of it in a check of the whole project."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import CheckProject
from situations import SITUATIONS, name_of, project_at

from hermetic import driver
from hermetic.driver import Request
from hermetic.files import is_test

PARTS = [each for each in SITUATIONS if len(files := project_at(each)) > 1 and not any(map(is_test, files))]


@pytest.mark.parametrize("situation", PARTS, ids=name_of)
def test_each_file_of_a_situation(situation: Path, check_project: CheckProject) -> None:
    sources = project_at(situation)
    whole = check_project(sources)

    for path in sources:
        alone = driver.check(Request((path,), flags=(("tests", True),), isolated=True))
        assert list(alone.findings) == [finding for finding in whole if finding.at.path == path]

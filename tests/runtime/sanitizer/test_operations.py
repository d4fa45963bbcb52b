"""What counts as test code."""

from __future__ import annotations

import pytest

from hermetic.sanitizer.operations import add_test_files, is_test_file


@pytest.mark.parametrize("path", ["/app/tests/test_users.py", "users_test.py", "/app/conftest.py"])
def test_files_named_as_pytest_names_them(path: str) -> None:
    assert is_test_file(path)


@pytest.mark.parametrize("path", ["/app/tests/factories.py", "/app/testing.py", "/app/contest.py", "test_data.txt"])
def test_other_files(path: str) -> None:
    assert not is_test_file(path)


def test_a_file_that_was_said_to_be_one() -> None:
    assert not is_test_file("/app/check_users.py")

    add_test_files(["/app/check_users.py"])

    assert is_test_file("/app/check_users.py")

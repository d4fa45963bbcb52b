"""What is one logical operation: requests, tasks, blocks, and what a test calls."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import ModuleType

import pytest

import hermetic
from hermetic.sanitizer.operations import Operation, add_test_files, declared, is_test_file
from hermetic.sanitizer.stacks import grab
from hermetic.sanitizer.watch import watch
from runtime.sanitizer.applications import load
from runtime.sanitizer.found import Found


@pytest.fixture
def relay(tmp_path: Path) -> ModuleType:
    return load("relay", tmp_path)


@pytest.mark.parametrize(
    ("path", "is_test"),
    [
        ("shop/test_orders.py", True),
        ("shop/orders_test.py", True),
        ("conftest.py", True),
        ("tests/factories.py", True),
        ("shop/orders.py", False),
        ("/elsewhere/tests/shop/orders.py", False),
        ("/elsewhere/tests/shop/test_orders.py", True),
        ("/elsewhere/conftest.py", True),
        ("/elsewhere/testing.py", False),
        ("/elsewhere/contest.py", False),
    ],
)
def test_test_files_are_known_by_their_paths(path: str, is_test: bool) -> None:
    assert is_test_file(path) is is_test


def test_test_files_that_a_runner_has_collected(tmp_path: Path) -> None:
    before = is_test_file(str(tmp_path / "checks.py"))
    add_test_files([str(tmp_path / "checks.py")])

    assert (before, is_test_file(str(tmp_path / "checks.py"))) == (False, True)


def test_directories_are_those_of_the_project_that_is_watched(tmp_path: Path) -> None:
    helpers = str(tmp_path / "tests" / "helpers.py")
    outside = is_test_file(helpers)
    with watch("tests", root=tmp_path):
        inside = is_test_file(helpers)

    assert (outside, inside) == (False, True)


def test_a_block_is_an_operation() -> None:
    with hermetic.operation("import"):
        inside = declared()

    assert inside is not None
    assert (inside.kind, inside.name, declared()) == ("operation", "import", None)


def test_a_block_in_a_block() -> None:
    with hermetic.operation("outer"):
        outer = declared()
        with hermetic.operation("inner"):
            inner = declared()
        again = declared()

    assert outer is again
    assert inner is not None
    assert inner.around is outer


async def test_a_block_goes_along_to_tasks_and_threads() -> None:
    async def task() -> Operation | None:
        return declared()

    with hermetic.operation("import"):
        here = declared()
        found = await asyncio.gather(task(), asyncio.create_task(task()), asyncio.to_thread(declared))

    assert here is not None
    assert [operation is here for operation in found] == [True, True, True]


async def test_another_task_is_no_part_of_it() -> None:
    async def task() -> Operation | None:
        await asyncio.sleep(0)
        return declared()

    other = asyncio.create_task(task())
    with hermetic.operation("import"):
        found = await other

    assert found is None


def test_what_a_test_calls_is_an_operation(relay: ModuleType, found: Found) -> None:
    operation = relay.service(lambda: found.watch.operation(grab(64)))

    assert (operation.kind, operation.name) == ("call", "service")


def test_all_acts_of_one_call_are_one_operation(relay: ModuleType, found: Found) -> None:
    first, second = relay.twice(lambda: found.watch.operation(grab(64)))

    assert first is second


async def test_all_acts_of_one_call_of_a_coroutine(relay: ModuleType, found: Found) -> None:
    async def act() -> Operation | None:
        await asyncio.sleep(0)
        return found.watch.operation(grab(64))

    first, second = await relay.async_service(act)

    assert (first.name, first is second) == ("async_service", True)


def test_two_calls_are_two_operations(relay: ModuleType, found: Found) -> None:
    first = relay.service(lambda: found.watch.operation(grab(64)))
    second = relay.service(lambda: found.watch.operation(grab(64)))

    assert first is not second


def test_what_the_test_does_itself_ends_the_call_before(relay: ModuleType, found: Found) -> None:
    def call(own: bool) -> tuple[Operation, Operation]:
        calls = []
        for _ in range(2):
            calls.append(relay.service(lambda: found.watch.operation(grab(64))))
            if own:
                assert found.watch.operation(grab(64)) is None
        return calls[0], calls[1]

    (first, second), (third, fourth) = call(own=True), call(own=False)

    assert first is not second
    assert third is fourth  # two calls from one line of a loop cannot be told apart


def test_what_tests_and_fixtures_do_themselves_is_none(found: Found) -> None:
    assert found.watch.operation(grab(64)) is None


def test_a_helper_of_the_tests_is_not_what_is_called(relay: ModuleType, found: Found) -> None:
    def helper() -> Operation:
        operation: Operation = relay.repository(lambda: found.watch.operation(grab(64)))
        return operation

    first, second = helper(), helper()

    assert (first.name, first is second) == ("repository", False)


def test_the_frames_of_an_operation_end_where_it_was_called(relay: ModuleType, found: Found) -> None:
    frames = relay.service(lambda: (grab(64), found.watch.operation(grab(64))))
    names = [code.co_name for code, _ in frames[1].inside(frames[0])]

    assert names == ["<lambda>", "repository", "service"]


def test_the_frames_of_a_block_end_with_its_function() -> None:
    def helper() -> list[str]:
        operation = declared()
        assert operation is not None
        return [code.co_name for code, _ in operation.inside(grab(64))]

    with hermetic.operation("import"):
        names = helper()

    assert names == ["helper", "test_the_frames_of_a_block_end_with_its_function"]


def test_another_thread_has_no_operation(relay: ModuleType, found: Found) -> None:
    seen: list[Operation | None] = []
    thread = threading.Thread(target=relay.service, args=[lambda: seen.append(found.watch.operation(grab(64)))])
    with hermetic.operation("import"):
        thread.start()
        thread.join()

    assert seen == [None]


def test_the_function_of_a_test_that_is_over_is_forgotten(relay: ModuleType, found: Found) -> None:
    def call() -> Operation:
        operation: Operation = relay.service(lambda: found.watch.operation(grab(64)))
        return operation

    calls = []
    for found.watch.scope in ("first", "second"):
        calls.append(call())

    assert calls[0] is not calls[1]

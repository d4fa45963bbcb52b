"""What the kernel says of turns on a CPU, and how much of it is believed."""

from __future__ import annotations

import threading
import time

import pytest

from hermetic.sanitizer import turns
from hermetic.sanitizer.turns import NONE, Turns, believed, queued


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the load and the tests' own weight are just now."""
    monkeypatch.setattr(turns, "crowd", lambda: 1.0)
    monkeypatch.setattr(turns, "_niceness", lambda: 0)


def test_what_a_thread_that_has_not_slept_waited_is_believed() -> None:
    assert believed(told=3.0, ran=0.01, sleeps=0) == 3.0


def test_a_sleep_does_not_count_as_waiting_for_a_turn() -> None:
    assert believed(told=0.6, ran=0.002, sleeps=1) < 0.15


def test_who_computed_may_have_waited_long_for_its_turns() -> None:
    assert believed(told=1.6, ran=0.2, sleeps=3) == 1.6


def test_a_thread_of_little_weight_waits_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = believed(told=3.0, ran=0.02, sleeps=1)
    monkeypatch.setattr(turns, "_niceness", lambda: 10)

    assert believed(told=3.0, ran=0.02, sleeps=1) > 2 * usual


def test_a_crowd_waits_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = believed(told=3.0, ran=0.02, sleeps=1)
    monkeypatch.setattr(turns, "crowd", lambda: 12.0)

    assert believed(told=3.0, ran=0.02, sleeps=1) > 2 * usual


def test_counters_that_went_back() -> None:
    """A thread has ended and another one has its number."""
    assert queued(Turns(2.0, 2.0, 50), Turns(0.1, 0.1, 3)) == 0.0


def test_a_thread_that_has_ended() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()

    ends = time.monotonic() + 5  # the kernel may have it a moment longer
    while turns.turns_of(thread.native_id or 0) != NONE and time.monotonic() < ends:
        time.sleep(0.01)
    assert turns.turns_of(thread.native_id or 0) == NONE


def test_own_sleeps() -> None:
    before = turns.own_sleeps()
    time.sleep(0.01)

    assert turns.own_sleeps() > before


def test_of_many_threads_only_the_own_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MOST_THREADS", 0)

    assert list(turns.turns_of_all()) == [threading.get_native_id()]


def test_no_kernel_that_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TASKS", "/nowhere")

    assert (turns.turns_of_all(), turns.turns_of(1)) == ({}, NONE)

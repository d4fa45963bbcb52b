"""Of which connections the stack is taken."""

from __future__ import annotations

import random

import pytest

from hermetic.sanitizer.sampling import MOST, Sampling


@pytest.fixture(autouse=True)
def the_same_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hermetic.sanitizer.sampling.random", random.Random(7).random)


def taken(sampling: Sampling, seconds: int, rate: int, since: float = 1000.0) -> list[int]:
    """How many stacks are taken in each second, with as many connections in it."""
    return [sum(sampling.takes(since + second + each / rate) for each in range(rate)) for second in range(seconds)]


def test_all_of_few() -> None:
    assert taken(Sampling(None), 3, MOST) == [MOST] * 3


@pytest.mark.parametrize("rate", [2 * MOST, 10 * MOST, 100 * MOST])
def test_a_limit_on_many(rate: int) -> None:
    counts = taken(Sampling(None), 10, rate)

    assert MOST <= counts[0] < 7 * MOST  # nobody knows yet how many there will be
    assert all(0.6 * MOST < count < 1.4 * MOST for count in counts[1:])


def test_after_a_quiet_time_all_again() -> None:
    sampling = Sampling(None)
    taken(sampling, 3, 10 * MOST)

    assert taken(sampling, 2, 5, since=1100.0) == [5, 5]


def test_a_share_that_the_user_asks_for_has_no_limit() -> None:
    assert taken(Sampling(1.0), 2, 10 * MOST) == [10 * MOST] * 2
    assert all(4.5 * MOST < count < 5.5 * MOST for count in taken(Sampling(0.5), 2, 10 * MOST))

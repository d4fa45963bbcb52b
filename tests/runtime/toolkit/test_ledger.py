"""The ledger in a form that a test run can afford; `bench/ledger.py` runs the whole."""

from __future__ import annotations

import pytest

from runtime.toolkit.ledger import Outcome, Plan, run_async, run_threads

PLAN = Plan(workers=60, transfers=4, kill_every=0.03, most_killed=100)  # on a busy machine the rest gets through


def check(outcome: Outcome) -> None:
    assert outcome.wrong == []
    assert outcome.errors["success"] > 0
    assert outcome.killed > 0
    assert outcome.answers_lost + outcome.commits_lost > 0


# A task that is cancelled while its driver connects leaves the driver a connection; what the pool has lost is counted.
@pytest.mark.filterwarnings("ignore:unclosed connection <asyncpg:ResourceWarning")
@pytest.mark.filterwarnings("ignore:<psycopg.AsyncConnection .* was deleted while still open:ResourceWarning")
async def test_no_money_is_lost_by_tasks(postgres_async_url: str) -> None:
    outcome = await run_async(postgres_async_url, PLAN)

    check(outcome)
    assert None in outcome.told.values()


def test_no_money_is_lost_by_threads(postgres_url: str) -> None:
    check(run_threads(postgres_url, PLAN))

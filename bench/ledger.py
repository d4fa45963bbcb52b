"""The ledger with hundreds of workers: transfers on PostgreSQL while everything that can go wrong does.

Starts a PostgreSQL of its own and a proxy on loopback, kills backends, loses COMMITs and their answers, cancels tasks,
has too few connections, and runs serializable with retries. Prints what clients were told, and whatever is wrong.

usage: python bench/ledger.py [--workers N] [--transfers N] [--rounds N]

Exit code 1 if anything is wrong. See tests/runtime/toolkit/ledger.py for what that means.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from dataclasses import replace
from pathlib import Path

from sqlalchemy import make_url

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from runtime.postgres import running
from runtime.toolkit.ledger import Outcome, Plan, run_async, run_threads


def show(title: str, outcome: Outcome) -> None:
    told = list(outcome.told.values())
    rate = told.count(True) / outcome.seconds
    print(f"{title}: {len(told)} transfers in {outcome.seconds:.1f} s ({rate:.0f} applied a second)")
    print(f"  told: {told.count(True)} success, {told.count(False)} failure, {told.count(None)} unknown")
    print(f"  trouble: {outcome.killed} killed, {outcome.answers_lost} answers, {outcome.commits_lost} COMMITs lost")
    print("  answers:", ", ".join(f"{name} {count}" for name, count in outcome.errors.most_common()))
    print("  wrong:", "; ".join(outcome.wrong) or "nothing")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=240)
    parser.add_argument("--transfers", type=int, default=20, help="of each worker")
    parser.add_argument("--rounds", type=int, default=1, help="each with another seed")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # psycopg warns of every connection that is killed under it
    wrong = 0
    with running("ledger") as server:
        for seed in range(1, arguments.rounds + 1):
            plan = replace(Plan(arguments.workers, arguments.transfers), seed=seed)
            for driver in ("asyncpg", "psycopg"):
                with server.database() as name:
                    url = make_url(server.url(name)).set(drivername=f"postgresql+{driver}")
                    outcome = asyncio.run(run_async(url.render_as_string(hide_password=False), plan))
                show(f"tasks, {driver}, seed {seed}", outcome)
                wrong += len(outcome.wrong)
            with server.database() as name:
                outcome = run_threads(server.url(name), plan)
            show(f"threads, psycopg, seed {seed}", outcome)
            wrong += len(outcome.wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

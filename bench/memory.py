"""What a watch keeps over many sessions: the memory of a service must not grow with the requests it has served.

Sessions in turns: closed, failed, committed and forgotten, leaked to the collector, with an engine of its own that is
thrown away. Prints the memory of the process and what the watch still has, after every tenth of the run.

usage: python bench/memory.py [--sessions N] [--mode production|tests]
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
from sqlalchemy import Engine, StaticPool, create_engine, exc, select, text
from sqlalchemy.orm import Session

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from runtime.models import Base, User

from hermetic.sanitizer.watch import Watch, watch

ONE = select(User.id).where(User.id == 1)


def closed(engine: Engine) -> None:
    with Session(engine) as session:
        session.execute(ONE)


def failed(engine: Engine) -> None:
    with suppress(exc.OperationalError), Session(engine) as session:
        session.execute(text("SELECT nothing"))


def forgotten(engine: Engine) -> None:
    session = Session(engine)
    session.execute(ONE)
    session.commit()


def leaked(engine: Engine) -> None:
    session = Session(engine)
    session.execute(ONE)


def thrown_away(_: Engine) -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    Session(engine).execute(text("SELECT 1"))


# Shares in a thousand sessions: an engine and a failure take much longer than a session.
WORK = ((closed, 800), (forgotten, 100), (leaked, 89), (failed, 10), (thrown_away, 1))


def thousand(engine: Engine) -> None:
    """A thousand sessions, and more."""
    for work, share in WORK:
        for _ in range(share):
            work(engine)


def kept(running: Watch) -> str:
    """What the watch has, in words."""
    ledger = running.ledger
    parts = {"open": ledger.open, "holds": ledger.holds, "engines": ledger.engines, "collected": ledger.collected}
    return ", ".join([*(f"{name} {len(part)}" for name, part in parts.items()), f"findings {len(running.findings)}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--mode", default="production")
    chosen = parser.parse_args()
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    Base.metadata.create_all(engine)
    process, began = psutil.Process(), time.monotonic()
    thousands = chosen.sessions // 1000
    with watch(chosen.mode, lambda finding: None) as running:
        for number in range(thousands):
            thousand(engine)
            if (number + 1) % max(thousands // 10, 1) == 0:
                gc.collect()
                running.drain()
                megabytes = process.memory_info().rss / 1e6
                print(f"{(number + 1) * 1000:>9,} sessions  {megabytes:6.1f} MB  {kept(running)}", flush=True)
        print(f"{time.monotonic() - began:.0f} s; errors of hermetic's own: {running.errors} {running.last_error}")


if __name__ == "__main__":
    main()

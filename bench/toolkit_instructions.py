"""Instructions that the client spends on a transaction: what `toolkit_speed.py` times, on a machine that is busy.

Counts those of the process with valgrind's cachegrind, which has to be installed; the kernel's, the server's and the
network's are not in it. Takes the difference of two runs, so that imports and the first transactions do not count.

usage: python bench/toolkit_instructions.py [NAME …]

The names are those that `toolkit_speed.py` prints.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys

import toolkit_speed
from toolkit_speed import ROOT, in_environment

FEW, MANY = 30, 130  # transactions
VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={os.devnull}")
WORKS = (("psycopg", "read"), ("psycopg", "write"), ("asyncpg", "read"), ("asyncpg", "write"))


def run(url: str, driver: str, name: str, what: str, times: int) -> None:
    number = ("read", "write").index(what)
    if driver == "psycopg":
        work = toolkit_speed.sync_works(url)[name][number]
        for _ in range(times):
            work()
        return

    async def go() -> None:
        work = toolkit_speed.async_works(url.replace("+psycopg", "+asyncpg"))[name][number]
        for _ in range(times):
            await work()

    asyncio.run(go())


def instructions(url: str, driver: str, name: str, what: str, times: int) -> int:
    command = [*VALGRIND, sys.executable, __file__, "--run", url, driver, name, what, str(times)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    found = re.search(r"I\s+refs:\s+([\d,]+)", told)
    assert found is not None, told
    return int(found[1].replace(",", ""))


def measure(names: list[str]) -> None:
    from runtime.models import Account
    from runtime.postgres import running
    from sqlalchemy import create_engine, insert

    with running("toolkit-instructions") as server, server.database() as database:
        url = server.url(database)
        with create_engine(url).begin() as connection:
            connection.execute(insert(Account).values(balance=0))
        for driver, what in WORKS:
            for name in names:
                few, many = (instructions(url, driver, name, what, times) for times in (FEW, MANY))
                print(f"{what}, {driver}: {name:20} {(many - few) / (MANY - FEW) / 1000:7.0f} thousand", flush=True)


def main() -> None:
    if sys.argv[1:2] == ["--run"]:
        url, driver, name, what, times = sys.argv[2:]
        run(url, driver, name, what, int(times))
    elif sys.argv[1:2] == ["--here"]:
        measure(sys.argv[2:])
    else:
        names = sys.argv[1:] or ["SQLAlchemy by hand", "hermetic", "hermetic, pinging"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONHASHSEED": "0"}
        subprocess.run([in_environment(), __file__, "--here", *names], check=True, env=environment)


if __name__ == "__main__":
    main()

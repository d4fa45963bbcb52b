"""Lowering many files at once, in forked processes.

Each worker inherits the bytes of its share, and hands back one marshalled list through a pipe. What a worker does not
deliver, because it was killed or could not be forked, is left to whoever asked. So the outcome is the same for any
number of workers.
"""

from __future__ import annotations

import marshal
import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from hermetic.engine.ir import Node
from hermetic.engine.source import NotAnalysed, facts_of

MOST_JOBS = 8
LEAST_SHARE = 500_000  # bytes of source, below which a process costs more than it saves

Outcome = Node | str  # the facts of a file, or why there are none


class Worker(NamedTuple):
    """A process, and the pipe that it writes to."""

    process: int
    pipe: int


NOBODY = Worker(-1, -1)  # it could not be forked


def outcome_of(data: bytes) -> Outcome:
    """The facts of a file's bytes, or why there are none."""
    try:
        return facts_of(data)
    except NotAnalysed as error:
        return str(error)


def jobs_for(size: int, wanted: int | None) -> int:
    """How many processes are to share that many bytes of source; `wanted` is what the user says."""
    if not hasattr(os, "fork") or threading.active_count() > 1:  # what other threads hold would stay locked
        return 1
    if wanted is not None:
        return wanted
    return max(1, min(_cores(), MOST_JOBS, size // LEAST_SHARE))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def lower_all(sources: Sequence[bytes], jobs: int, progress: Callable[[int], None]) -> list[Outcome]:
    """The outcome for each source. `progress` is told how many are done."""
    outcomes: list[Outcome | None] = [None] * len(sources)
    own, *others = _shares(sources, max(1, min(jobs, len(sources))))
    workers: list[Worker] = []
    try:
        for share in others:
            workers.append(_fork(sources, share, workers))
        for done, number in enumerate(own):
            outcomes[number] = outcome_of(sources[number])
            progress(min(done * jobs, len(sources)))
        for share in others:
            for number, outcome in zip(share, _delivered(workers[0]), strict=False):
                outcomes[number] = outcome
            del workers[0]
    except BaseException:  # Ctrl-C: nobody waits for what the workers do
        _kill(workers)
        raise
    return [outcome_of(sources[number]) if found is None else found for number, found in enumerate(outcomes)]


def _shares(sources: Sequence[bytes], jobs: int) -> list[list[int]]:
    """The numbers of the sources, in shares of about the same size."""
    shares: list[list[int]] = [[] for _ in range(jobs)]
    sizes = [0] * jobs
    for number in sorted(range(len(sources)), key=lambda number: -len(sources[number])):
        least = sizes.index(min(sizes))
        shares[least].append(number)
        sizes[least] += len(sources[number])
    return shares


def _fork(sources: Sequence[bytes], share: Sequence[int], earlier: Sequence[Worker]) -> Worker:
    """Start a worker. It keeps no reading end, or it would wait for a reader when the process that reads is gone."""
    try:
        read_end, write_end = os.pipe()
    except OSError:
        return NOBODY
    try:
        process = os.fork()
    except OSError:
        os.close(read_end)
        os.close(write_end)
        return NOBODY
    if not process:
        for pipe in (read_end, *(worker.pipe for worker in earlier if worker is not NOBODY)):
            os.close(pipe)
        _work(sources, share, write_end)
    os.close(write_end)
    return Worker(process, read_end)


def _work(sources: Sequence[bytes], share: Sequence[int], write_end: int) -> None:
    """Do a share, and end the process without flushing what its parent has buffered."""
    code = 1
    try:
        with open(write_end, "wb") as pipe:
            pipe.write(marshal.dumps([outcome_of(sources[number]) for number in share]))
        code = 0
    finally:
        os._exit(code)


def _delivered(worker: Worker) -> list[Outcome]:
    """What a worker has done, or nothing."""
    if worker is NOBODY:
        return []
    with open(worker.pipe, "rb") as answers:
        answer = answers.read()
    _, status = os.waitpid(worker.process, 0)
    if status:
        return []
    outcomes: list[Outcome] = marshal.loads(answer)
    return outcomes


def _kill(workers: Sequence[Worker]) -> None:
    for worker in workers:
        if worker is not NOBODY:
            with suppress(OSError):  # it has ended by itself
                os.kill(worker.process, signal.SIGKILL)
                os.waitpid(worker.process, 0)

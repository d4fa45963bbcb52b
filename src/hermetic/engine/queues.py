"""What task queues and schedulers run: functions that are handed to them by call, or named in settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hermetic.engine import ir, values as v
from hermetic.engine.ir import Node
from hermetic.engine.link import Function
from hermetic.engine.walk import last_name
from hermetic.engine.worker_state import WorkerState, functions_in, is_of
from hermetic.models import workers
from hermetic.models.frameworks import WORKER

if TYPE_CHECKING:
    from hermetic.engine.types import Types


class Queues:
    """The functions that queues run, by context."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self.workers = WorkerState(types)

    # -- whom they run ------------------------------------------------------------------------------------------

    def functions(self) -> Iterator[tuple[int, str]]:
        """(function, context)"""
        yield from self.workers.functions().items()
        for name, hand_over in workers.HAND_OVERS.items():
            for user in self._types.code.users_of(name):
                fn = self._types.code.functions[user]
                for node in fn.nodes():
                    if node[0] == ir.CALL and last_name(node[1]) == name:
                        for function in self._handed_over(node, hand_over, fn):
                            yield function, WORKER
        for class_ in self._types.code.classes:
            for base in self._types.classes.external_bases(class_.id) & workers.JOB_CLASSES.keys():
                if workers.JOB_CLASSES[base] in class_.methods:
                    yield class_.methods[workers.JOB_CLASSES[base]], WORKER

    def _handed_over(self, node: Node, hand_over: workers.HandOver, fn: Function) -> Iterator[int]:
        callee = self._types.infer(node[1], fn)
        if callee and not any(is_of(atom, hand_over.library) for atom in callee):
            return
        place = hand_over.place
        given = node[2][place] if len(node[2]) > place else dict(node[3]).get(hand_over.keyword)
        yield from functions_in(self._types.infer(given, fn))

    # -- what celery gives them ---------------------------------------------------------------------------------

    def bound_task(self, fn: Function) -> int | None:
        """The class of the task that `@app.task(base=DatabaseTask, bind=True)` passes to its function as `self`."""
        top = self._types.code.top_of(fn.module)
        for decorator in fn.decorators:
            options = dict(decorator[3]) if type(decorator) is tuple and decorator[0] == ir.CALL else {}
            if options.get("bind") == ir.TRUE and last_name(decorator[1]) in workers.BINDING_DECORATORS:
                for atom in self._types.infer(options.get("base"), top):
                    if atom[0] == v.CLASS:
                        return int(atom[1])
        return None

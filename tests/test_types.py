"""Questions about types that come back to themselves."""

from __future__ import annotations

import pytest

from hermetic.engine.link import Codebase, Function
from hermetic.engine.signatures import Signatures
from hermetic.engine.source import facts_of
from hermetic.engine.types import Types
from hermetic.engine.values import Value

CIRCLE = 12
EVERYBODY_CALLS_EVERYBODY = "\n".join(
    f"def f{number}(context):\n" + "".join(f"    f{other}(context)\n" for other in range(CIRCLE))
    for number in range(CIRCLE)
)


def test_a_circle_of_parameters_is_not_gone_through_again_for_each_way_into_it(monkeypatch: pytest.MonkeyPatch) -> None:
    types = Types(Codebase([("example.py", facts_of(EVERYBODY_CALLS_EVERYBODY.encode()))]))
    asked: list[str] = []
    answer = Signatures._param

    def count(self: Signatures, fn: Function, number: int) -> Value:
        asked.append(fn.name)
        return answer(self, fn, number)

    monkeypatch.setattr(Signatures, "_param", count)

    for function in types.code.functions[1:]:
        assert types.param(function, 0) == frozenset()

    assert len(asked) <= CIRCLE**3


def test_an_annotation_of_nothing_in_brackets_says_nothing() -> None:
    source = b"def f(a: tuple[()], b: 'Union[int, Tuple[()]]') -> Annotated[()]:\n    return a\n"
    types = Types(Codebase([("example.py", facts_of(source))]))
    function = types.code.functions[1]

    assert [types.param(function, number) for number in (0, 1)] == [frozenset(), frozenset()]
    assert types.returned(function.id, None) == frozenset()

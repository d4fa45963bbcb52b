"""`hermetic debug`: what it prints of a function, and how a function is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import facts_after_round_trip
from shell import hermetic, write
from situations import FIXTURES, SITUATIONS, project_at

from hermetic.driver import solve
from hermetic.engine.ir import Node
from hermetic.engine.link import Codebase, Function
from hermetic.report import debug_cfg, debug_ir, debug_summary
from hermetic.report.debug_words import Words

SHOP = """\
from contextlib import suppress

from sqlalchemy.orm import Session, sessionmaker

from base import engine

factory = sessionmaker(engine)


def price(session: Session, number: int):
    session.execute(number)
    session.commit()


class Till:
    def __init__(self, *drawers, open=False):
        self.drawers = [drawer for drawer in drawers if drawer]

    async def count(self, key=lambda drawer: drawer):
        with factory() as session, suppress(OSError):
            for drawer in self.drawers:
                if not drawer:
                    continue
                price(session, number=drawer)
            else:
                return {"all": await key(self)}
        raise ValueError(f"no {key}")
"""
BASE = """\
from sqlalchemy import create_engine

engine = create_engine("sqlite://")


def price():
    return 1
"""

IR = """\
shop.py:19
   19  async def Till.count(self, key = <lambda 4>):
   20      with factory() as session, suppress(OSError):
   21          for drawer in self.drawers:
   22              if not drawer:
   23                  continue
   24              price(session, number=drawer)
   26          else:
   26              return {'all': await key(self)}
   27      raise ValueError(mix(key))
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write(tmp_path, {"shop.py": SHOP, "base.py": BASE})


def function(source: str) -> Function:
    """The last function of a module."""
    return Codebase([("app.py", facts_after_round_trip(source.encode()))]).functions[-1]


def ways(source: str) -> dict[str, set[str]]:
    """First statement of each block of a function -> its edges, targets told by their first statements."""
    body = "\n".join(f"    {line}" for line in source.splitlines())
    _, *blocks = debug_cfg.render(function(f"async def f(a, b, c):\n{body}\n")).split("\n\n")
    lines = [block.splitlines() for block in blocks]
    first = {number: block[1][7:] for number, block in enumerate(lines)}
    out = {}
    for number, block in enumerate(lines):
        edges = [line.partition("-> ")[2] for line in block if "-> " in line]
        out[first[number]] = {_by_statement(edge, first) for edge in edges}
    return out


def _by_statement(edge: str, first: dict[int, str]) -> str:
    kind, _, target = edge.partition(": ")
    return f"{kind}: {first[int(target.removeprefix('block '))]}" if target.startswith("block ") else edge


def test_ir_is_one_statement_a_line(shop: Path) -> None:
    run = hermetic("debug", "ir", "Till.count", cwd=shop)

    assert (run.stdout, run.stderr, run.returncode) == (IR, "", 0)


@pytest.mark.parametrize(
    "name",
    ["shop.price", "shop.py:price", "./shop.py:price", "shop.py:11"],
)
def test_a_function_is_named_by_module_file_or_line(name: str, shop: Path) -> None:
    run = hermetic("debug", "ir", name, cwd=shop)

    assert run.stdout.startswith("shop.py:10\n   10  def price(session: Session, number: int):\n")


def test_a_file_in_another_project(shop: Path) -> None:
    run = hermetic("debug", "ir", f"{shop.name}/base.py:price", cwd=shop.parent)

    assert run.stdout == "base.py:6\n    6  def price():\n    7      return 1\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prize",), "no function `prize`; did you mean `price`?"),
        (("Tall.coumt",), "no function `Tall.coumt`; did you mean `Till.count`?"),
        (("zzz",), "no function `zzz`"),
        (("shop.py:prize",), "no function `prize`; did you mean `price`?"),
        (("price",), "`price` is the name of 2 functions: base.py:price, shop.py:price"),
        (("nowhere.py:price",), "no such file in the project, or nothing in it: nowhere.py"),
        (("price", "nowhere"), "no such file or directory: nowhere"),
    ],
)
def test_a_name_that_means_no_single_function(arguments: tuple[str, ...], message: str, shop: Path) -> None:
    run = hermetic("debug", "summary", *arguments, cwd=shop)

    assert (run.stdout, run.stderr, run.returncode) == ("", f"hermetic: {message}\n", 2)


def test_an_unknown_view_is_told_with_the_nearest(shop: Path) -> None:
    run = hermetic("debug", "sumary", "price", cwd=shop)

    assert run.returncode == 2
    assert "unknown `sumary`; did you mean `summary`?" in run.stderr


def test_summary_tells_effects_exits_and_observations(shop: Path) -> None:
    text = hermetic("debug", "summary", "shop.price", cwd=shop).stdout

    assert "parameter session: sync session (plain)" in text
    assert "called by: shop.py:Till.count" in text
    assert "blocks: parameter session at shop.py:11" in text
    assert "when a statement of the database fails:" in text
    assert "      committed: yes\n" in text
    assert "committed since shop.py:12" in text


def test_summary_tells_what_was_seen(shop: Path) -> None:
    text = hermetic("debug", "summary", "Till.count", cwd=shop).stdout

    assert "seen here, for rules to judge:\n  Blocking\n    at: shop.py:24 > shop.py:11\n    callee: price\n" in text


def test_an_engine_is_told_by_where_it_was_made() -> None:
    facts: list[tuple[str, Node | None]] = [("base.py", facts_after_round_trip(BASE.encode()))]
    program = solve(facts, lambda name: [])

    assert Words(program).value(program.solver.types.global_(0, "engine")) == "engine(sync, made at base.py:3)"


def test_summary_says_so_when_nothing_was_interpreted(shop: Path) -> None:
    assert debug_summary.IRRELEVANT in hermetic("debug", "summary", "base.price", cwd=shop).stdout


def test_cfg_of_branches() -> None:
    assert ways("if a:\n    b = a\nelse:\n    return b\nc = a") == {
        "if a:": {"true: b = a", "false: return b"},
        "b = a": {"next: c = a"},
        "return b": {"return: exit: return"},
        "c = a": {"next: exit: end of the body"},
    }


def test_cfg_of_loops() -> None:
    assert ways(
        "while True:\n    if a:\n        break\n    if b:\n        continue\n    await c\nfor a in b:\n    c = a"
    ) == {
        "while True:": {"true: if a:"},
        "if a:": {"true: break", "false: if b:"},
        "break": {"break: for a in b:"},
        "if b:": {"true: continue", "false: await c"},
        "continue": {"continue: while True:"},
        "await c": {"again: while True:", "raise: exit: exception"},
        "for a in b:": {"next item: c = a", "no more items: exit: end of the body"},
        "c = a": {"again: for a in b:"},
    }


def test_cfg_of_handlers() -> None:
    got = ways("try:\n    a()\nexcept KeyError:\n    b = c\nexcept Exception as e:\n    raise\nelse:\n    c = a")

    assert got["a()"] == {"raise: except KeyError:", "raise: except Exception as e:", "else: c = a"}
    assert got["except KeyError:"] == {"next: exit: end of the body"}
    assert got["except Exception as e:"] == {"raise: exit: exception"}


def test_cfg_of_a_handler_that_catches_a_part() -> None:
    got = ways("try:\n    a()\nexcept KeyError:\n    b = c")

    assert got["a()"] == {"raise: except KeyError:", "raise: exit: exception", "next: exit: end of the body"}


def test_every_exit_passes_finally_and_goes_on() -> None:
    got = ways(
        "for a in b:\n    try:\n        if a:\n            break\n        return b()\n    finally:\n        c = a"
    )

    assert got["break"] == {"break: finally:"}
    assert got["return b()"] == {"raise: finally:", "return: finally:"}
    assert got["finally:"] == {"break: exit: end of the body", "return: exit: return", "raise: exit: exception"}


def test_leaving_a_with_is_a_block_of_its_own() -> None:
    got = ways("with a as b, suppress(c):\n    b.x()\nreturn b")

    assert got["with a as b:"] == {"raise: exit: exception", "next: with suppress(c):"}
    assert got["b.x()"] == {"raise: leave suppress(c)", "next: leave suppress(c)"}
    assert got["leave suppress(c)"] == {"raise: leave a", "swallowed: leave a", "next: leave a"}
    assert got["leave a"] == {"raise: exit: exception", "next: return b"}


def test_code_behind_a_return_is_shown_as_unreachable() -> None:
    assert "(nothing leads here)" in debug_cfg.render(function("def f(a):\n    return a\n    a()\n"))


ENGINE = FIXTURES.parent.parent / "src" / "hermetic" / "engine"


@pytest.mark.parametrize("path", sorted(ENGINE.glob("*.py")), ids=lambda path: path.name)
def test_ir_and_cfg_of_any_function(path: Path) -> None:
    code = Codebase([("app.py", facts_after_round_trip(path.read_bytes()))])

    for fn in code.functions:
        assert len(debug_ir.render(fn).splitlines()) > len(fn.statements())
        assert "exit: " in debug_cfg.render(fn)


@pytest.mark.parametrize("path", SITUATIONS[::7], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_summary_of_any_function(path: Path) -> None:
    facts: list[tuple[str, Node | None]] = [
        (name, facts_after_round_trip(text.encode())) for name, text in project_at(path).items()
    ]
    program = solve(facts, lambda name: [])

    for fn in program.code.functions:
        assert debug_summary.render(fn, program).startswith(debug_ir.head(fn))

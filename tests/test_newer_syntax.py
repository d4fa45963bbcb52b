"""Code for a newer Python than the one that runs: read all the same, every line and column where it was."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest
from shell import LEAK, check_json, hermetic, places, write

from hermetic.engine.newer_syntax import comments, rewrite
from hermetic.engine.source import NotAnalysed, facts_of

MARK = "s = Session(engine)"

NEWER = {
    "generic function": "def first[T](items: list[T]) -> T: return items[0]",
    "bound and constraints": "def f[T: int, U: (str, bytes)](a: T, b: U) -> T: return a",
    "all kinds of parameters": "def f[T, *Ts, **P](a: T, *args: *Ts) -> None: ...",
    "async generic function": "async def f[T](a: T) -> T: return a",
    "generic class": "class Box[T]: pass",
    "generic class with bases": "class Box[T: (int, str)](list[T], metaclass=type): pass",
    "nested generics": "class A[T]:\n    class B[U](dict[T, U]):\n        def f[V](self, a: V) -> V: return a",
    "parameters over several lines": "class A[\n    T: int,  # a remark\n\n    *Ts,\n](list[T]):\n    pass",
    "defaults (PEP 696)": "class A[T = int, *Ts = *tuple[int, ...], **P = [int, str]]: pass",
    "default with brackets": 'def f[T: dict[str, "list[int]"] = dict[str, list[int]]](a: T) -> None: ...',
    "type statement": "type Url = str",
    "generic type statement": "type Pair[A, B = A] = tuple[A, B]",
    "type statement over lines": "type Pair[\n    A,\n    B,\n] = tuple[\n    A, B\n]",
    "type statement in a body": "class A:\n    type X = int; y = 1",
    "type as a name": "type = 1; type[0]; type(1); type X = int",
    "same quotes": 'x = f"{d["a"]}"',
    "same quotes, deep": 'x = f"{f"{f"{f"{1 + 1}"}"}"}"',
    "several lines in a field": 'x = f"{\n    d[\n        "a"\n    ]\n}"',
    "a comment in a field": 'x = f"{\n    a  # the "first" }\n}"',
    "a backslash in a field": 'x = f"{"\\n".join(a)}"',
    "conversion and nested format": 'x = f"{d["a"]!r:>{d["w"]}}"',
    "debugging field": 'x = f"{d["a"] = } {d["b"]=!r:^20}"',
    "comparison in a field": 'x = f"{d["a"] != d["b"]} {d["a"]==1} {(y := d["z"])}"',
    "lambda and dict in a field": 'x = f"{(lambda q: q["a"])({"a": {"b": 1}})}"',
    "braces": 'x = f"{{{d["a"]}}}{{}}"',
    "named characters": 'x = f"\\N{EM DASH}{d["a"]}\\N{BULLET}"',
    "raw": 'x = rf"\\{d["a"]}\\"{d["b"]}"',
    "triple quotes": 'x = f"""\n{d["""a"""]}\n{\n  1\n}\n"""',
    "joined strings": 'x = ("a" f"{d["b"]}"\n     rb"" b"" if 0 else "c"  # "\n     f"{d["e"]}" r"\\f")',
    "joined by a backslash": 'x = "a" \\\n    f"{d["b"]}"',
    "joined over lines in a field": 'x = f"{f"{1}"\n f"{d["a"]}"}"',
    "yield in a field": 'def f():\n    x = f"{yield d["a"]}{yield}"',
    "await in a field": 'async def f():\n    x = f"{await d["a"]()}"',
    "unpacking in a field": 'x = f"{*d["a"], 1}"',
    "other characters": 'größe = f"äöü {d["größe"]} 日本"; é = 1',
    "except without parentheses": "try: pass\nexcept ValueError, KeyError: pass",
    "except over a call": "try: pass\nexcept a.b, c(d, e)[f, g], h:\n    pass",
    "except group": "try: pass\nexcept* ValueError, KeyError: pass",
    "template string": 'x = t"hello {name} {d["a"]!r:>{w}}"',
    "template strings of all sorts": "x = rt'{a}\\d' tr\"{b}\" T'''{\nc}'''",
    "template in an f-string": 'x = f"{t"{a["b"]}"}"',
}

each_construct = pytest.mark.parametrize("source", NEWER.values(), ids=NEWER)


@each_construct
def test_newer_syntax_is_rewritten_for_an_older_parser(source: str) -> None:
    older = rewrite(f"{source}\n{MARK}\n".encode())

    assert older is not None
    tree = ast.parse(older, feature_version=(3, 11))
    assert ast.unparse(tree.body[-1]) == MARK
    assert tree.body[-1].lineno == source.count("\n") + 2


@each_construct
def test_facts_of_newer_syntax(source: str) -> None:
    assert facts_of(source.encode())


@pytest.mark.parametrize("source", [f"{before}; {MARK}" for before in NEWER.values() if "\n" not in before])
def test_columns_stay_behind_newer_syntax(source: str) -> None:
    older = rewrite(source.encode())

    assert older is not None
    assert older.encode()[: source.encode().index(MARK.encode()) + len(MARK)].endswith(MARK.encode())


@pytest.mark.parametrize(
    ("source", "called"),
    [
        ('x = f"a{ load(d["k"]) !r:>{ width(1) }}b{ save () }"', ["load(", "width(", "save ("]),
        ('ä = f"äö{ load(d["ü"]) }日{save()}"', ["load(", "save("]),
        ('x = f"""\n ä {\n  load("a"\n  )}{save()}\n"""', ["load(", "save("]),
        ('x = t"{load("a")}" "b" f\'{save()}\'', ["load(", "save("]),
    ],
)
def test_calls_in_strings_keep_line_and_column(source: str, called: list[str]) -> None:
    older = rewrite(source.encode() + b'\ntype X = f"{d["k"]}"\n')
    assert older is not None
    lines = source.encode().split(b"\n")
    calls = [node for node in ast.walk(ast.parse(older)) if isinstance(node, ast.Call)]

    for call, text in zip(sorted(calls, key=lambda node: (node.lineno, node.col_offset)), called, strict=True):
        assert lines[call.lineno - 1][call.col_offset :].startswith(text.encode())


MIXED = '''\
"""Everything at once, and one leak."""
from collections.abc import Callable
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

engine = create_engine("sqlite://")
type Maker[T = Session, **P = []] = Callable[P, T]


class Store[
    T: (int, str) = int,  # what identifies a row
    *Rest = *tuple[int, ...],
]:
    def load[R: object](self, key: T, name: str = f"{"a" + f"{"b"}"}") -> R:
        title = f"""{
            {"größe": f"{key!r:>{len("x")}}"}["größe"]  # the "title"
        } äöü"""
        try:
            statement = t"SELECT {title} FROM {name["a"]}"
        except ValueError, KeyError:
            raise
        é = f"{"日本"}"; session = Session(engine)
        return session.scalar(statement)
'''


def test_a_finding_among_all_of_it(tmp_path: Path) -> None:
    document = check_json(write(tmp_path, {"store.py": MIXED}))
    (finding,) = document["findings"]
    number = next(number for number, line in enumerate(MIXED.split("\n"), 1) if "Session(engine)" in line)
    line = MIXED.split("\n")[number - 1]

    assert document["not_analysed"] == []
    assert (finding["rule"], finding["line"], finding["function"]) == ("SES001", number, "Store.load")
    assert line[finding["column"] - 1 : finding["end_column"] - 1] == "Session(engine)"


def test_a_finding_inside_of_an_f_string(tmp_path: Path) -> None:
    source = LEAK.partition("\n\n\n")[0] + '\n\n\ndef f(d):\n    return f"ü{d["a"]}{Session(engine).scalar(d["b"])}"\n'
    (finding,) = check_json(write(tmp_path, {"a.py": source}), "--select", "SES001")["findings"]

    line = source.split("\n")[finding["line"] - 1]
    assert line[finding["column"] - 1 : finding["end_column"] - 1] == "Session(engine)"


def test_generic_classes_are_followed_across_files(tmp_path: Path) -> None:
    base = """\
        from sqlalchemy.orm import Session

        class Repository[T]:
            def __init__(self, session: Session) -> None:
                self.session = session

            def store[U: object](self, item: U) -> U:
                self.session.add(item)
                return item
    """
    app = """\
        from sqlalchemy import create_engine
        from sqlalchemy.orm import Session
        from base import Repository

        engine = create_engine("sqlite://")
        type Orders = Repository[int]

        class OrderRepository(Repository[int]): pass

        def leak(item):
            repository = OrderRepository(Session(engine))
            return repository.store(item).id
    """
    root = write(tmp_path, {"base.py": textwrap.dedent(base), "app.py": textwrap.dedent(app)})

    assert ("app.py", 11, "SES001") in places(check_json(root))


GARBAGE = {
    "Python 2": "print 'hello'\nexec 'x' in d\n",
    "Python 2 raise": "raise ValueError, 'x'\n",
    "Python 2 backticks": "x = `1`\n",
    "prose": "This is a letter, and no program.\n",
    "open string": 'x = f"{a["b"\n',
    "open field": 'x = f"{a"\n',
    "open bracket": "def f[T(a): pass\n",
    "open parameters": "class A[T\n",
    "empty field": 'x = f"{}" + f"{d["a"]}"\n',
    "odd dedent": "if a:\n        b\n    c\n",
    "a merge conflict": "<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> other\n",
    "a template": "{% if a %}\nx = 1\n{% endif %}\n",
    "except with a name": "try: pass\nexcept A, B as e: pass\n",
    "only a backslash": "\\",
    "a quote at the end": "x = 'a",
    "fields without end": 'f"{' * 400,
}


@pytest.mark.parametrize("source", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_not_analysed(source: str) -> None:
    with pytest.raises(NotAnalysed, match=r"\w"):
        facts_of(source.encode())


def test_garbage_is_listed_and_the_rest_analysed(tmp_path: Path) -> None:
    files = {f"bad_{number}.py": source for number, source in enumerate(GARBAGE.values())}
    root = write(tmp_path, files | {"leak.py": LEAK})
    document = check_json(root)

    assert [entry["path"] for entry in document["not_analysed"]] == sorted(files)
    assert all(entry["reason"] for entry in document["not_analysed"])
    assert places(document) == [("leak.py", 8, "SES001")]
    assert hermetic("check", cwd=root).returncode == 1
    assert hermetic("check", "bad_0.py", cwd=root).returncode == 3


def test_comments_are_told_from_strings() -> None:
    text = (
        'x = "# no"  # one\ny = f"{d["# no"]}"  # two\n"""\n# no\n"""  # three\n'
        "z = f'''{\n  a  # no comment of the file\n}''' # four\n"
    )

    assert [(line, comment) for line, _, comment in comments(text)] == [
        (1, "# one"),
        (2, "# two"),
        (5, "# three"),
        (8, "# four"),
    ]
    assert all(text.split("\n")[line - 1][column:] == comment for line, column, comment in comments(text))

"""`[tool.hermetic]`: what each key does, and an answer to every way of getting it wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from shell import FRAGILE, LEAK, check_json, hermetic, paths, places, write

from hermetic import settings as settings_module
from hermetic.settings import KEYS, Settings, SettingsError, parse, selected_codes

KNOWN = ("SES001", "SES002", "SES101")
UNUSED = "HERMETIC001"


def project(root: Path, table: str, **files: str) -> Path:
    sources = {"app.py": LEAK, "fragile.py": FRAGILE, "old/app.py": LEAK, "tests/test_x.py": LEAK, **files}
    return write(root, {**sources, "pyproject.toml": f'[project]\nname = "x"\n\n[tool.hermetic]\n{table}\n'})


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ("", ["app.py", "fragile.py", "old/app.py"]),
        ('select = ["SES005"]', ["fragile.py"]),
        ('ignore = ["SES001"]', ["fragile.py"]),
        ('select = ["SES00"]\nignore = ["ses005"]', ["app.py", "old/app.py"]),
        ('exclude = ["old/", "fragile.*"]', ["app.py"]),
        ("tests = true", ["app.py", "fragile.py", "old/app.py", "tests/test_x.py"]),
        ('per-file-ignores = {"old/**" = ["SES001"], "fragile.py" = ["SES"]}', ["app.py"]),
        ('per-file-ignores = {"*.py" = ["ses00"]}', []),
        ('per-file-ignores = {"*.py" = []}', ["app.py", "fragile.py", "old/app.py"]),
        ('[tool.hermetic.per-file-ignores]\n"old" = ["SES001"]', ["app.py", "fragile.py"]),
        ('src = ["."]', ["app.py", "fragile.py", "old/app.py"]),
    ],
)
def test_each_key(table: str, found: list[str], tmp_path: Path) -> None:
    assert paths(check_json(project(tmp_path, table))) == found


def test_migrations(tmp_path: Path) -> None:
    root = write(tmp_path, {"migrations/0001.py": LEAK, "pyproject.toml": "[tool.hermetic]\nmigrations = true\n"})

    assert paths(check_json(root)) == ["migrations/0001.py"]


@pytest.mark.parametrize(("table", "code"), [("", 0), ("strict = false", 0), ("strict = true", 1)])
def test_strict(table: str, code: int, tmp_path: Path) -> None:
    root = write(tmp_path, {"fragile.py": FRAGILE, "pyproject.toml": f"[tool.hermetic]\n{table}\n"})

    assert hermetic("check", cwd=root).returncode == code
    assert hermetic("check", "--isolated", cwd=root).returncode == 0
    assert hermetic("check", "--strict", cwd=root).returncode == 1


def test_strict_holds_for_its_own_project_only(tmp_path: Path) -> None:
    write(tmp_path / "strict", {"app.py": "", "pyproject.toml": "[tool.hermetic]\nstrict = true\n"})
    write(tmp_path / "lenient", {"app.py": FRAGILE})

    assert hermetic("check", "strict", "lenient", cwd=tmp_path).returncode == 0
    write(tmp_path / "strict", {"app.py": FRAGILE})
    assert hermetic("check", "strict", "lenient", cwd=tmp_path).returncode == 1


def test_flags_win(tmp_path: Path) -> None:
    root = project(tmp_path, 'select = ["SES005"]\nexclude = ["fragile.py"]')

    assert paths(check_json(root)) == []
    assert paths(check_json(root, "--select", "SES001")) == ["app.py", "old/app.py"]
    assert paths(check_json(root, "--exclude", "old/")) == ["fragile.py"]


def test_a_src_directory_that_cannot_be_inferred(tmp_path: Path) -> None:
    factory = LEAK.partition("\n\n\n")[0] + "\n\n\ndef make():\n    return Session(engine)\n"
    user = "from shop.db import make\n\n\ndef load(x):\n    session = make()\n    return session.scalar(x)\n"
    files = {"lib/__init__.py": "", "lib/shop/__init__.py": "", "lib/shop/db.py": factory, "app.py": user}
    root = write(tmp_path, {**files, "pyproject.toml": '[tool.hermetic]\nsrc = ["lib"]\n'})

    assert places(check_json(root)) == [("app.py", 5, "SES001")]


SLOW = """
from sqlalchemy.orm import Session

from acme import Client
from shop.mail import send
from shop.models import Invoice


def bill(session: Session, client: Client) -> None:
    send(session.get_one(Invoice, 1).address)
    session.commit()
    client.charge(session.get_one(Invoice, 2).amount)
"""


@pytest.mark.parametrize(
    ("names", "lines"),
    [
        ([], []),
        (["shop.mail.send"], [10]),
        (["acme.Client.charge"], [12]),
        (["acme.Client."], [12]),
        (["mail.send"], [10]),
        (["ail.send", "shop.mail", "acme.Client"], []),
    ],
)
def test_slow_calls_of_the_project_and_of_libraries(tmp_path: Path, names: list[str], lines: list[int]) -> None:
    files = {"shop/__init__.py": "", "shop/mail.py": "def send(address):\n    print(address)\n", "shop/bills.py": SLOW}
    models = "from sqlalchemy.orm import DeclarativeBase\n\n\nclass Invoice(DeclarativeBase):\n    pass\n"
    settings = f"[tool.hermetic]\nslow-calls = {names}\n"
    root = write(tmp_path, {**files, "shop/models.py": models, "pyproject.toml": settings})

    assert [finding["line"] for finding in check_json(root)["findings"] if finding["rule"] == "SES102"] == lines


def test_the_nearest_table_holds(tmp_path: Path) -> None:
    root = project(tmp_path, 'ignore = ["SES005"]', **{"sub/app.py": LEAK})
    (root / ".git").mkdir()
    write(root / "sub", {"pyproject.toml": '[tool.hermetic]\nignore = ["SES001"]\n'})
    write(root / "old", {"pyproject.toml": "[tool.other]\n"})

    assert paths(check_json(root, "sub")) == []
    assert paths(check_json(root, "old")) == ["old/app.py"]
    assert "fragile.py" not in paths(check_json(root))


def test_a_table_outside_of_the_project_does_not_hold(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": '[tool.hermetic]\nignore = ["SES001"]\n'})
    root = write(tmp_path / "project", {"app.py": LEAK})
    (root / ".git").mkdir()

    assert paths(check_json(root)) == ["app.py"]


def test_other_tables_are_nobody_s_business(tmp_path: Path) -> None:
    for number, text in enumerate(("tool = 5\n", "[tool]\nruff = 1\n", "[tool.ruff]\nhermetic = 2\n", "")):
        assert paths(check_json(write(tmp_path / str(number), {"app.py": LEAK, "pyproject.toml": text}))) == ["app.py"]


LISTS = ("select", "ignore", "exclude", "src", "slow-calls")
FLAGS = ("tests", "migrations", "strict")
MISTYPED = [
    *((f"{key} = {value}", key) for key in LISTS for value in ('"x"', "1", "true", "[1]", '["a", []]', "{a = 1}")),
    *((f"{key} = {value}", key) for key in FLAGS for value in ('"yes"', "1", "[]", "1979-05-27", "nan")),
    *((f"per-file-ignores = {value}", "per-file-ignores") for value in ('["a"]', "{a = 1}", '{a = "b"}', "{a = [1]}")),
]


@pytest.mark.parametrize(("table", "key"), MISTYPED)
def test_a_wrong_type_names_its_key(table: str, key: str, tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(f"[tool.hermetic]\n{table}\n", encoding="utf-8")

    with pytest.raises(SettingsError) as caught:
        settings_module.find(str(tmp_path), str(tmp_path))

    assert str(path) in str(caught.value)
    assert f"`{key}` in [tool.hermetic] has to " in str(caught.value)


def test_every_key_is_tested_for_its_type() -> None:
    assert set(KEYS) == {*LISTS, *FLAGS, "per-file-ignores"}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("[tool.hermetic]\nselct = []", "unknown key `selct` in [tool.hermetic]; did you mean `select`?"),
        ("[tool.hermetic]\nper_file_ignores = {}", "unknown key `per_file_ignores` in [tool.hermetic]; did you mean"),
        ("[tool.hermetic]\nfrobnicate = 1", "unknown key `frobnicate` in [tool.hermetic]; known keys are exclude, "),
        ('[tool.hermetic]\nselect = ["SES0001"]', "unknown rule `SES0001`; did you mean SES001?"),
        ('[tool.hermetic]\nselect = [""]', "unknown rule ``"),
        ('[tool.hermetic]\nper-file-ignores = {"*" = ["SES01"]}', "unknown rule `SES01`; did you mean SES101?"),
        ('[tool.hermetic]\nper-file-ignores = {"*" = [""]}', "unknown rule ``"),
        ('[tool.hermetic]\nexclude = ["[z-a]"]', "`exclude` in [tool.hermetic]: `[z-a]` is no pattern of paths"),
        ('[tool.hermetic]\nexclude = ["["]', "`[` is no pattern of paths"),
        ('[tool.hermetic]\nper-file-ignores = {"!" = []}', "`!` is no pattern of paths"),
        ("[tool]\nhermetic = 5", "`tool.hermetic` has to be a table"),
        ("[[tool.hermetic]]\nselect = []", "`tool.hermetic` has to be a table"),
        ("[tool.hermetic", "is not valid TOML: "),
        ("\ufeff[tool.hermetic]\n", "is not valid TOML: "),
        ("<<<<<<< HEAD\n", "is not valid TOML: "),
        ("x = " + "9" * 5000, "is not valid TOML: "),
        ("x = " + "[" * 5000, "is not valid TOML: nested too deeply"),
        (b"\xff\xfe[\0t\0", "is not valid TOML: "),
        ("x = 1\0\n", "is not valid TOML: "),
        ("#" * (4 * 1024 * 1024 + 1), "larger than 4 MB"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "bytes",
)
def test_broken_settings_are_told(text: str | bytes, answer: str, tmp_path: Path) -> None:
    run = hermetic("check", cwd=write(tmp_path, {"app.py": LEAK, "pyproject.toml": text}))

    assert (run.returncode, run.stdout) == (2, "")
    assert answer in run.stderr
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "table",
    [
        f"{'k' * 500_000} = 1",
        '"\\u001b[2J\\nkey" = 1',
        '"" = 1',
        f'select = ["{"S" * 500_000}"]',
        'select = ["\\u001b[2J\\n"]',
        f'exclude = ["[{"z-a" * 10_000}]"]',
        'exclude = ["\\u202e[z-a]"]',
    ],
    ids=lambda table: table[:30],
)
def test_what_a_stranger_wrote_is_quoted_short_and_plain(table: str, tmp_path: Path) -> None:
    run = hermetic("check", cwd=write(tmp_path, {"pyproject.toml": f"[tool.hermetic]\n{table}\n"}))

    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1
    assert len(run.stderr) < 600
    assert run.stderr.rstrip("\n").isprintable()


MANY_CODES = ", ".join(["'SES'"] * 20_000)


@pytest.mark.parametrize(
    "table",
    [
        f"exclude = [{','.join(repr(f'generated_{number}/') for number in range(3000))}]",
        'src = ["../../..", "/", "", "\\u0000", "a//b", "~"]',
        'exclude = ["", "#", "  ", "a\\u0000b", "[[:alpha:]]x", "***x", "..", "/../x"]',
        'per-file-ignores = {"" = ["SES001"], "../*" = ["SES"]}',
        f"select = [{MANY_CODES}]",
        f'ignore = ["{UNUSED}", "herm"]',
    ],
    ids=lambda table: table[:30],
)
def test_strange_settings_change_nothing(table: str, tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": LEAK, "pyproject.toml": f"[tool.hermetic]\n{table}\n"})

    assert paths(check_json(root)) == ["app.py"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app.py", "pyproject.toml"]


@pytest.mark.parametrize("what", ["directory", "dangling link", "fifo", "loop"])
def test_a_settings_file_that_is_none(what: str, tmp_path: Path) -> None:
    root = write(tmp_path, {"setup.cfg": "", "app.py": LEAK})
    path = root / "pyproject.toml"
    path.unlink()
    if what == "directory":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("pyproject.toml" if what == "loop" else "nowhere")

    assert paths(check_json(root)) == ["app.py"]


@pytest.mark.parametrize(
    ("settings", "codes"),
    [
        (Settings(), {*KNOWN, UNUSED}),
        (Settings(select=("SES0",)), {"SES001", "SES002", UNUSED}),
        (Settings(select=("SES1", "ses002"), ignore=("SES101",)), {"SES002", UNUSED}),
        (Settings(ignore=("SES", "HERMETIC001")), set()),
    ],
)
def test_selected_codes(settings: Settings, codes: set[str]) -> None:
    assert selected_codes(settings, KNOWN) == codes


def test_parse_gives_what_was_written() -> None:
    table = {"select": ["A"], "src": ["lib"], "strict": True, "per-file-ignores": {"b/*": ["ses001"], "a": []}}

    assert parse(table, "p") == Settings(
        select=("A",), src=("lib",), strict=True, per_file_ignores=(("b/*", ("SES001",)), ("a", ()))
    )

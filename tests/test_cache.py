"""The cache: whatever happened to the project or to the cache, a report is the one that a cold run gives."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from shell import CLEAN, FRAGILE, HERMETIC, LEAK, environment, hermetic, write

from hermetic import finding
from hermetic.cache import inputs, place, stored
from hermetic.cli import instant, main as cli
from hermetic.finding import Finding, Fix, Position, Severity, Step
from hermetic.report import packed, results
from hermetic.report.results import NotAnalysed, Results, Summary

PROJECT = {"app.py": LEAK, "shop/__init__.py": "", "shop/parcels.py": FRAGILE, "shop/clean.py": CLEAN}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache" / "hermetic"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = write(tmp_path / "project", PROJECT)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files be old enough to be known by their times."""
    monkeypatch.setattr(inputs, "COARSEST_NS", -1)


Check = Callable[..., str]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """Run `hermetic check` in this process; what it printed, without the time it took."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        cli.main(["check", *arguments])
        printed, complaints = capsys.readouterr()
        assert complaints == ""
        return without_seconds(printed)

    return run


def without_seconds(printed: str) -> str:
    if printed.startswith("{"):
        document = json.loads(printed)
        del document["summary"]["seconds"]
        return json.dumps(document)
    return re.sub(r"\([0-9.]+ s\)", "", printed)


def is_kept(*arguments: str) -> bool:
    """Would the report be printed again?"""
    return instant.answer(["check", *arguments]) is not None


FORMATS = ["text", "concise", "json"]


@pytest.mark.parametrize("output_format", FORMATS)
def test_the_same_report_is_printed_again(output_format: str, project: Path, check: Check) -> None:
    cold = check("--output-format", output_format, "--no-cache")
    first = check("--output-format", output_format)

    assert is_kept("--output-format", output_format)
    assert check("--output-format", output_format) == first == cold
    assert "SES001" in cold


def test_a_report_has_an_exit_code(project: Path, check: Check) -> None:
    check()

    assert instant.answer(["check"]) == 1


def test_an_empty_report_prints_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: Check) -> None:
    monkeypatch.chdir(write(tmp_path / "clean", {"clean.py": CLEAN}))
    check("--output-format", "concise")

    assert is_kept("--output-format", "concise")
    assert check("--output-format", "concise") == ""


def test_the_time_is_that_of_this_run(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["check", "--output-format", "json"])
    capsys.readouterr()
    began = time.perf_counter()
    cli.main(["check", "--output-format", "json"])

    assert json.loads(capsys.readouterr().out)["summary"]["seconds"] <= time.perf_counter() - began + 0.01


def edit(root: Path) -> None:
    (root / "app.py").write_text(LEAK.replace("session = Session(engine)", "session: Session = Session(engine)"))


def fix(root: Path) -> None:
    (root / "app.py").write_text(CLEAN)


def edit_unnoticed(root: Path) -> None:
    """Same size, same times of last change."""
    status = (root / "app.py").stat()
    (root / "app.py").write_text(LEAK.replace("load", "read"))
    os.utime(root / "app.py", ns=(status.st_atime_ns, status.st_mtime_ns))


def add(root: Path) -> None:
    (root / "shop/new.py").write_text(LEAK)


def remove(root: Path) -> None:
    (root / "app.py").unlink()


def rename(root: Path) -> None:
    (root / "app.py").rename(root / "other.py")


def move(root: Path) -> None:
    (root / "shop").rename(root / "store")


def ignore(root: Path) -> None:
    (root / ".gitignore").write_text("app.py\n")


def ignore_below(root: Path) -> None:
    (root / "shop/.gitignore").write_text("*\n")


def set_up(root: Path) -> None:
    (root / "pyproject.toml").write_text('[tool.hermetic]\nignore = ["SES001"]\n')


def suppress(root: Path) -> None:
    (root / "app.py").write_text(LEAK.replace("Session(engine)", "Session(engine)  # hermetic: ignore[SES001] test"))


def become_environment(root: Path) -> None:
    (root / "shop/pyvenv.cfg").touch()


def replace_by_directory(root: Path) -> None:
    (root / "app.py").unlink()
    write(root / "app.py", {"inner.py": LEAK})


def break_syntax(root: Path) -> None:
    (root / "app.py").write_text("def\n")


def lead_elsewhere(root: Path) -> None:
    (root / "app.py").unlink()
    (root / "app.py").symlink_to(root / "shop/clean.py")


CHANGES = [
    edit,
    fix,
    edit_unnoticed,
    add,
    remove,
    rename,
    move,
    ignore,
    ignore_below,
    set_up,
    suppress,
    become_environment,
    replace_by_directory,
    break_syntax,
    lead_elsewhere,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.usefixtures("settled")
def test_a_change_is_noticed(change: Callable[[Path], None], project: Path, check: Check) -> None:
    check()
    assert is_kept()
    time.sleep(0.02)  # more than a tick of the file system's clock
    change(project)

    assert not is_kept()
    assert check() == check("--no-cache")


def test_a_change_right_after_the_run_is_noticed(project: Path, check: Check) -> None:
    check()
    edit_unnoticed(project)

    assert not is_kept()


@pytest.mark.usefixtures("settled")
def test_a_file_that_was_only_touched_is_as_before(project: Path, check: Check) -> None:
    check()
    before = stored_front(project)
    time.sleep(0.02)
    (project / "app.py").touch()

    assert is_kept()
    assert stored_front(project)[1] != before[1]  # it is known by its new times now
    assert is_kept()


def test_a_change_around_the_project_is_noticed(tmp_path: Path, project: Path, check: Check) -> None:
    check()
    assert is_kept()
    (tmp_path / "pyproject.toml").touch()  # the project is larger than it was

    assert not is_kept()
    assert check() == check("--no-cache")


def test_what_is_cached_and_what_is_skipped_is_of_no_concern(project: Path, check: Check) -> None:
    check()
    (project / "__pycache__").mkdir()
    (project / "notes.txt").touch()

    assert is_kept()


def test_the_version_of_a_library_is_part_of_it(project: Path, check: Check) -> None:
    stream = Path(__file__).parent / "fixtures/ses103/stream_keeps_the_transaction_open"
    shutil.copy(stream / "api.py", project)
    (project / "requirements.txt").write_text("fastapi==0.121.0\n")
    held = check("--select", "SES103")
    (project / "requirements.txt").write_text("fastapi==0.110.0\n")

    assert check("--select", "SES103") == check("--select", "SES103", "--no-cache") != held


@pytest.mark.parametrize(
    "arguments",
    [("--strict",), ("--select", "SES005"), ("app.py",), ("shop",), ("--output-format", "concise"), ("--isolated",)],
    ids=" ".join,
)
def test_other_arguments_have_reports_of_their_own(arguments: tuple[str, ...], project: Path, check: Check) -> None:
    usual = check()

    assert not is_kept(*arguments)
    assert check(*arguments) == check(*arguments, "--no-cache")
    assert is_kept(*arguments)
    assert is_kept()
    assert check() == usual


def test_what_another_report_hung_on_may_change(project: Path, check: Check) -> None:
    (project / "tests").mkdir()
    (project / "tests/test_app.py").write_text(LEAK)
    check("--tests")
    (project / "tests/test_app.py").write_text(CLEAN)
    check()

    assert is_kept()
    assert not is_kept("--tests")


@pytest.mark.parametrize("second", FORMATS)
def test_results_that_still_hold_are_shown_another_way(
    second: str, project: Path, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = check("--output-format", second, "--no-cache")
    check()
    monkeypatch.setattr("hermetic.driver.check", lambda *_: pytest.fail("nothing is to be analysed again"))

    assert check("--output-format", second) == expected
    assert is_kept("--output-format", second)


def test_results_that_hold_no_more_are_not_shown(project: Path, check: Check) -> None:
    check()
    fix(project)

    assert check("--output-format", "json") == check("--output-format", "json", "--no-cache")


def test_packed_results_come_back_whole() -> None:
    at = Position("a.py", 1, 2, 3, 4)
    leak = Finding(at, Severity.ERROR, "m", (Step(at, "t"),), Fix("safe", "f"), "f", "SES001", "n", "0f")
    summary = Summary(1, 2, 3, 4, 5, 6, 0.5)
    whole = Results((leak, Finding(at, Severity.HINT, "")), (NotAnalysed("b.py", "why"),), summary, True)

    assert packed.unpack(packed.pack(whole)) == whole
    assert type(packed.unpack(packed.pack(whole)).findings[0].severity) is Severity


def test_a_review_uses_the_facts_of_a_check_and_the_other_way_round(project: Path, tmp_path: Path) -> None:
    reviews = [hermetic("review", *flags, cwd=project) for flags in (("--no-cache",), (), ())]
    run = hermetic("check", "--statistics", cwd=project)

    assert reviews[0].stdout.startswith("~ 1")
    assert [review.stdout for review in reviews[1:]] == [reviews[0].stdout] * 2
    assert re.search(r"files with facts in the cache +4\n", run.stderr)


def test_whatever_results_are_made_of_can_be_packed() -> None:
    classes = {value for module in (finding, results) for value in vars(module).values() if is_dataclass(value)}

    assert classes == set(packed.CLASSES)


def test_another_directory_has_a_report_of_its_own(
    project: Path, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    check()
    monkeypatch.chdir(project / "shop")

    assert check("..") == check("..", "--no-cache")


def test_colours_and_width_have_reports_of_their_own(
    project: Path, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = check()
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert check() == check("--no-cache") != plain
    monkeypatch.setenv("COLUMNS", "60")
    assert check() == check("--no-cache") != plain


def test_projects_side_by_side_are_no_project(tmp_path: Path, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, PROJECT)
    monkeypatch.chdir(tmp_path)
    first = check("one", "two")

    assert check("one", "two") == first == check("one", "two", "--no-cache")


def imported_by_check(project: Path, cache: Path) -> tuple[str, list[str]]:
    """The report of a check, and the modules that it has imported."""
    command = [sys.executable, "-X", "importtime", HERMETIC, "check"]
    again = environment(XDG_CACHE_HOME=str(cache))
    run = subprocess.run(command, cwd=project, env=again, capture_output=True, text=True, check=False)
    told = [line for line in run.stderr.splitlines() if line.startswith("import time:")]
    return run.stdout, [line.rpartition("|")[2].strip() for line in told]


def test_next_to_nothing_is_imported(project: Path, tmp_path: Path) -> None:
    assert hermetic("check", cwd=project, XDG_CACHE_HOME=str(tmp_path)).returncode == 1
    report, loaded = imported_by_check(project, tmp_path)

    assert "SES001" in report
    own = {name.partition(".")[0] for name in loaded[loaded.index("site") + 1 :]}
    assert own - {"_blake2"} == {"hermetic", "__future__", "gc"}  # files younger than two seconds are known by content
    assert "hermetic.driver" not in loaded


def test_a_comment_loads_no_interpreter(project: Path, tmp_path: Path) -> None:
    assert hermetic("check", cwd=project, XDG_CACHE_HOME=str(tmp_path)).returncode == 1
    edited = min(project.glob("**/*.py"))
    edited.write_text(edited.read_text() + "# a comment\n")
    report, loaded = imported_by_check(project, tmp_path)

    assert "SES001" in report
    assert "hermetic.engine.lower" in loaded
    assert not {"hermetic.driver", "hermetic.engine.program", "hermetic.engine.solve"} & set(loaded)


# -- what may have happened to the cache --------------------------------------------------------------------------


def cache_file(root: Path) -> Path:
    return Path(place.file_of(str(root)))


def stored_front(root: Path) -> stored.Front:
    front = stored.read_front(str(cache_file(root)), stored.owner_of(str(root)))
    assert front is not None
    return front


def test_the_cache_is_for_its_owner_alone(project: Path, own_cache: Path, check: Check) -> None:
    check()

    assert own_cache.stat().st_mode & 0o777 == 0o700
    assert cache_file(project).stat().st_mode & 0o777 == 0o600
    assert not list(project.glob("**/*.cache"))


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    capsys.readouterr()
    cli.main(["check", *arguments])
    printed, complaints = capsys.readouterr()
    return without_seconds(printed), complaints


def test_a_directory_that_others_may_write_to_is_not_used(
    project: Path, own_cache: Path, check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    cold = check()
    own_cache.chmod(0o770)

    assert not is_kept()
    assert complaint(capsys) == (cold, f"hermetic: the cache is not used: others may write to {own_cache}\n")


def test_a_directory_of_somebody_else_is_not_used(
    project: Path, own_cache: Path, check: Check, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cold = check()
    monkeypatch.setattr(os, "geteuid", lambda: own_cache.stat().st_uid + 1)

    assert not is_kept()
    assert complaint(capsys) == (cold, f"hermetic: the cache is not used: {own_cache} belongs to somebody else\n")


def test_a_link_in_the_place_of_the_directory_is_not_followed(
    project: Path, own_cache: Path, check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    cold = check()
    own_cache.rename(own_cache.parent / "elsewhere")
    own_cache.symlink_to(own_cache.parent / "elsewhere")

    assert not is_kept()
    assert complaint(capsys)[0] == cold


def test_a_link_in_the_place_of_the_file_is_not_followed(project: Path, own_cache: Path, check: Check) -> None:
    cold = check()
    file = cache_file(project)
    file.rename(own_cache / "elsewhere")
    file.symlink_to(own_cache / "elsewhere")

    assert not is_kept()
    assert check() == cold
    assert not file.is_symlink()


def test_no_place_for_a_cache_is_no_error(project: Path, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")

    assert check() == check("--no-cache")


def test_another_hermetic_leaves_a_cache_alone(project: Path, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    cold = check()
    monkeypatch.setattr(stored, "stamp", lambda: "another")

    assert not is_kept()
    assert check() == cold
    assert is_kept()


def test_the_cache_of_another_root_is_foreign(project: Path, check: Check) -> None:
    check()
    other = write(project.parent / "other", PROJECT)
    cache_file(project).rename(cache_file(other))

    assert not instant.answer(["check", str(other)])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["bit", "bytes", "cut", "longer", "noise"]),
    where=st.floats(0, 1, exclude_max=True),
    noise=st.binary(min_size=1, max_size=40),
)
def test_a_damaged_cache_is_none(kind: str, where: float, noise: bytes, project: Path, check: Check) -> None:
    cold = check("--no-cache")
    check()
    whole = cache_file(project).read_bytes()
    at = int(where * len(whole))
    damaged = {
        "bit": whole[:at] + bytes((whole[at] ^ 1 << at % 8,)) + whole[at + 1 :],
        "bytes": whole[:at] + noise + whole[at + len(noise) :],
        "cut": whole[:at],
        "longer": whole + noise,
        "noise": noise,
    }[kind]
    cache_file(project).write_bytes(damaged)

    assert check() == cold
    cache_file(project).write_bytes(damaged)
    fix_line = (project / "app.py").read_text() + "\n"  # so that the facts of other files are asked for
    (project / "app.py").write_text(fix_line)
    assert check() == cold
    (project / "app.py").write_text(LEAK)


WRITER = """
import sys
from hermetic.cache import stored
path, owner = sys.argv[1], bytes.fromhex(sys.argv[2])
facts = [bytes([number]) * 40_000 for number in range(50)]
turn = 0
while True:
    turn += 1
    reports = {("key",): ((), 0, str(turn) * 1000, None)}
    index = {bytes([n]): (40_000 * n, 40_000, stored.checksum(blob), 0) for n, blob in enumerate(facts)}
    stored.write(path, owner, ({}, {}, reports, {}), index, facts)
    if turn == 1:
        print("writing", flush=True)
"""


def writers(count: int, path: Path, owner: bytes) -> Iterator[subprocess.Popen[str]]:
    """Processes that write a cache without end, one after the other, each started while the one before runs."""
    command = [sys.executable, "-c", WRITER, str(path), owner.hex()]
    waiting = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for number in range(count):
        writer = waiting.pop(0)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        yield writer
        writer.stdout.close()
        if number < count - 2:
            waiting.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))


def test_a_hundred_runs_are_killed_while_they_write(tmp_path: Path, own_cache: Path) -> None:
    own_cache.mkdir(0o700, parents=True)
    path, owner, chance = own_cache / "killed.cache", stored.owner_of("root"), random.Random(1)
    for writer in writers(100, path, owner):
        time.sleep(chance.random() * 0.01)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        front, facts = stored.read(str(path), owner)
        assert front is not None
        (report,) = front[2].values()
        assert report[2] == report[2][: len(report[2]) // 1000] * 1000
        assert [facts.get(bytes([number])) for number in range(50)] == [bytes([n]) * 40_000 for n in range(50)]

    assert list(own_cache.glob("*.new"))  # some were in the midst of it


def test_what_killed_runs_left_is_removed(project: Path, own_cache: Path, check: Check) -> None:
    own_cache.mkdir(0o700, parents=True)
    for name, age in (("old.cache.1-ab.new", 600), ("new.cache.2-cd.new", 0), ("gone.cache", 40 * 24 * 3600)):
        (own_cache / name).touch()
        os.utime(own_cache / name, (time.time() - age,) * 2)
    check()

    assert {file.name for file in own_cache.iterdir()} == {cache_file(project).name, "new.cache.2-cd.new"}


def test_runs_at_the_same_time(project: Path, check: Check) -> None:
    expected = {arguments: check(*arguments, "--no-cache") for arguments in [("app.py",), ("shop",), (".",)]}
    runs = [
        (arguments, subprocess.Popen([HERMETIC, "check", *arguments], stdout=subprocess.PIPE, text=True))
        for arguments in expected
        for _ in range(3)
    ]
    for arguments, run in runs:
        assert without_seconds(run.communicate()[0]) == expected[arguments]
    for arguments, report in expected.items():
        assert check(*arguments) == report


# -- any sequence of edits ----------------------------------------------------------------------------------------

PATHS = ["app.py", "shop/parcels.py", "shop/new.py", "tests/test_app.py", "deep/er/a.py", "b.py", "shop/__init__.py"]
TEXTS = [LEAK, CLEAN, FRAGILE, "", "def\n", LEAK.replace("load", "read"), "from app import load\nload(1)\n"]
IGNORED = ["", "app.py\n", "shop/\n", "*.py\n!app.py\n"]
TABLES = ['ignore = ["SES001"]', "tests = true", 'exclude = ["shop"]', "strict = true", 'src = ["deep"]', ""]

Edit = tuple[str, int, int]
EDITS = st.tuples(
    st.sampled_from(["write", "touch", "remove", "rename", "ignore", "set up", "append", "shift", "restore"]),
    st.integers(0, 2**16),
    st.integers(0, 2**16),
)


def apply(edit: Edit, root: Path) -> None:
    """Do something to a project: `edit` says what, and has two numbers to choose by."""
    kind, first, second = edit
    files = sorted(root.glob("**/*.py"))
    file = files[first % len(files)] if files else root / "app.py"
    other = root / PATHS[second % len(PATHS)]
    if kind == "write" or not files:
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_text(TEXTS[first % len(TEXTS)])
    elif kind == "touch":
        file.touch()
    elif kind == "remove":
        file.unlink()
    elif kind == "rename":
        other.parent.mkdir(parents=True, exist_ok=True)
        file.rename(other)
    elif kind == "ignore":
        (root / ".gitignore").write_text(IGNORED[first % len(IGNORED)])
    elif kind == "set up":
        (root / "pyproject.toml").write_text(f"[tool.hermetic]\n{TABLES[first % len(TABLES)]}\n")
    elif kind == "append":
        file.write_text(file.read_text() + "\n# a remark\n")
    elif kind == "shift":
        file.write_text("\n" + file.read_text())
    else:
        write(root, PROJECT)


@pytest.mark.parametrize("is_settled", [False, True], ids=["by content", "by times"])
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(EDITS, min_size=1, max_size=8))
def test_after_any_edits_a_report_is_that_of_a_cold_run(
    edits: list[Edit], is_settled: bool, project: Path, own_cache: Path, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "COARSEST_NS", -1 if is_settled else 2_000_000_000)
    for path in (*project.iterdir(), own_cache):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    write(project, PROJECT)
    for edit in edits:
        apply(edit, project)
        for arguments in ([], ["shop"] if (project / "shop").is_dir() else []):
            assert check(*arguments) == check(*arguments, "--no-cache")
        time.sleep(0.005 * is_settled)  # more than a tick of the file system's clock


@pytest.mark.parametrize("seed", range(4))
def test_after_any_edits_runs_of_several_processes_agree(seed: int, project: Path, check: Check) -> None:
    chance = random.Random(seed)
    kinds = ["write", "remove", "rename", "append", "shift"]
    for _ in range(10):
        apply((chance.choice(kinds), chance.randrange(99), chance.randrange(99)), project)
    runs = [hermetic("check", "--jobs", jobs, *flags, cwd=project) for jobs in "13" for flags in ((), ("--no-cache",))]

    assert {without_seconds(run.stdout) for run in runs} == {check("--no-cache")}

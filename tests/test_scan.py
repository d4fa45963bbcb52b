"""Which files are read, and which of them reported: the project around the paths, `.gitignore`, tests, migrations."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from shell import CLEAN, LEAK, check_json, hermetic, paths, places, write

from hermetic.engine.scan import SKIPPED_DIRECTORIES, find_root, python_files
from hermetic.patterns import Patterns

FACTORY = """\
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

engine = create_engine("sqlite://")


def make():
    return Session(engine)
"""
USER = """\
from shop.factory import make


def load(statement):
    session = make()
    return session.scalar(statement)
"""
PROJECT = {
    "shop/__init__.py": "",
    "shop/factory.py": FACTORY,
    "shop/orders.py": USER,
    "shop/clean.py": CLEAN,
    "tests/test_orders.py": USER,
    "shop/tests/helper.py": USER,
    "conftest.py": USER,
    "migrations/0001_first.py": USER,
    "alembic/versions/ab12.py": USER,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write(tmp_path, PROJECT)


def test_a_single_file_and_the_whole_project_agree(project: Path) -> None:
    whole = check_json(project)
    directory = check_json(project, "shop")
    alone = check_json(project, "shop/orders.py")
    from_inside = check_json(project / "shop", "orders.py")

    assert places(whole) == [("shop/orders.py", 5, "SES001")]
    assert whole["findings"] == directory["findings"] == alone["findings"]
    prints = [[found["fingerprint"] for found in document["findings"]] for document in (alone, from_inside)]
    assert prints[0] == prints[1]
    assert alone["summary"]["files"] == 1


@pytest.mark.parametrize("marker", ["pyproject.toml", "setup.cfg", ".git/"])
def test_the_project_is_found_by_its_marker(marker: str, tmp_path: Path) -> None:
    root = write(tmp_path / "a" / "project", PROJECT)
    (root / "pyproject.toml").unlink()
    (root / marker).mkdir() if marker.endswith("/") else (root / marker).touch()

    assert places(check_json(tmp_path, "a/project/shop/orders.py")) == [("a/project/shop/orders.py", 5, "SES001")]
    assert find_root(str(root / "shop" / "orders.py")) == str(root)


def test_projects_inside_of_a_repository_are_one_program(tmp_path: Path) -> None:
    repository = write(tmp_path / "repository", {"packages/a/x.py": CLEAN, "packages/b/y.py": CLEAN})
    for directory in ("packages/a", "packages/b"):
        (repository / directory / "pyproject.toml").touch()
    (repository / ".git").mkdir()

    assert find_root(str(repository / "packages" / "a" / "x.py")) == str(repository)


def test_several_projects_in_one_run(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, {"app.py": LEAK})

    assert paths(check_json(tmp_path, "two", "one/app.py", "one")) == ["one/app.py", "two/app.py"]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ((), ["shop/orders.py"]),
        (("--tests",), ["conftest.py", "shop/orders.py", "shop/tests/helper.py", "tests/test_orders.py"]),
        (("--migrations",), ["alembic/versions/ab12.py", "migrations/0001_first.py", "shop/orders.py"]),
        (("tests",), ["tests/test_orders.py"]),
        (("tests/test_orders.py", "conftest.py"), ["conftest.py", "tests/test_orders.py"]),
        (("shop", "migrations"), ["migrations/0001_first.py", "shop/orders.py"]),
        (("alembic/versions/ab12.py",), ["alembic/versions/ab12.py"]),
        (("shop/clean.py",), []),
    ],
)
def test_tests_and_migrations_on_request(arguments: tuple[str, ...], found: list[str], project: Path) -> None:
    assert paths(check_json(project, *arguments)) == found


def test_what_only_looks_like_a_test_is_reported(tmp_path: Path) -> None:
    root = write(tmp_path / "tests" / "project", {"latest.py": LEAK, "contest.py": LEAK, "attest/a.py": LEAK})

    assert paths(check_json(root)) == ["attest/a.py", "contest.py", "latest.py"]


@pytest.mark.parametrize("directory", [".venv", "venv", "node_modules", "site-packages", "vendor", ".git", "build"])
def test_directories_without_source_of_the_project_are_skipped(directory: str, tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": CLEAN, f"{directory}/x.py": LEAK, f"deep/{directory}/lib/x.py": LEAK})

    assert directory in SKIPPED_DIRECTORIES
    assert check_json(root)["summary"]["files"] == 1


def test_packages_that_pip_has_put_beside_the_project_are_skipped(tmp_path: Path) -> None:
    installed = {f"libs/{name}-1.0.dist-info/METADATA": "" for name in ("sqlalchemy", "flask")}
    root = write(tmp_path, {"app.py": CLEAN, "libs/sqlalchemy/orm.py": LEAK, **installed})

    assert check_json(root)["summary"]["files"] == 1


def test_a_wheel_that_somebody_has_unpacked_is_read(tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": CLEAN, "wheel/shop/x.py": LEAK, "wheel/shop-1.0.dist-info/METADATA": ""})

    assert check_json(root)["summary"]["files"] == 2


@pytest.mark.parametrize("marker", ["pyvenv.cfg", "conda-meta/history"])
def test_an_environment_of_any_name_is_skipped(marker: str, tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": CLEAN, f"python3/{marker}": "", "python3/lib/x.py": LEAK})

    assert check_json(root)["summary"]["files"] == 1


def test_a_vendored_file_that_is_named_is_checked(tmp_path: Path) -> None:
    root = write(tmp_path, {"vendor/x.py": LEAK, "generated.py": LEAK, ".gitignore": "generated.py\n"})

    assert paths(check_json(root)) == []
    assert paths(check_json(root, "vendor/x.py", "generated.py")) == ["generated.py", "vendor/x.py"]


def test_other_files_are_not_read(tmp_path: Path) -> None:
    root = write(tmp_path, {"a.pyi": LEAK, "b.txt": LEAK, "c.py.bak": LEAK, "py": LEAK, "d.PY": LEAK, ".py": CLEAN})

    assert check_json(root)["summary"]["files"] == 1


GITIGNORES = {
    ".gitignore": "*_pb2.py\n/root_only.py\nlogs/\n!keep_pb2.py\n# remark.py\n\\#odd.py\nspace.py   \na/**/deep.py\n",
    "a/.gitignore": "!special_pb2.py\nlocal.py\n/anchored.py\nlogs\n",
    "a/b/.gitignore": "*\n!back.py\n!.gitignore\n",
    "c/.gitignore": "*.py\n!*.py\nlast.py\n[z-a]\n!\n",
    "logs/.gitignore": "!*.py\n",
}
UNDER_GITIGNORES = """
    x_pb2.py keep_pb2.py root_only.py d/root_only.py logs/x.py d/logs/x.py remark.py #odd.py space.py
    a/x_pb2.py a/special_pb2.py a/local.py a/d/local.py a/anchored.py a/d/anchored.py a/d/deep.py a/deep.py local.py
    a/b/x.py a/b/back.py a/b/d/back.py c/x.py c/last.py c/d/last.py a/logs/x.py d/special_pb2.py
""".split()


def test_gitignore_files_mean_what_git_takes_them_for(tmp_path: Path) -> None:
    root = write(tmp_path, GITIGNORES | dict.fromkeys(UNDER_GITIGNORES, CLEAN))
    git = ["git", "-c", "core.excludesFile=/dev/null"]
    subprocess.run([*git, "init", "-q"], cwd=root, check=True)
    (root / ".git" / "info" / "exclude").write_text("d/deep.py\n/d/logs2\n", encoding="utf-8")
    write(root, {"d/deep.py": CLEAN, "d/logs2/x.py": CLEAN})
    listing = [*git, "ls-files", "-z", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(listing, cwd=root, check=True, capture_output=True, text=True).stdout

    ours = python_files(str(root), Patterns.of_gitignores(str(root)).match)

    assert ours == sorted(listed.split("\0")[:-1])
    assert len(ours) == 8


def test_nested_gitignores_end_to_end(tmp_path: Path) -> None:
    root = write(tmp_path, {"a/.gitignore": "gen.py\nsub/\n", "a/gen.py": LEAK, "a/sub/x.py": LEAK, "gen.py": LEAK})

    assert paths(check_json(root)) == ["gen.py"]
    assert paths(check_json(root / "a")) == []


def test_directories_named_like_files_are_entered(tmp_path: Path) -> None:
    root = write(tmp_path, {"odd.py/app.py": LEAK, "odd.py/deep.py/x.py": LEAK})

    assert paths(check_json(root)) == ["odd.py/app.py", "odd.py/deep.py/x.py"]
    assert paths(check_json(root, "odd.py")) == ["odd.py/app.py", "odd.py/deep.py/x.py"]


def test_links_to_directories_are_not_followed(tmp_path: Path) -> None:
    root = write(tmp_path, {"app/x.py": LEAK})
    (root / "app" / "loop").symlink_to(root, target_is_directory=True)
    (root / "app" / "self").symlink_to("self")
    (root / "app" / "self.py").symlink_to("self.py")
    (root / "app" / "gone.py").symlink_to("nowhere.py")
    (root / "again").symlink_to(root / "app")

    assert paths(check_json(root)) == ["app/x.py"]


def test_links_to_files_are_followed(tmp_path: Path) -> None:
    root = write(tmp_path, {"real.txt": LEAK})
    (root / "linked.py").symlink_to("real.txt")

    assert paths(check_json(root)) == ["linked.py"]


def test_the_order_of_files_on_disk_does_not_matter(tmp_path: Path) -> None:
    documents = []
    for number, order in enumerate((PROJECT, dict(reversed(PROJECT.items())))):
        root = write(tmp_path / str(number) / "project", order)
        (root / "broken.py").write_text("print 'x'\n", encoding="utf-8")
        for seed in ("0", "1", "4242"):
            document = check_json(root, "--tests", "--migrations", "--all", PYTHONHASHSEED=seed)
            del document["summary"]["seconds"]
            documents.append(document)

    assert len(documents[0]["findings"]) == 6
    assert all(document == documents[0] for document in documents)


def test_the_shop_comes_out_the_same_each_time(tmp_path: Path) -> None:
    shop = Path(__file__).parent.parent / "examples" / "shop"
    reports = []
    for number, seed in enumerate(("0", "1", "77")):
        copy = write(tmp_path / str(number), {})
        for path in sorted(shop.rglob("*.py"), reverse=number % 2 == 1):
            write(copy, {path.relative_to(shop).as_posix(): path.read_bytes()})
        run = hermetic("check", "--all", "--output-format", "concise", cwd=copy, PYTHONHASHSEED=seed)
        reports.append(run.stdout)

    assert len(reports[0].splitlines()) > 10
    assert reports[0] == reports[1] == reports[2]


def test_two_packages_of_one_name_do_not_mix(tmp_path: Path) -> None:
    """A repository of examples: each imports its own `shop`."""
    quiet = FACTORY.replace("return Session(engine)", "return None")
    root = write(tmp_path, {})
    for name, factory in (("a", quiet), ("b", FACTORY), ("c", quiet)):
        write(root / name, {"shop/__init__.py": "", "shop/factory.py": factory, "shop/orders.py": USER})

    assert places(check_json(root)) == [("b/shop/orders.py", 5, "SES001")]
    assert places(check_json(root, "b")) == [("b/shop/orders.py", 5, "SES001")]


def test_where_no_file_can_be_listed(tmp_path: Path) -> None:
    assert python_files(str(tmp_path / "gone"), lambda path: False) == []
    os.mkdir(tmp_path / "empty")
    assert python_files(str(tmp_path / "empty"), lambda path: False) == []


@pytest.mark.parametrize("name", ["vendor", "generated"])
def test_a_named_directory_is_read_whatever_leaves_it_out(name: str, tmp_path: Path) -> None:
    root = write(tmp_path, {f"{name}/leak.py": LEAK, "app.py": CLEAN, ".gitignore": "generated/\n"})

    assert paths(check_json(root)) == []
    assert paths(check_json(root, name)) == [f"{name}/leak.py"]
    assert paths(check_json(root, "--exclude", f"{name}/", name)) == []

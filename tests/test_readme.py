"""The README is true: what it shows is what the commands print, and its tables are those of the program."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from shell import HERMETIC, environment

from hermetic.cli.arguments import parser
from hermetic.rules import load
from hermetic.settings import parse

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", blocks("console"), ids=lambda block: block.partition("\n")[0])
def test_output_is_what_the_command_prints(block: str) -> None:
    command, _, shown = block.removeprefix("$ ").partition("\n")
    words = shlex.split(command)
    words[0] = {"hermetic": HERMETIC}.get(words[0], words[0])
    wide = environment(COLUMNS="100")  # as where no terminal says otherwise
    done = subprocess.run(words, cwd=ROOT, env=wide, capture_output=True, text=True, check=False)

    assert shown.strip()
    assert shown.strip() in done.stdout


def test_commands_are_ones_that_hermetic_knows() -> None:
    commands = re.findall(r"^hermetic (.*?)(?:\s+#.*)?$", "\n".join(blocks("sh")), flags=re.MULTILINE)

    assert len(commands) > 5
    for command in commands:
        parser().parse_args(shlex.split(command))


def test_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)

    assert set(re.findall(r"\bmake ([a-z]+)\b", "\n".join(blocks("sh")))) == {"demo", "test"}
    assert {"demo", "test"} <= set(targets)


def test_the_table_of_rules_is_complete() -> None:
    table = re.findall(r"^\| (SES\d{3}) \| (\S+) \| (.*) \|$", README, flags=re.MULTILINE)

    assert table == [(rule.code, rule.name, rule.summary) for rule in load()]


def test_the_settings_can_be_used() -> None:
    (table,) = blocks("toml")

    assert parse(tomllib.loads(table)["tool"]["hermetic"], "pyproject.toml").per_file_ignores == (
        ("scripts/*.py", ("SES001",)),
    )

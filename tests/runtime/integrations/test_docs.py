"""docs/sanitizer.md is true: its example prints what it shows, and its options and settings are those of the plugin."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hermetic.integrations import pytest_options
from runtime.integrations.suite import Suite

DOCS = (Path(__file__).parents[3] / "docs" / "sanitizer.md").read_text(encoding="utf-8")


def block(language: str, beginning: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", DOCS, flags=re.MULTILINE | re.DOTALL)
    (wanted,) = [each for each in found if each.startswith(beginning)]
    return str(wanted)


def test_the_example_prints_what_is_shown(suite: Suite) -> None:
    done = suite.run(shop=block("python", "# shop.py"), test_shop=block("python", "# test_shop.py"))

    assert block("text", "error[SES001]") in done.out


class Declared:
    """A parser that notes the names which it is told."""

    def __init__(self) -> None:
        self.options: set[str] = set()
        self.settings: set[str] = set()

    def getgroup(self, *_: str) -> Declared:
        return self

    def addoption(self, name: str, **_: object) -> None:
        self.options.add(name)

    def addini(self, name: str, *_: object, **__: object) -> None:
        self.settings.add(name)


def test_options_and_settings_are_all_there() -> None:
    declared: Any = Declared()
    pytest_options.add(declared)
    table = DOCS.partition("### Options and settings")[2].partition("```toml")[0]

    assert set(re.findall(r"(--hermetic[\w-]*)", table)) == declared.options
    assert set(re.findall(r"`(hermetic\w*)`", table)) == declared.settings


def test_the_settings_can_be_used() -> None:
    table = tomllib.loads(block("toml", "[tool.pytest.ini_options]"))["tool"]["pytest"]["ini_options"]
    nothing: dict[str, Any] = dict.fromkeys(("hermetic", "hermetic_report", "hermetic_trace", "hermetic_baseline"))
    config: Any = SimpleNamespace(
        known_args_namespace=SimpleNamespace(**nothing, hermetic_update_baseline=False),
        getini=lambda name: table[name] if isinstance(table[name], list) else str(table[name]),
        invocation_params=SimpleNamespace(dir=Path("/shop")),
        rootpath=Path("/shop"),
    )

    options = pytest_options.read(config)

    assert (options.mode, options.idle) == ("fail", 0.2)
    assert [(each.codes, each.pattern) for each in options.ignores] == [
        (("SES006",), "shop/imports/*.py"),
        (("SES102",), "legacy/"),
    ]


def test_every_mode_is_explained() -> None:
    explained = re.findall(r"^\| `(\w+)` \|", DOCS.partition("### What fails a test")[2], flags=re.MULTILINE)

    assert explained == list(pytest_options.FAILS)

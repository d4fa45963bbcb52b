"""Options and settings of the plugin: what goes before what, and what cannot be meant."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hermetic.finding import Severity
from hermetic.integrations.pytest_options import Options, ignored_by, read

DEFAULTS: dict[str, Any] = {"hermetic_ignore": [], "hermetic_idle_ms": "500"}


def options(settings: Mapping[str, Any] | None = None, **given: Any) -> Options:
    """What is read for these settings and options, with pytest started below its root."""
    names = ("hermetic", "hermetic_report", "hermetic_trace", "hermetic_baseline")
    line: dict[str, Any] = dict.fromkeys(names)
    config: Any = SimpleNamespace(
        known_args_namespace=SimpleNamespace(**{**line, "hermetic_update_baseline": False, **given}),
        getini=lambda name: {**DEFAULTS, **(settings or {})}.get(name, ""),
        invocation_params=SimpleNamespace(dir=Path("/shop/tests")),
        rootpath=Path("/shop"),
    )
    return read(config)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HERMETIC", raising=False)


def test_errors_fail_by_default() -> None:
    assert options().fails == {Severity.ERROR}


def test_the_settings_decide() -> None:
    assert options({"hermetic": "warn"}).fails == set()


def test_the_environment_goes_before_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERMETIC", "fail")

    assert options({"hermetic": "off"}).fails == {Severity.ERROR, Severity.WARNING}


def test_the_option_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERMETIC", "fail")

    assert options(hermetic="off").mode == "off"


def test_an_empty_environment_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERMETIC", "")

    assert options({"hermetic": "warn"}).mode == "warn"


def test_files_are_below_where_pytest_was_started() -> None:
    given = options(hermetic_report="out/report.json", hermetic_baseline="known.json")

    assert (given.report, given.baseline) == (Path("/shop/tests/out/report.json"), Path("/shop/tests/known.json"))


def test_a_baseline_of_the_settings_is_below_the_root() -> None:
    assert options({"hermetic_baseline": "known.json"}).baseline == Path("/shop/known.json")


def test_nothing_fails_while_a_baseline_is_made() -> None:
    assert options(hermetic_baseline="known.json", hermetic_update_baseline=True).fails == set()


def test_milliseconds() -> None:
    assert options({"hermetic_idle_ms": "20"}).idle == 0.02


def test_ignored_by_the_beginning_of_a_code_and_with_a_reason() -> None:
    (ignore,) = options({"hermetic_ignore": ["", "SES10 legacy/  nobody dares to touch it"]}).ignores

    assert ignore.codes == ("SES101", "SES102", "SES103", "SES104")
    assert ignore.pattern == "legacy/"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"hermetic": "loud"}, "hermetic in the settings is 'loud'; it is one of: fail, errors, warn, off"),
        ({"hermetic_idle_ms": "soon"}, "hermetic_idle_ms is 'soon'; it has to be a number of milliseconds"),
        ({"hermetic_idle_ms": "0"}, "hermetic_idle_ms is '0'; it has to be a number of milliseconds"),
        ({"hermetic_idle_ms": "nan"}, "hermetic_idle_ms is 'nan'; it has to be a number of milliseconds"),
        ({"hermetic_ignore": ["SES001"]}, "hermetic_ignore: `SES001` is not `RULE path-pattern [reason]`"),
        ({"hermetic_ignore": ["SES009 app.py"]}, "hermetic_ignore: unknown rule `SES009`; did you mean SES00"),
        ({"hermetic_ignore": ["SES001 a//b"]}, "hermetic_ignore: `a//b` is no pattern of paths"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_settings_that_cannot_be_meant(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(pytest.UsageError) as raised:
        options(settings)

    assert complaint in str(raised.value)


def test_an_environment_that_cannot_be_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERMETIC", "1")

    with pytest.raises(pytest.UsageError, match="HERMETIC in the environment is '1'; it is one of: fail"):
        options()


def test_an_update_of_no_baseline() -> None:
    with pytest.raises(pytest.UsageError, match="--hermetic-update-baseline needs --hermetic-baseline=FILE"):
        options(hermetic_update_baseline=True)


def marker(*args: object, **kwargs: object) -> Any:
    return SimpleNamespace(args=args, kwargs=kwargs)


def test_markers_are_added_up() -> None:
    markers = [marker(ignore="SES10"), marker(ignore=["SES001", "ses006"], reason="on purpose")]

    assert ignored_by(markers) == {"SES001", "SES006", "SES101", "SES102", "SES103", "SES104"}


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (marker("SES001"), 'write @pytest.mark.hermetic(ignore=["SES001"], reason="...")'),
        (marker(), 'write @pytest.mark.hermetic(ignore=["SES001"], reason="...")'),
        (marker(ignore="SES001", rule="SES002"), 'write @pytest.mark.hermetic(ignore=["SES001"], reason="...")'),
        (marker(ignore="SES009"), "@pytest.mark.hermetic: unknown rule `SES009`; did you mean SES00"),
    ],
    ids=["positional", "empty", "another key", "unknown"],
)
def test_markers_that_cannot_be_meant(given: Any, complaint: str) -> None:
    with pytest.raises(pytest.fail.Exception) as raised:
        ignored_by([given])

    assert complaint in str(raised.value)

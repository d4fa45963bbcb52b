"""Suppression comments: what they hide, and that those which hide nothing are reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from shell import FRAGILE, LEAK, check_json, hermetic, places, write
from situations import FIXTURES, project_at

from hermetic.report import suppress

CREATION = "    session = Session(engine)"
UNUSED = "HERMETIC001"


def with_comment(comment: str) -> str:
    return LEAK.replace(CREATION, f"{CREATION}  {comment}")


def codes(root: Path, *arguments: str) -> list[str]:
    return [rule for _, _, rule in places(check_json(root, *arguments))]


@pytest.mark.parametrize(
    "comment",
    [
        "# hermetic: ignore[SES001]",
        "# hermetic: ignore[SES001] the pool is thrown away with the process",
        "#hermetic:ignore[SES001]",
        "# hermetic: ignore[ SES001 ,] closed by the caller",
        "# hermetic: ignore[ses001]",
        "# noqa: E501  # hermetic: ignore[SES001] why",
        "# hermetic: ignore[SES001] why  # noqa",
        "# type: ignore[no-any-return] # hermetic: ignore[SES001]",
    ],
)
def test_a_comment_hides_the_finding_of_its_line(comment: str, tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": with_comment(comment)})

    assert codes(root) == []
    assert hermetic("check", "--strict", cwd=root).returncode == 0


@pytest.mark.parametrize(
    "comment",
    ["# ignore[SES001]", "# hermetic ignore[SES001]", "# hermetic: ignored[SES001]", "# noqa: SES001", "# SES001"],
)
def test_other_comments_hide_nothing(comment: str, tmp_path: Path) -> None:
    assert codes(write(tmp_path, {"app.py": with_comment(comment)})) == ["SES001"]


def test_a_comment_in_a_string_is_none(tmp_path: Path) -> None:
    source = LEAK.replace(CREATION, f'{CREATION}; x = "# hermetic: ignore[SES001]"')

    assert codes(write(tmp_path, {"app.py": source})) == ["SES001"]


def test_a_comment_alone_on_its_line_is_about_the_next_code(tmp_path: Path) -> None:
    above = f"    # hermetic: ignore[SES001] why\n\n    # a remark\n{CREATION}"

    assert codes(write(tmp_path, {"app.py": LEAK.replace(CREATION, above)})) == []


def test_any_line_of_a_range_will_do(tmp_path: Path) -> None:
    for number in range(3):
        lines = ["    session = Session(", "        engine,", "    )"]
        lines[number] += "  # hermetic: ignore[SES001]"
        root = write(tmp_path / str(number), {"app.py": LEAK.replace(CREATION, "\n".join(lines))})
        assert codes(root) == [], number


def test_several_codes_each_count(tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": with_comment("# hermetic: ignore[SES003, SES001,SES008] why")})
    findings = check_json(root)["findings"]

    assert [found["rule"] for found in findings] == [UNUSED, UNUSED]
    assert "SES003" in findings[0]["message"]
    assert "SES008" in findings[1]["message"]


def test_two_comments_on_one_line(tmp_path: Path) -> None:
    comment = "# hermetic: ignore[SES001] a # hermetic: ignore[SES002] b"
    (finding,) = check_json(write(tmp_path, {"app.py": with_comment(comment)}))["findings"]

    assert finding["rule"] == UNUSED
    assert "SES002" in finding["message"]


def test_an_unused_one_is_a_warning_at_its_place(tmp_path: Path) -> None:
    source = LEAK.replace("engine = c", "é = 1  # hermetic: ignore[SES001] long ago\nengine = c")
    root = write(tmp_path, {"app.py": source.replace(CREATION, f"{CREATION}  # hermetic: ignore[SES001]")})
    (finding,) = check_json(root)["findings"]

    assert [finding[key] for key in ("rule", "name", "severity", "path", "line", "column")] == [
        UNUSED,
        "unused-suppression",
        "warning",
        "app.py",
        4,
        8,
    ]
    assert finding["end_column"] == len("é = 1  # hermetic: ignore[SES001] long ago") + 1
    assert hermetic("check", cwd=root).returncode == 0
    assert hermetic("check", "--strict", cwd=root).returncode == 1


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ("# hermetic: ignore", "names no rule"),
        ("# hermetic: ignore[]", "names no rule"),
        ("# hermetic: ignore all of it", "names no rule"),
        ("# hermetic: ignore[SES999]", "there is no rule `SES999`"),
        ("# hermetic: ignore[SES0001]", "did you mean SES001?"),
        ("# hermetic: ignore[SES00]", "there is no rule `SES00`"),
        ("# hermetic: ignore[E501]", "there is no rule `E501`"),
    ],
)
def test_what_can_hide_nothing_is_reported_beside_the_finding(comment: str, message: str, tmp_path: Path) -> None:
    findings = check_json(write(tmp_path, {"app.py": with_comment(comment)}))["findings"]

    assert sorted(found["rule"] for found in findings) == [UNUSED, "SES001"]
    assert message in next(found["message"] for found in findings if found["rule"] == UNUSED)


def test_a_rule_that_is_not_selected_may_need_its_comment(tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": with_comment("# hermetic: ignore[SES001] why"), "b.py": FRAGILE})

    assert codes(root, "--select", "SES005") == ["SES005"]
    assert codes(root, "--ignore", "SES001") == ["SES005"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), [UNUSED]),
        (("--ignore", UNUSED), []),
        (("--select", "SES001"), [UNUSED]),
        (("--select", "SES001", "--ignore", "HERM"), []),
        (("--select", UNUSED), []),
    ],
)
def test_unused_ones_are_chosen_like_a_rule(arguments: tuple[str, ...], expected: list[str], tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": "x = 1  # hermetic: ignore[SES001]\n"})

    assert codes(root, *arguments) == expected


def test_an_unused_one_can_be_kept_on_purpose(tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": "x = 1  # hermetic: ignore[SES001, HERMETIC001] only on Windows\n"})

    assert codes(root) == []


def test_nothing_is_said_about_files_that_are_not_reported(tmp_path: Path) -> None:
    unused = "x = 1  # hermetic: ignore[SES001]\n"
    root = write(tmp_path, {"app.py": "", "tests/test_x.py": unused, "migrations/0001.py": unused})

    assert codes(root) == []
    assert codes(root, "--tests") == [UNUSED]


def test_nothing_is_said_about_files_that_cannot_be_read(tmp_path: Path) -> None:
    root = write(tmp_path, {"app.py": "print 'x'  # hermetic: ignore[SES001]\n"})
    document = check_json(root)

    assert len(document["not_analysed"]) == 1
    assert document["findings"] == []


def test_comments_in_syntax_newer_than_the_interpreter(tmp_path: Path) -> None:
    source = with_comment('# hermetic: ignore[SES001] "quoted" why').replace("statement)\n", 'f"{statement["a"]}")\n')
    root = write(tmp_path, {"app.py": source.replace("def load(", "def load[T](")})
    document = check_json(root)

    assert document["not_analysed"] == []
    assert places(document) == []


@pytest.mark.parametrize("sign", ["\f", "\x1c", "\u2028"])
def test_lines_are_those_of_python(sign: str, tmp_path: Path) -> None:
    source = f"# {sign}{sign}{sign}\n" + with_comment("# hermetic: ignore[SES001]")

    assert codes(write(tmp_path, {"app.py": source})) == []


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_any_line_end_will_do(line_end: str, tmp_path: Path) -> None:
    source = with_comment("# hermetic: ignore[SES001]").replace("\n", line_end)

    assert codes(write(tmp_path, {"app.py": source})) == []


def test_reading_by_hand() -> None:
    (found,) = suppress.read("a.py", "x = (\n    1,\n    # hermetic: ignore[SES002,SES001,SES002] why\n    2,\n)\n")

    assert (found.at.line, found.at.column, found.line, found.codes) == (3, 5, 4, ("SES002", "SES001"))
    assert suppress.read("a.py", "") == []
    assert suppress.read("a.py", "'") == []


def test_a_comment_that_hides_a_hint_is_used(tmp_path: Path) -> None:
    files = project_at(FIXTURES / "ses005" / "second_round_of_loop_reads_expired_row")
    lines = files["reminders.py"].split("\n")
    lines[25] = lines[25].partition("#")[0] + "# hermetic: ignore[SES005] a hint"
    root = write(tmp_path, {**files, "reminders.py": "\n".join(lines)})

    assert "HERMETIC001" not in codes(root)

"""The review as a comment on a pull request."""

from __future__ import annotations

from hermetic.report.answers import NO, NOT_APPLICABLE, PARTLY, YES, Question, Review
from hermetic.report.style import printable

MARKS = {YES: "✅ yes", PARTLY: "🟡 partly", NO: "❌ no", NOT_APPLICABLE: "not applicable"}
# Places of one question that are listed; longer lists make no readable comment.
MOST_SHOWN = 20


def render(review: Review) -> str:
    """A table of the answers, and a foldable list of places for each that is not a plain yes."""
    lines = ["## Session review", "", "| | Question | Answer | Counted |", "|---|---|---|---|"]
    for number, question in enumerate(review.questions, 1):
        answer = question.answer
        counted = f"{answer.good} of {answer.total} {question.unit}" if answer.total else ""
        lines.append(f"| {number} | {question.question} | {MARKS[answer.answer]} | {counted} |")
    for number, question in enumerate(review.questions, 1):
        if question.evidence:
            lines += ["", *_places(number, question)]
    lines += [f"\n> `{_code(entry.path)}` was not analysed: {_plain(entry.reason)}" for entry in review.not_analysed]
    return "\n".join(lines)


def _places(number: int, question: Question) -> list[str]:
    count = len(question.evidence)
    lines = [f"<details><summary>{number}. {count} {'place' if count == 1 else 'places'} to look at</summary>", ""]
    if question.packages:
        each = [f"`{_code(name)}` {found.good} of {found.total}" for name, found in question.packages]
        lines += [f"By package: {', '.join(each)}", ""]
    for item in question.evidence[:MOST_SHOWN]:
        lines.append(f"- `{_code(item.path)}:{item.line}` in `{_code(item.function)}`: {_plain(item.text)}")
    if count > MOST_SHOWN:
        lines.append(f"- and {count - MOST_SHOWN} more")
    return [*lines, "", "</details>"]


def _code(text: str) -> str:
    """A stranger's text between backticks."""
    return printable(text).replace("`", "'")


def _plain(text: str) -> str:
    """A stranger's text that is to be no markup."""
    return printable(text).replace("<", "&lt;").replace("|", "\\|").replace("`", "'")

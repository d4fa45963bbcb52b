"""The review for people at a terminal."""

from __future__ import annotations

from hermetic.report.answers import NO, NOT_APPLICABLE, PARTLY, YES, Question, Review
from hermetic.report.style import Styles, printable

# Places of one question that are shown; the rest is counted.
MOST_SHOWN = 6
MARKS = {YES: "✓", PARTLY: "~", NO: "✗", NOT_APPLICABLE: "-"}


def render(review: Review, styles: Styles) -> str:
    """The six answers, each with its numbers and the places that break it."""
    parts = [_question(number, question, styles) for number, question in enumerate(review.questions, 1)]
    for entry in review.not_analysed:
        parts.append(styles.warning(printable(f"{entry.path}: not analysed: {entry.reason}")))
    if all(question.answer.answer == NOT_APPLICABLE for question in review.questions):
        parts.append("There is no SQLAlchemy session in this code.")
    return "\n\n".join(parts)


def _question(number: int, question: Question, styles: Styles) -> str:
    answer = question.answer
    colour = {YES: styles.good, PARTLY: styles.warning, NO: styles.error}.get(answer.answer, styles.dim)
    head = f"{MARKS[answer.answer]} {number}  {answer.answer:14}"
    lines = [f"{colour(head)} {styles.bold(question.question)}"]
    if answer.total:
        kinds = ", ".join(f"{count} {kind}" for kind, count in question.counts)
        lines.append(f"   {answer.good} of {answer.total} {question.unit}: {kinds}")
    if question.packages:
        each = [f"{name} {found.good} of {found.total}" for name, found in question.packages]
        lines.append(styles.dim(printable(f"   by package: {', '.join(each)}")))
    shown = question.evidence[:MOST_SHOWN]
    places = [printable(f"{item.path}:{item.line}") for item in shown]
    width = max(map(len, places), default=0)
    for item, place in zip(shown, places, strict=True):
        lines.append(
            f"     {styles.accent(place)}{' ' * (width - len(place))}  {printable(item.function)}: {item.text}"
        )
    if len(question.evidence) > MOST_SHOWN:
        lines.append(styles.dim(f"     and {len(question.evidence) - MOST_SHOWN} more (--output-format json has all)"))
    return "\n".join(lines)

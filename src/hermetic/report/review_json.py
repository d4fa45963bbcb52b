"""The review for machines. The shape is a contract:

{"version": 1,
 "questions": [{"id": "context-managers", "question": "…", "answer": "yes|no|partly|not applicable",
                "counts": {"good": 41, "total": 43, "unit": "sessions", "kinds": {"with": 41, "closed by hand": 2}},
                "evidence": [{"path": "app/db.py", "line": 12, "function": "load", "text": "closed by hand"}],
                             (with "runtime": "confirmed" or "only" where a run has shown it)
                "packages": {"app": {"answer": "partly", "good": 41, "total": 43}}}],   (six, always in this order)
 "census": {"sessions": [{"path": …, "line": …, "function": …, "how": "with", "flavour": "sync"}],
            "entry_points": […], "write_scopes": […], "database_work": […], "loaded_rows": […],
            "engines_and_factories": […]},
 "not_analysed": [{"path": "app/old.py", "reason": "…"}]}
"""

from __future__ import annotations

import json
from typing import Any

from hermetic.report.answers import Answer, Question, Review

KINDS = ("sessions", "entry_points", "write_scopes", "database_work", "loaded_rows", "engines_and_factories")


def render(review: Review) -> str:
    """One JSON document, without a line end."""
    taken = dict(review.census)
    document = {
        "version": 1,
        "questions": [_question(question) for question in review.questions],
        "census": {
            kind: [
                {"path": entry.path, "line": entry.line, "function": entry.function, **dict(entry.facts)}
                for entry in taken.get(kind, ())
            ]
            for kind in KINDS
        },
        "not_analysed": [{"path": entry.path, "reason": entry.reason} for entry in review.not_analysed],
    }
    return json.dumps(document, indent=1)


def _question(question: Question) -> dict[str, Any]:
    answer = question.answer
    return {
        "id": question.id,
        "question": question.question,
        "answer": answer.answer,
        "counts": {"good": answer.good, "total": answer.total, "unit": question.unit, "kinds": dict(question.counts)},
        "evidence": [
            {"path": item.path, "line": item.line, "function": item.function, "text": item.kind}
            | ({} if item.sighting is None else {"runtime": item.sighting.label})
            for item in question.evidence
        ],
        "packages": {name: _package(found) for name, found in question.packages},
    }


def _package(answer: Answer) -> dict[str, Any]:
    return {"answer": answer.answer, "good": answer.good, "total": answer.total}

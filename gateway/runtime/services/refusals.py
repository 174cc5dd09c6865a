"""The last refusals of this process, each with the question by which it is explained."""

from typing import Any

from gateway.explain.logged import asked_again
from gateway.telemetry.refusal_ring import RefusalRing


def recent_refusals(ring: RefusalRing, since: str) -> list[dict[str, Any]]:
    """Return the refusals since a time (RFC 3339); `gateway.explain.question` reads a question."""
    return [{**entry, "question": _question(entry)} for entry in ring.since(since)]


def _question(entry: dict[str, Any]) -> dict[str, Any] | None:
    """Return None where too little of the request is known to ask again."""
    question, _ = asked_again(entry)
    if question is None:
        return None
    return {
        "method": question.method,
        "url": question.url,
        "headers": [f"{name}: {value}" for name, value in question.fields],
        "peer": question.peer,
        "as": question.name,
    }

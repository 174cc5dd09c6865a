"""Refusals with the question that asks again."""

from gateway.explain.question import question_of
from gateway.runtime.services.refusals import recent_refusals
from gateway.telemetry.access_line import ACCESS_FIELDS, Values
from gateway.telemetry.refusal_ring import RefusalRing

REFUSED = {
    "time": "2026-01-01T00:00:00.000Z",
    "id": "1",
    "client": "192.0.2.1",
    "method": "POST",
    "scheme": "https",
    "host": "a.example",
    "path": "/x",
    "issuer": "did:ethr:0x1",
    "refusal": "forbidden",
    "user_agent": "curl/8",
}


def _values(**members: str) -> Values:
    """A line's values; those that are not named have none."""
    return tuple(members.get(name) for name in ACCESS_FIELDS)


def test_a_refusal_can_be_asked_about() -> None:
    """Its question is one that explanations read, and names the caller."""
    ring = RefusalRing()
    ring.note(_values(**REFUSED))
    [found] = recent_refusals(ring, "")
    question = question_of(found["question"])
    assert ("POST", "https://a.example/x", "192.0.2.1", "did:ethr:0x1") == (
        question.method,
        question.url,
        question.peer,
        question.name,
    )
    assert (("User-Agent", "curl/8"),) == question.fields


def test_bytes_that_were_no_request_cannot() -> None:
    """There is no path to ask for."""
    ring = RefusalRing()
    ring.note(_values(**{**REFUSED, "path": "", "refusal": "bad_request"}))
    [found] = recent_refusals(ring, "")
    assert found["question"] is None

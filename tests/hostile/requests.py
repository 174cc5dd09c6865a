"""The hostile requests of the package, in the terms of the fakes of the tests."""

from gateway.selftest.corpus.request_case import (
    BODY_BYTES,
    FIELDS,
    GET,
    HEAD_BYTES,
    IDLE_S,
    LAST,
    LATE,
    SECOND,
)
from gateway.selftest.corpus.request_case import ExpectedAnswer as Verdict
from gateway.selftest.corpus.request_case import ExpectedRequest as Saw
from gateway.selftest.corpus.request_case import HostileRequest as Case
from gateway.selftest.corpus.requests import HOSTILE_REQUESTS as CASES
from tests.fakes.upstream import Seen

__all__ = [
    "ADDED",
    "BODY_BYTES",
    "CASES",
    "FIELDS",
    "GET",
    "HEAD_BYTES",
    "IDLE_S",
    "LAST",
    "LATE",
    "SECOND",
    "Case",
    "Saw",
    "Verdict",
    "as_saw",
]

ADDED = {
    *("host", "via", "forwarded", "x-request-id"),
    *("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"),
}
"""The fields that the gateway writes."""


def as_saw(seen: Seen) -> Saw:
    """What the app saw, in the terms of the table."""
    (host,) = seen.values("Host")
    others = tuple(field for field in seen.headers if field[0].lower() not in ADDED)
    return Saw(seen.method, seen.target, host, others, seen.body)

"""Serialisation of answers: status lines, and the gateway's own answers."""

import re
from http import HTTPStatus

from gateway.core.errors import BadUpstreamAnswer
from gateway.core.problem import ProblemAnswer
from gateway.core.request import Reply
from gateway.headers.fields import serialise

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_STANDARD_STATUS_LINES = {
    (status.value, status.phrase): _STATUS_LINES[status.value] for status in HTTPStatus
}
_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9112 section 4: tab alone may pass
_NO_CONTENT = HTTPStatus.NO_CONTENT.value


def serialise_reply(reply: Reply, http_date: bytes) -> tuple[bytes, bytes]:
    """Return the head (without the empty line) and the body of ``reply``."""
    fields = serialise(reply.fields)
    length = b"Content-Length: %d\r\n" % len(reply.body)
    if reply.status == _NO_CONTENT:
        length = b""  # RFC 9110 section 8.6
    return b"".join((_STATUS_LINES[reply.status], http_date, length, fields)), reply.body


def status_line(status: int, reason: str) -> bytes:
    """
    Return the status line with the app's reason phrase: some apps use it for messages.

    Raises `BadUpstreamAnswer` for a control character in it.
    """
    standard = _STANDARD_STATUS_LINES.get((status, reason))
    if standard is not None:
        return standard
    line = f"HTTP/1.1 {status} {reason}".encode("utf-8", "surrogateescape")
    if _CONTROLS.search(line):
        raise BadUpstreamAnswer("control character in the reason phrase")
    return line + b"\r\n"


def serialise_problem(problem: ProblemAnswer, request_id: str) -> tuple[bytes, bytes]:
    """Return the head (without Date and the empty line) and the body; ``request_id`` is ASCII."""
    body = b"".join((problem.before_id, request_id.encode("ascii"), problem.after_id))
    head = problem.heads.get(len(request_id))
    if head is None:
        length = b"Content-Length: %d\r\n" % len(body)
        head = _STATUS_LINES[problem.status] + length + serialise(problem.fields)
        problem.heads[len(request_id)] = head
    if problem.own_fields:
        head += serialise(problem.own_fields)
    return head, body

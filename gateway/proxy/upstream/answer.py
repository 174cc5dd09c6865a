"""Answers of apps, as far as they have come when their exchange is told of them."""

from typing import NamedTuple

from gateway.headers.answer_lines import AnswerHead
from gateway.proxy.http1.parser import RawResponseMessage, StreamReader
from gateway.proxy.upstream.known_answer import LengthlessAnswer, WholeAnswer
from gateway.proxy.upstream.length_body import LengthBody


class ResponseHead(NamedTuple):
    """The head of a final answer that was parsed, and its body to come."""

    message: RawResponseMessage
    body: StreamReader
    whole: bytes | None = None
    """The body, if all of it came with the head; then ``body`` is empty."""

    @property
    def status(self) -> int:
        """The status code."""
        return self.message.code


class KnownHead(NamedTuple):
    """The head of a final answer that needed no parser, and its body to come."""

    head: AnswerHead
    length_line: bytes
    """The Content-Length for the client, with its CRLF."""
    body: LengthBody

    @property
    def status(self) -> int:
        """The status code."""
        return self.head.status


Answer = ResponseHead | WholeAnswer | LengthlessAnswer | KnownHead
"""A final answer, as far as it has come."""

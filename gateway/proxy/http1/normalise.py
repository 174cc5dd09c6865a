"""
Heads that are valid HTTP/1.1, and that the parser refuses all the same, in a form that it accepts.

A head is looked at only after the parser has refused it, so no other head costs more. What comes
out is judged by the parser again: nothing is accepted here.
"""

import re
from typing import NamedTuple

from gateway.core.method import KNOWN_METHODS

_METHOD = re.compile(rb"(?:\r\n)?([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})(?: |\Z)")
"""A token (RFC 9110 section 9.1) at the beginning; one empty line may precede it."""
_PREFACE = "PRI"  # RFC 9113 section 11.6: never a method
_STAND_IN = b"POST"
_PADDED_CODING = re.compile(
    rb"^(transfer-encoding:[ \t]*chunked)[ \t]+\r$", re.IGNORECASE | re.MULTILINE
)
"""White space behind a field value is no part of it (RFC 9112 section 5)."""


class NormalisedHead(NamedTuple):
    """A head in the parser's form, and what was changed."""

    parsable: bytes
    """For the parser; a method that it does not know is replaced by another."""
    raw: bytes
    """The same with the method of the request."""
    method: str


def may_be_normalised(begun: bytes) -> bool:
    """Return whether a head that begins so, and was refused, may turn out to be valid."""
    return _other_method(begun) is not None


def normalise(head: bytes) -> NormalisedHead | None:
    """Return the parser's form of a whole head that it refused; None where there is no other."""
    raw = _PADDED_CODING.sub(rb"\1\r", head)
    match = _other_method(raw)
    if match is not None:
        parsable = raw[: match.start(1)] + _STAND_IN + raw[match.end(1) :]
        return NormalisedHead(parsable, raw, match[1].decode("ascii"))
    if raw == head:
        return None
    method = raw.lstrip(b"\r\n").partition(b" ")[0].decode("latin-1")
    return NormalisedHead(raw, raw, method)


def _other_method(head: bytes) -> re.Match[bytes] | None:
    """Match the method of ``head`` where it is a token that the parser does not know."""
    match = _METHOD.match(head)
    if match is None or match[1].decode("ascii") in {*KNOWN_METHODS, _PREFACE}:
        return None
    return match

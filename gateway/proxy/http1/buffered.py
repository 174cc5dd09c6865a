"""The beginning of a request's body that is taken in before an app is asked."""

import re
from collections.abc import Sequence

from gateway.core.request import Outbound
from gateway.proxy.http1.framing import BodyKind, Framing, encode_chunk

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""The answer to ``Expect: 100-continue`` where the gateway reads the body itself."""

_EXPECTATION = re.compile(rb"^expect:[^\r\n]*\r\n", re.IGNORECASE | re.MULTILINE)
_LENGTH_DIGITS = slice(len(b"Content-Length: "), -len(b"\r\n"))


class BodyBuffer:
    """Collects the beginning of a body, up to a bound."""

    __slots__ = ("_framing", "_max_bytes", "_parts", "is_whole", "size_bytes")

    def __init__(self, framing: Framing, max_bytes: int) -> None:
        self._framing = framing
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self.size_bytes = 0
        """Of the data, without chunk sizes."""
        self.is_whole = False

    def add(self, part: bytes) -> None:
        """Add a part; an empty one is the end."""
        if part:
            self._parts.append(part)
            self.size_bytes += len(part)
        else:
            self.is_whole = True

    def is_full(self) -> bool:
        """Return whether no more is taken in: the body has ended, or the bound is reached."""
        return self.is_whole or self.size_bytes >= self._max_bytes

    def data(self) -> bytes:
        """Return what was collected."""
        return b"".join(self._parts)

    def encoded(self) -> Sequence[bytes]:
        """
        Return what was collected, in the framing of the request; more may follow.

        With a length the last part stays as it is: it may be large, and what is before it is not.
        """
        if self._framing.kind is BodyKind.CHUNKED:
            data = self.data()
            return (encode_chunk(data),) if data else ()
        return b"".join(self._parts[:-1]), *self._parts[-1:]


def fits(framing: Framing, max_bytes: int) -> bool:
    """Return whether the body is known to be no longer than ``max_bytes``."""
    return framing.kind is BodyKind.LENGTH and int(framing.field[_LENGTH_DIGITS]) <= max_bytes


def without_expectation(outbound: Outbound) -> Outbound:
    """Return a request without ``Expect``: the gateway has the body, or invites it."""
    return outbound._replace(fields=_EXPECTATION.sub(b"", outbound.fields))

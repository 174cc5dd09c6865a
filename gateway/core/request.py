"""
Requests: what one stage hands to the next.

Values made once for each request are named tuples, which are immutable and cost a third of a frozen
dataclass to make (0.35 µs instead of 1.2 µs for eight fields); the others are frozen dataclasses.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from multidict import CIMultiDictProxy

from gateway.core.address import IPAddress
from gateway.core.identity import Identity
from gateway.core.limit import AnswerLimits
from gateway.core.route import Route

RawFields = Sequence[tuple[bytes, bytes]]
"""Field lines as received: name and value, in order, case kept, repeated lines apart."""

FieldMemo = dict[object, Any]
"""
Values derived from the fields of a head, by the object that derived them.

A client that repeats its fields has one memo for all its requests, so a memo may hold only what
follows from the fields alone: which credential they carry, never whether it is valid.
"""


class ValueWithMemo(str):
    """
    The value of a Cookie line that is expected again, with what stages found in it.

    The memo is forgotten with the line: a secret in it stays no longer than the line itself. A line
    in use stays across reloads, so each part of the memo is of one config, and names its mark.
    """

    __slots__ = ("left", "session")

    session: tuple[object, Any] | None
    """The credentials in the value."""
    left: tuple[object, bytes] | None
    """The line without credentials; empty for none left."""

    @classmethod
    def begin(cls, text: str) -> "ValueWithMemo":
        """Return ``text`` with an empty memo."""
        value = cls(text)
        value.session = value.left = None
        return value


class ReceivedLines(NamedTuple):
    """Field lines of a request, in order; those that are repeated stand apart."""

    names: Sequence[str]
    lines: Sequence[bytes]
    """Name as received, colon, one space and value, without CRLF."""

    def __repr__(self) -> str:
        return f"ReceivedLines({self.names})"  # tracebacks must not hold credentials


RequestHeaders = CIMultiDictProxy[str]
"""Header fields of a request, for look-ups by name."""


class Certificate(NamedTuple):
    """A verified client certificate; see `gateway.authn.certificate`."""

    names: tuple[tuple[str, str], ...]
    """Kind (``uri``, ``dns``, ``email``; ``cn`` where there are no others) and name."""
    serial: str
    begins_ms: int
    """Not before, Unix time in milliseconds."""
    ends_ms: int
    """Not after, Unix time in milliseconds."""


class Client(NamedTuple):
    """A client address with its spellings, which are made once for each connection."""

    address: IPAddress
    text: str
    limit_key: str
    """Key of its rate limits; see `gateway.routing.client_address.client_at`."""
    scheme: str = ""
    """``https`` where the socket speaks TLS, or a PROXY header says so."""
    certificate: Certificate | None = None
    """None where the client showed none."""


class RequestHead(NamedTuple):
    """The head of one request, as parsed; nothing in it is trusted yet."""

    method: str
    target: str
    """The request target as received (RFC 9112 section 3.2), not yet canonical."""
    version: tuple[int, int]
    headers: CIMultiDictProxy[str]
    """For look-ups by name; the field lines themselves are ``lines``."""
    lines: ReceivedLines
    peer: Client
    """The other end of the socket: a proxy in front, or the client."""
    request_id: str
    """Made by the gateway, or a trusted proxy: a client could claim the lines of other requests."""
    memo: FieldMemo | None = None
    """None where the same fields are not expected again."""
    upgrade: str = ""
    """The protocol that the client asks to upgrade to, in lower case; empty for none."""


class Target(NamedTuple):
    """The canonical target: routes are matched against it, and it is sent upstream."""

    path: str
    """Percent-encoded, without dot or empty segments, escapes in upper case."""
    wire: str
    """``path`` with the query, as it is serialised upstream."""
    has_encoded_slash: bool


class Outbound(NamedTuple):
    """An admitted request: what is sent upstream, without the body and its framing."""

    route: Route
    method: str
    target: Target
    fields: bytes
    """Serialised field lines, each with its CRLF, without framing and connection fields."""
    identity: Identity | None
    client: Client
    cors: bytes = b""
    """Serialised CORS fields that replace those of the app; empty to keep the app's own."""
    limits: AnswerLimits | None = None
    """None where the answer has nothing to do with limits."""


class Reply(NamedTuple):
    """A response of the gateway itself."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes

"""The record of one request, for the access log."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.core.limit import LimitState
from gateway.core.route import FieldLines


@dataclass(slots=True)
class RequestRecord:
    """
    What is known of one request, for the access log and for the fields of its response.

    Each stage fills in what it found out. No decision reads it.
    """

    client: str = ""
    host: str = ""
    route: str = ""
    path: str = ""
    issuer: str = ""
    auth_method: str = ""
    refusal: str = ""
    reason: str = ""
    fields: FieldLines = ()
    """Field lines for every response to this request, refusals included."""
    limit: LimitState | None = None
    """The tightest of the limits that the request was charged to; None where none is told."""
    uncharged: tuple[str, ...] = ()
    """Names of shadow limits that would have refused the request: it was not charged to them."""
    request_id: str = ""
    """Set where there is no `RequestHead` to hold it."""
    checked: str = ""
    """The method of the request that a forward-auth check describes; empty for other requests."""
    tunnel: str = ""
    """Why the tunnel ended; empty for a request that was not upgraded."""
    tunnel_bytes_in: int = 0
    tunnel_s: float = 0.0
    """How long the tunnel was open, in seconds; not part of the request's duration."""
    on_end: tuple[Callable[[], object], ...] = ()
    """Called when the response, or the tunnel, has ended; however it did."""

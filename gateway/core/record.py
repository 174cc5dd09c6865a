"""The record of one request, for the access log."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.core.limit import LimitState
from gateway.core.route import FieldLines


@dataclass(slots=True)
class RequestRecord:
    """
    What is known of one request, for the access log and for the fields of its response.

    Each stage fills in what it found out. No decision reads it; the header fields for the app name
    the scheme that it has.
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
    scheme: str = ""
    """The scheme that the client used, as its header fields are written for the app."""
    upstream_server: str = ""
    """The address that was chosen last, as the config writes it; empty where none was."""
    upstream_s: float = 0.0
    """
    From the head of the request, given to the upstream, to the head of its answer, in seconds.

    All tries together.
    """
    bytes_in: int = 0
    """Size of the body that was taken in, without its framing; or what came through the tunnel."""
    tunnel: str = ""
    """Why the tunnel ended; empty for a request that was not upgraded."""
    tunnel_s: float = 0.0
    """How long the tunnel was open, in seconds; not part of the request's duration."""
    on_end: tuple[Callable[[], object], ...] = ()
    """Called when the response, or the tunnel, has ended; however it did."""

"""The record of one request, for the access log."""

from dataclasses import dataclass

from gateway.core.route import FieldLines


@dataclass(slots=True)
class RequestRecord:
    """
    What became known of one request on its way, for the access log and for what answers bear.

    No decision reads it: it is filled in as the stages return.
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
    """What belongs on every answer, a refusal too."""
    request_id: str = ""
    """Where there is no `RequestHead` to hold it."""
    checked: str = ""
    """The method of the request that a proxy in front asked about; empty for all but checks."""
    tunnel: str = ""
    """Why the tunnel that it became has ended; empty where it became none."""
    tunnel_bytes_in: int = 0
    tunnel_s: float = 0.0
    """How long it was open: no part of how long the request took."""

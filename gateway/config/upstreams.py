"""Section ``upstreams``: the servers of apps, their health, and limits on requests to them."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.addresses import Host, ServerUrl
from gateway.config.names import ForeignField
from gateway.config.paths import CanonicalPath
from gateway.config.section import GIVEN, SOME, Section
from gateway.config.texts import OptionalText
from gateway.config.units import CountText, Duration, Few, Flag, SizeOrZero
from gateway.core.route import Balance


class UpstreamTimeoutSettings(Section):
    """Time-outs for an app."""

    connect_s: Duration = Field(2.0, alias="connect")
    """Time-out for a connection, TLS handshake included."""
    response_s: Duration = Field(30.0, alias="response")
    """Time-out from the end of the request to the head of the response."""
    idle_s: Duration = Field(300.0, alias="idle")
    """Time-out between two parts of a body, or of a tunnel."""


class HealthSettings(Section):
    """Active health checks of each server."""

    path: CanonicalPath
    """Path to request with GET. A response with a status from 200 to 399 is a success."""
    interval_s: Duration = Field(5.0, alias="interval")
    """Time from one check of a server to the next."""
    timeout_s: Duration = Field(2.0, alias="timeout")
    """Time-out for a whole check."""
    healthy_after: CountText = 2
    """Number of successes in a row after which a server gets requests again."""
    unhealthy_after: CountText = 3
    """Number of failures in a row after which a server gets no more requests."""


class EjectionSettings(Section):
    """
    Passive health checks: a server that fails requests gets none for a pause. Never more than half
    of the servers are ejected.
    """

    failures: CountText = 5
    """
    Number of requests in a row without a response, answered 502, 503 or 504, or with a response
    that breaks off.
    """
    pause_s: Duration = Field(10.0, alias="pause")
    """Length of the first pause. It doubles each time the server fails again soon after."""
    longest_s: Duration = Field(300.0, alias="longest")
    """Maximum length of a pause."""


class CircuitSettings(Section):
    """
    Circuit breaker of the whole app: while it is open, requests are answered 503 at once, so that
    an app that is down can start without load.
    """

    failures: CountText = 20
    """
    Number of requests in a row, over all servers, without a response or answered 502, 503 or 504.
    """
    pause_s: Duration = Field(1.0, alias="pause")
    """Time until one request is let through as a trial; one more in each pause after."""


class UpstreamTlsSettings(Section):
    """TLS to https:// servers. The files are read again when they change."""

    ca: OptionalText = ""
    """PEM file of trusted CAs. The CAs of the system when empty."""
    server_name: Annotated[Host | None, GIVEN] = None
    """Name that the server's certificate must contain. The host of the server when absent."""
    certificate: OptionalText = ""
    """PEM file: the gateway's client certificate and its chain, for servers that request one."""
    key: OptionalText = ""
    """PEM file: the private key of the client certificate."""
    verify: Flag = True
    """false accepts any certificate. A network attacker (MITM) can then read and alter it all."""


class UpstreamHeaderSettings(Section):
    """Header fields of requests to an app."""

    pass_: tuple[ForeignField, ...] = Field((), alias="pass")
    """
    Fields of other gateways, such as X-Forwarded-User, that the app gets as clients write them. All
    others of docs/headers.md are dropped: an app may take them for a verified identity or address.
    """


class UpstreamSettings(Section):
    """An app behind the gateway."""

    servers: Annotated[tuple[ServerUrl, ...], SOME]
    """One or more servers: http://host:port, https://host:port or unix:/path."""
    balance: Balance = Balance.ROUND_ROBIN
    """
    Load balancing: round-robin, least-connections (the server with the fewest requests in flight)
    or by-issuer (the same server for the same caller).
    """
    health: Annotated[HealthSettings | None, GIVEN] = None
    """Active health checks. None when absent."""
    ejection: EjectionSettings = EjectionSettings()
    """Passive health checks: when a server that fails requests gets none for a while."""
    slow_start_s: Duration = Field(10.0, alias="slow_start")
    """Time over which a server that came back gets its full share of the requests."""
    circuit_breaker: Annotated[CircuitSettings | None, GIVEN] = None
    """When all requests to the app are answered 503 at once. Never when absent."""
    retries: Few = 1
    """
    Maximum number of retries of a request, 0 to 10. Only requests that were never sent, or that are
    idempotent and have no body, are retried, and about a fifth of all requests at most: more would
    multiply the load of an app that fails under load.
    """
    timeouts: UpstreamTimeoutSettings = UpstreamTimeoutSettings()
    """Time-outs for the app."""
    connections: CountText = 256
    """Maximum number of connections to each server, of all workers together; without tunnels."""
    buffer_request_bytes: SizeOrZero = Field(64 << 10, alias="buffer_request")
    """
    How much of a request's body is taken in before a connection to the app is used: until its end,
    this size, or for a second; then it is streamed. 0 for nothing. Each request may hold as much.
    """
    max_in_flight: Annotated[CountText | None, GIVEN] = None
    """Maximum number of requests in flight. One more is answered 503. No maximum when absent."""
    tls: UpstreamTlsSettings = UpstreamTlsSettings()
    """TLS to https:// servers."""
    headers: UpstreamHeaderSettings = UpstreamHeaderSettings()
    """Header fields of requests to the app."""
    audience: OptionalText = ""
    """`aud` of assertions for this app. The name of the upstream when empty."""
    host: Literal["keep", "rewrite"] = "keep"
    """`Host` as the app receives it: as the client sent it (keep), or the server's (rewrite)."""

"""Sections ``server`` and ``admin``: listeners, TLS, proxies in front, time-outs and caps."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.addresses import Host, HostPort, Network, Origin
from gateway.config.credentials import CertificatePattern
from gateway.config.listen import ListenPlace, PrivatePlace
from gateway.config.names import Name
from gateway.config.paths import Prefix
from gateway.config.section import GIVEN, SOME, Section
from gateway.config.texts import FilePath, SealKey
from gateway.config.units import CountText, Duration, Flag, Size, Workers


class ServerTimeouts(Section):
    """Time-outs for clients."""

    head_s: Duration = Field(10.0, alias="head")
    """
    Time-out for the whole head of a request, from its first byte on, so that a client cannot hold a
    connection by sending it slowly (slowloris).
    """
    body_idle_s: Duration = Field(30.0, alias="body_idle")
    """Time-out for the next bytes of a body, in either direction."""
    keep_alive_s: Duration = Field(75.0, alias="keep_alive")
    """Time-out for the next request on an idle connection, which is closed afterwards."""
    half_closed_s: Duration = Field(5.0, alias="half_closed")
    """
    Time-out for the response to begin after the client has closed its sending side. Short, because
    most clients that do so have gone.
    """
    min_rate_bytes: Size = Field(128, alias="min_rate")
    """
    Minimum rate of a body, in bytes a second, averaged over the body and beyond `body_idle`. It
    ends a slow POST and a slow read. Time in which the app is slow does not count.
    """
    drain_s: Duration = Field(30.0, alias="drain")
    """Time-out for requests in flight when the gateway is told to stop. They are cut afterwards."""
    drain_delay_s: Annotated[Duration | None, GIVEN] = Field(None, alias="drain_delay")
    """
    Delay between reporting not ready and closing the listeners, for load balancers to notice. No
    delay when absent.
    """


class ServerCaps(Section):
    """Limits on what clients may open and send."""

    connections: CountText = 10_000
    """Open connections, of all workers together. One more is answered 503 and closed."""
    connections_per_client: CountText = 1000
    """
    Open connections of one client address; an IPv6 network of /64 counts as one address. Trusted
    proxies are exempt, as many clients share their address.
    """
    tunnels: CountText = 10_000
    """Open WebSockets and other tunnels. One more is answered 503."""
    head_bytes: Size = 16 << 10
    """Size of the request line and the header fields together. A larger head is answered 431."""
    fields: CountText = 100
    """Number of header fields of a request. More are answered 431."""
    body_bytes: Size = Field(1 << 30, alias="body")
    """Size of the body of a request. A larger one is answered 413."""


class CertificateSettings(Section):
    """A certificate and its key. The names in the certificate select the hosts it is used for."""

    certificate: FilePath
    """PEM file: the certificate, followed by its chain up to the root."""
    key: FilePath
    """PEM file: the private key of the certificate, without a password."""


class TlsSettings(Section):
    """TLS 1.2 and 1.3 on all of `listen`. The files are read again when they change."""

    certificate: Annotated[FilePath | None, GIVEN] = None
    """PEM file: the certificate, followed by its chain up to the root."""
    key: Annotated[FilePath | None, GIVEN] = None
    """PEM file: the private key of the certificate, without a password."""
    client_ca: Annotated[FilePath | None, GIVEN] = None
    """
    PEM file of CAs for client certificates (mutual TLS): every client must present a certificate
    that one of them signed. No certificate is requested when absent.
    """
    client_auth: Literal["required", "optional"] = "required"
    """
    Whether clients without a certificate are refused (required) or accepted (optional). A client
    with an invalid certificate is always refused.
    """
    certificates: tuple[CertificateSettings, ...] = ()
    """
    Further certificates, selected by the server name that a client sends (SNI). The first
    certificate of all is the default.
    """


class ServerSettings(Section):
    """Listeners for clients, and how their requests are received."""

    listen: Annotated[tuple[ListenPlace, ...], SOME] = (HostPort("0.0.0.0", 8080),)  # noqa: S104 - a server
    """
    Addresses to listen on: host:port, unix:/path, fd:N (an inherited descriptor), systemd or
    systemd:NAME (socket activation). The default is 127.0.0.1:8080 in development mode.
    """
    tls: Annotated[TlsSettings | None, GIVEN] = None
    """Certificates for TLS. The gateway speaks plain HTTP when absent."""
    public_url: Origin
    """
    Origin under which browsers reach the gateway. It determines whether cookies are Secure, where
    redirects lead, and which Origin requests with a session may have.
    """
    workers: Workers = 1
    """Number of processes that share the listeners, or auto: one for each available core."""
    prefix: Prefix = "/_gateway"
    """Path under which the gateway serves its own pages. No route may lie under it."""
    trusted_proxies: tuple[Network, ...] = ()
    """
    Networks of your own proxies in front of the gateway, in CIDR notation; unix: stands for unix
    sockets. They may name the client's address and ask forward-auth checks. A /0 network is
    refused.
    """
    client_ip: Literal["peer", "x-forwarded-for", "forwarded", "proxy-protocol"] = "peer"
    """
    Source of the client's address: the peer of the connection, a header field written by a trusted
    proxy, or the header of the PROXY protocol. All but peer need `trusted_proxies`.
    """
    forwarded: Literal["both", "x-forwarded", "forwarded"] = "both"
    """Fields that name a request's origin to apps: X-Forwarded-*, Forwarded (RFC 7239) or both."""
    via: Flag = True
    """
    Whether apps are sent `Via: 1.1 gateway`. Some do not compress what they send to a proxy (nginx,
    unless its `gzip_proxied` says so).
    """
    rate_limit_headers: Literal["refused", "always"] = "refused"
    """
    Which answers carry the fields RateLimit, RateLimit-Policy and X-RateLimit-*: refusals by a
    limit, or always, which is every answer of a route that has limits.
    """
    timeouts: ServerTimeouts = ServerTimeouts()
    """Time-outs for clients."""
    max: ServerCaps = ServerCaps()
    """Limits on what clients may open and send."""


class AdminTlsSettings(Section):
    """TLS 1.2 and 1.3 on `admin.listen`. The files are read again when they change."""

    certificate: FilePath
    """PEM file: the certificate, followed by its chain up to the root."""
    key: FilePath
    """PEM file: the private key of the certificate, without a password."""
    client_ca: Annotated[FilePath | None, GIVEN] = None
    """
    PEM file of CAs for client certificates, which are as good as the token where they have one of
    `names`. A client that shows a certificate of another CA is refused; one without a certificate
    gets what needs none: probes and metrics. No certificate is requested when absent.
    """
    names: tuple[CertificatePattern, ...] = ()
    """
    Names in certificates of operators: patterns such as spiffe://example.org/*, *.ops.example.com
    and *@example.com, or whole names. Needed with `client_ca`.
    """


class AdminSettings(Section):
    """Private listener: health, metrics and the operators' API."""

    listen: PrivatePlace = HostPort("127.0.0.1", 9090)
    """
    Address to listen on: host:port, or unix:/path of a socket that its owner and group may use.
    Without `token` and `tls.names`, the dashboard and the API are served to this machine alone;
    probes and metrics are served to all that reach it.
    """
    hosts: tuple[Host, ...] = ()
    """
    Host names accepted in requests to the API and for metrics, beside localhost and IP addresses.
    Other names are refused, which stops DNS rebinding. Health is answered under any name.
    """
    token: Annotated[SealKey | None, GIVEN] = None
    """
    Token of operators, of at least 32 bytes: the dashboard asks for it, and requests to the API
    send it as `Authorization: Bearer`. Without it and `tls.names`, the dashboard and the API are
    served to the machine itself alone. Probes and metrics need none.
    """
    tls: Annotated[AdminTlsSettings | None, GIVEN] = None
    """Certificates for TLS. The listener speaks plain HTTP when absent."""
    route: Annotated[Name | None, GIVEN] = None
    """
    Name of the route by which people reach the dashboard through the gateway itself. It has no
    `upstream`, requires authentication, and names those who may in `allow`. None when absent.
    """
    read_only: Flag = False
    """Whether the dashboard and the API only show: revoking, reloading and the like are refused."""

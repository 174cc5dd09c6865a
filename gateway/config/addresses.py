"""
Parsers of addresses: hosts, listen addresses, origins, networks, the URL of the store.

The `ValueError` of a parser says what was expected and never shows the text, which may be a secret.
"""

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Annotated, NamedTuple
from urllib.parse import SplitResult, urlsplit

from pydantic import PlainSerializer, SecretStr, WithJsonSchema

from gateway.config.texts import HIDDEN
from gateway.config.units import of_text
from gateway.core.address import IPNetwork
from gateway.routing.client_address import UNIX, UNIX_PEERS, network_text
from gateway.store import cluster_url
from gateway.store.sentinel_url import read_sentinel_url

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# Resolvers read a name with such an end as an IPv4 address: 0x7f.1 is 127.0.0.1.
_NUMBER_LAST = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_AUTHORITY = re.compile(r"(\[[^][]*\]|[^][:]*)(?::([0-9]{1,5}))?")
_ORIGIN = re.compile(r"(https?)://([^/]*)/?", re.IGNORECASE)
_HIGHEST_PORT = 65535
_LONGEST_SOCKET_PATH = 107  # bytes, in Linux's struct sockaddr_un
_DEFAULT_PORTS = {"http": 80, "https": 443}


class HostPort(NamedTuple):
    """A TCP address; the host in lower case, an IPv6 one without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"


class ServerAddress(NamedTuple):
    """The address of a server of an app: TCP or a unix socket."""

    scheme: str
    """``http``, ``https`` or ``unix``."""
    host: str
    """As in `HostPort`; empty for a unix socket."""
    port: int
    """0 for a unix socket."""
    path: str = ""
    """The path of a unix socket; empty for TCP."""

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix:{self.path}"
        return f"{self.scheme}://{HostPort(self.host, self.port)}"

    @property
    def authority(self) -> str:
        """Value of ``Host`` (RFC 9110 section 7.2); ``localhost`` for a unix socket."""
        if self.scheme == "unix":
            return "localhost"
        if self.port == _DEFAULT_PORTS[self.scheme]:
            return bracketed(self.host)
        return str(HostPort(self.host, self.port))


def bracketed(name: str) -> str:
    """Put an IPv6 address into brackets, as URLs require."""
    return f"[{name}]" if ":" in name else name


def host(text: str) -> str:
    """Parse a DNS name or an IP address (IPv6 in brackets); normalised. Raises `ValueError`."""
    name = text.lower()
    try:
        if name.startswith("[") and name.endswith("]") and "%" not in name:
            return str(IPv6Address(name[1:-1]))
        if _NUMBER_LAST.fullmatch(name):
            return str(IPv4Address(name))
    except ValueError:
        name = ""  # the library's message would show the value
    if not _NAME.fullmatch(name):
        raise ValueError("expected a host name or an IP address (IPv6 in brackets)")
    return name


def host_field(text: str) -> str:
    """Parse like `host`, but keep the brackets of IPv6, as ``Host`` has them."""
    return bracketed(host(text))


def route_host(text: str) -> str:
    """
    Parse like `host_field`, or ``*.`` and a domain for all its subdomains. Raises `ValueError`.

    A wildcard of an address, ``*.0.0.1``, is refused: addresses have no subdomains.
    """
    if not text.startswith("*."):
        return host_field(text)
    domain = host(text[2:])
    if ":" in domain or _NUMBER_LAST.fullmatch(domain):
        raise ValueError("expected *. and a domain, such as *.example.com")
    return f"*.{domain}"


def _address(authority: str, default_port: int | None) -> HostPort:
    match = _AUTHORITY.fullmatch(authority)
    port = int(match[2]) if match and match[2] else default_port
    if match is None or port is None or port > _HIGHEST_PORT:
        raise ValueError
    return HostPort(host(match[1]), port)


def listen(text: str) -> HostPort:
    """
    Parse ``0.0.0.0:8080`` or ``[::]:8080``; port 0 stands for any free port.

    Raises `ValueError`.
    """
    try:
        return _address(text, None)
    except ValueError:
        raise ValueError("expected host:port such as 0.0.0.0:8080 or [::]:8080") from None


def _origin(text: str) -> tuple[str, HostPort]:
    match = _ORIGIN.fullmatch(text)
    if match is None:
        raise ValueError
    scheme = match[1].lower()
    address = _address(match[2], _DEFAULT_PORTS[scheme])
    if not address.port:
        raise ValueError
    return scheme, address


def origin(text: str) -> str:
    """
    Parse an origin (RFC 6454) into the form of browsers: lower case, no default port, no slash.

    Raises `ValueError`.
    """
    try:
        scheme, address = _origin(text)
    except ValueError:
        raise ValueError(
            "expected an origin such as https://app.example.com: scheme, host and optional port"
        ) from None
    if address.port == _DEFAULT_PORTS[scheme]:
        return f"{scheme}://{bracketed(address.host)}"
    return f"{scheme}://{address}"


def optional_origin(text: str) -> str | None:
    """Parse like `origin`; None for empty text, which an unset variable gives."""
    return origin(text) if text else None


def server(text: str) -> ServerAddress:
    """
    Parse ``http://host:port``, ``https://host:port`` or ``unix:/path``; ports are optional.

    Raises `ValueError`.
    """
    try:
        if text.startswith("unix:"):
            return ServerAddress("unix", "", 0, _socket_path(text.removeprefix("unix:")))
        scheme, address = _origin(text)
    except ValueError:
        raise ValueError(
            "expected http://host:port, https://host:port or unix:/path/of/socket"
        ) from None
    return ServerAddress(scheme, *address)


def _socket_path(path: str) -> str:
    if not path.startswith("/") or not path.isprintable():
        raise ValueError
    if len(path.encode()) > _LONGEST_SOCKET_PATH:
        raise ValueError
    return path


def network(text: str) -> IPNetwork:
    """
    Parse a CIDR network other than /0, or ``unix:``, which stands for all unix sockets.

    Raises `ValueError`.
    """
    if text == UNIX:
        return UNIX_PEERS
    try:
        wide = ip_network(text, strict=False)
    except ValueError:
        raise ValueError("expected a network such as 10.0.0.0/8 or fd00::/8") from None
    if not wide.prefixlen:
        raise ValueError("a /0 network would let every client name its own address")
    if ip_address(text.partition("/")[0]) != wide.network_address:
        raise ValueError(f"has bits set beyond its /{wide.prefixlen}: write them as 0")
    return wide


def is_loopback(name: str) -> bool:
    """Whether ``name``, a result of `host`, is loopback: only this machine can reach it."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def url_on(origin: str, host: str, path: str) -> str:
    """Write the URL of ``path`` on another host, with scheme and port of ``origin``."""
    scheme, _, authority = origin.partition("://")
    port = re.search(r":[0-9]+\Z", authority.rpartition("]")[2])
    return f"{scheme}://{host}{port[0] if port else ''}{path}"


def is_loopback_http(url: str) -> bool:
    """Whether ``url``, a result of `origin`, is http on loopback."""
    scheme, address = _origin(url)
    return scheme == "http" and is_loopback(address.host)


def redis_url(text: str) -> SecretStr:
    """Parse the URL of the store, which may hold a password. Raises `ValueError`."""
    if not _is_redis_url(text):
        raise ValueError(
            "expected redis://host:port, rediss://host:port, redis+sentinel://host,host/name,"
            " redis+cluster://host:port,host:port,"
            " unix:///path, embedded:// or upstash+https://host (here or in REDIS_URL)"
        )
    return SecretStr(text)


def _is_redis_url(text: str) -> bool:
    scheme = text.partition("://")[0]
    if (read := _LISTS_OF_HOSTS.get(scheme)) is not None:
        return _is_readable(read, text)
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a bad port, or unbalanced brackets
        return False
    match parts.scheme:
        case "redis" | "rediss":  # with an @ there, what was read as the host is a user name
            return has_host and "@" not in parts.path
        case "unix":
            return len(parts.path) > 1
        case "embedded":
            return not parts.netloc
    return has_host and parts.scheme.startswith("upstash+") and _is_rest_api(parts)


_LISTS_OF_HOSTS: dict[str, Callable[[str], object]] = {
    "redis+sentinel": read_sentinel_url,
    "rediss+sentinel": read_sentinel_url,
    "redis+cluster": cluster_url.parse,
    "rediss+cluster": cluster_url.parse,
}
"""Readers of URLs with several hosts, by scheme; they raise `ValueError`."""


def _is_readable(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


def _is_rest_api(parts: SplitResult) -> bool:
    """
    Whether a URL is the origin of a REST API: its token has its own key.

    Without TLS the token would be readable on the way to another machine.
    """
    if parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment:
        return False
    is_here = is_loopback(str(parts.hostname))
    return parts.scheme == "upstash+https" or (parts.scheme == "upstash+http" and is_here)


Origin = Annotated[
    str,
    of_text(origin),
    WithJsonSchema({"type": "string", "examples": ["https://app.example.com"]}),
]
"""An origin: scheme, host, and the port unless it is the default of the scheme."""

OptionalOrigin = Annotated[
    str | None,
    of_text(optional_origin, null=""),
    WithJsonSchema({"type": ["string", "null"]}),
]
"""An origin; None for empty text."""

ServerUrl = Annotated[
    ServerAddress,
    of_text(server),
    PlainSerializer(str),
    WithJsonSchema(
        {
            "type": "string",
            "examples": ["http://127.0.0.1:3000", "https://app.internal", "unix:/run/app.sock"],
        }
    ),
]
"""The address of a server of an app."""

Network = Annotated[
    IPNetwork,
    of_text(network),
    PlainSerializer(network_text),
    WithJsonSchema({"type": "string", "examples": ["10.0.0.0/8", "unix:"]}),
]
"""A network in CIDR notation, or all unix sockets."""

Host = Annotated[str, of_text(host), WithJsonSchema({"type": "string"})]
"""A DNS name or an IP address."""

RouteHost = Annotated[
    str,
    of_text(route_host),
    WithJsonSchema({"type": "string", "examples": ["app.example.com", "*.example.com"]}),
]
"""A host as in ``Host``, without port, or all subdomains of one."""

RedisUrl = Annotated[
    SecretStr,
    of_text(redis_url),
    HIDDEN,
    WithJsonSchema({"type": "string", "examples": ["redis://127.0.0.1:6379/0", "embedded://"]}),
]
"""The URL of the store."""

"""The address of a gateway's private listener, for commands: TCP, TLS, or a unix socket."""

import socket
import ssl
from http.client import HTTPConnection, HTTPSConnection
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

_UNIX = "unix:"
_BEGIN, _END = (f"-----{word} CERTIFICATE-----" for word in ("BEGIN", "END"))


class PrivateAddress(NamedTuple):
    """The address of a private listener."""

    url: str
    """Its host is ``localhost`` for a unix socket; it may have a path."""
    socket: str = ""
    """Path of a unix socket; empty for TCP."""
    certificate: str = ""
    """File that begins with the one certificate that is trusted; empty to ask the system."""

    @property
    def text(self) -> str:
        """The address as operators write it."""
        return f"{_UNIX}{self.socket}" if self.socket else self.url

    @property
    def path(self) -> str:
        """The path that goes before those of the listener, behind a proxy; empty for none."""
        return urlsplit(self.url).path

    def connection(self, timeout_s: float) -> HTTPConnection:
        """Return a connection that is not open yet."""
        if self.socket:
            return _UnixConnection(self.socket, timeout_s)
        place = urlsplit(self.url)
        host, port = place.hostname or "", place.port
        if place.scheme == "https":
            return HTTPSConnection(host, port, timeout=timeout_s, context=self.tls())
        return HTTPConnection(host, port, timeout=timeout_s)

    def tls(self) -> ssl.SSLContext:
        """
        Make the context of TLS. Raises `OSError` for a certificate that cannot be read.

        The listener of a config is known by its certificate, and not by a name: it is asked by its
        address. So nothing of the chain behind it is trusted, which has signed others, too.
        """
        context = ssl.create_default_context()
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.load_verify_locations(cadata=_first(self.certificate))
        return context


def _first(file: str) -> str:
    """Return the first certificate of a file. Raises `OSError`, also where it has none."""
    text = Path(file).read_bytes().decode("ascii", "replace")
    before, end, _ = text.partition(_END)
    if not end:
        raise ssl.SSLError(f"{file} has no certificate")
    return before[before.rfind(_BEGIN) :] + end


def address_of(listen: tuple[str, int] | tuple[str], certificate: str = "") -> PrivateAddress:
    """
    Return the address at which this machine reaches a listener.

    ``listen`` is a host and a port, or the path of a unix socket; with a ``certificate`` it speaks
    TLS.
    """
    if len(listen) == 1:
        return PrivateAddress("http://localhost", listen[0])
    return PrivateAddress(url_of(listen, "https" if certificate else "http"), "", certificate)


def url_of(address: tuple[str, int], scheme: str = "http") -> str:
    """Return the URL at which this machine reaches a listener; one on all addresses too."""
    host, port = address
    try:
        ip = ip_address(host)
    except ValueError:
        return f"{scheme}://{host}:{port}"
    if isinstance(ip, IPv6Address):
        return f"{scheme}://[{'::1' if ip.is_unspecified else host}]:{port}"
    return f"{scheme}://{'127.0.0.1' if ip.is_unspecified else host}:{port}"


def private_address(url: str) -> PrivateAddress:
    """Parse ``http://HOST:PORT``, ``https://…`` or ``unix:/path``. Raises `ValueError`."""
    if url.startswith(f"{_UNIX}/"):
        return PrivateAddress("http://localhost", url.removeprefix(_UNIX))
    try:
        place = urlsplit(url)
        is_one = place.scheme in ("http", "https") and bool(place.hostname) and place.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise ValueError("expected http://HOST:PORT, https://HOST:PORT or unix:/path")
    return PrivateAddress(url.rstrip("/"))


class _UnixConnection(HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Open the connection."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)

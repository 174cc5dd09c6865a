"""The client of a connection: its address and certificate."""

import asyncio
import socket
import ssl
from functools import lru_cache
from typing import Any, Protocol

from gateway.authn.certificate import read
from gateway.core.request import Certificate, Client
from gateway.routing.client_address import UNIX_PEER, client_at, parse_address

_UNIX_CLIENT = client_at(UNIX_PEER)

_MAX_CACHED = 4096
"""Parsed addresses that are kept: saves 8 µs for each new connection from one of them."""


class UnreadableCertificateError(ssl.SSLError):
    """
    The client's certificate has a name that Python's ssl module cannot decode.

    A trusted authority signed it, and OpenSSL accepts it. It is an `OSError`, like the other errors
    of handshakes: event loops write a traceback for each error that is none.
    """


class TlsConnection(ssl.SSLObject):
    """The server's side of a TLS connection; refuses clients with an unreadable certificate."""

    def getpeercert(self, binary_form: bool = False) -> Any:
        """Return the client's certificate. Raises `UnreadableCertificateError`."""
        try:
            return super().getpeercert(binary_form)
        except UnicodeDecodeError:
            raise UnreadableCertificateError("a name is not UTF-8") from None


class AcceptedConnection(Protocol):
    """A connection past its PROXY header; see `gateway.proxy.downstream.accept`."""

    def hand_over(self) -> Client:
        """Release its place, which the client's connection takes; return the client."""


def client_of(
    transport: asyncio.BaseTransport, accepted: AcceptedConnection | None
) -> Client | None:
    """Return the client, with its certificate; None if it was reset before it was accepted."""
    peer = accepted.hand_over() if accepted is not None else _peer_of(transport)
    certificate = _client_certificate(transport) if peer is not None else None
    return peer if peer is None or certificate is None else peer._replace(certificate=certificate)


def _peer_of(transport: asyncio.BaseTransport) -> Client | None:
    sock = transport.get_extra_info("socket")
    return peer_at(sock.family, transport.get_extra_info("peername"))


def peer_at(family: int, name: object) -> Client | None:
    """Return the client at the socket address ``name``; None if that is no address."""
    if family == socket.AF_UNIX:
        return _UNIX_CLIENT
    if not name or not isinstance(name, tuple):
        return None
    return _client_at(name[0])


def _client_certificate(transport: asyncio.BaseTransport) -> Certificate | None:
    """Return the client's verified certificate; None without TLS, or if it sent none."""
    connection = transport.get_extra_info("ssl_object")
    if connection is None or connection.context.verify_mode is ssl.CERT_NONE:
        return None
    der = connection.getpeercert(binary_form=True)
    return read(der) if der else None


@lru_cache(_MAX_CACHED)
def _client_at(text: str) -> Client:
    return client_at(parse_address(text.partition("%")[0]))

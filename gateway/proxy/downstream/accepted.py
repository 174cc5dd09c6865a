"""Who is at the other end of a connection, as far as can be seen from here."""

import asyncio
import socket
import ssl
from functools import lru_cache
from typing import Protocol

from gateway.authn.certificate import read
from gateway.core.request import Certificate, Client
from gateway.routing.client_address import UNIX_PEER, client_at, parse_address

_UNIX_CALLER = client_at(UNIX_PEER)

_REMEMBERED = 4096
"""Addresses whose spellings are kept: 8 µs less for each new connection of theirs."""


class AcceptedConnection(Protocol):
    """What a connection went through before its first request: see `gateway.proxy.downstream.accept`."""

    def leave(self) -> Client:
        """The connection takes its own place now; who is at its other end."""


def peer_of(transport: asyncio.BaseTransport) -> Client | None:
    """The other end; None where it is gone: reset before it was accepted."""
    sock = transport.get_extra_info("socket")
    return peer_at(sock.family, transport.get_extra_info("peername"))


def peer_at(family: int, name: object) -> Client | None:
    """Who has the socket address ``name``; None where that is no address."""
    if family == socket.AF_UNIX:
        return _UNIX_CALLER
    if not name or not isinstance(name, tuple):
        return None
    return _caller_at(name[0])


def shown_certificate(transport: asyncio.BaseTransport) -> Certificate | None:
    """What the client has shown; None without TLS, and where it was not asked or has none."""
    connection = transport.get_extra_info("ssl_object")
    if connection is None or connection.context.verify_mode is ssl.CERT_NONE:
        return None
    der = connection.getpeercert(binary_form=True)
    return read(der) if der else None


@lru_cache(_REMEMBERED)
def _caller_at(text: str) -> Client:
    return client_at(parse_address(text.partition("%")[0]))

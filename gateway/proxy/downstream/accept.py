"""
Accepting connections: the PROXY header, and the start of the TLS handshake.

A pending connection counts against the limits from the start. Both steps together have the time of
a request's head, so that a silent connection costs no more than a slow client.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf
from typing import NamedTuple

from gateway.core.request import Client
from gateway.proxy.downstream import proxy_protocol
from gateway.proxy.downstream.accepted import (
    AcceptedConnection,
    UnreadableCertificateError,
    peer_at,
)
from gateway.proxy.downstream.bind import MAX_PER_ITERATION
from gateway.proxy.downstream.proxy_protocol import ProxyHeader
from gateway.proxy.downstream.server import ProxyServer, ServingConfig
from gateway.proxy.downstream.tls import ServerTls
from gateway.proxy.http1.close import TLS_SHUTDOWN_S
from gateway.routing.client_address import client_at, is_trusted
from gateway.telemetry.metrics import CONNECTIONS, ConnectionOutcome
from gateway.util.tracebacks import forget_frames

_log = logging.getLogger(__name__)

_PAUSE_S = 0.2
"""How long accepting pauses when the process has no file descriptor left."""

_WARN_EVERY_S = 60.0

_HANDSHAKE = b"\x16"
"""The first byte of every ClientHello (RFC 8446 section 5.1)."""

_READ_BYTES = 1 << 16
_NOT_PLAIN = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

_NONE_WAITING = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR}
_LOST_BEFORE_ACCEPT = {
    # accept(2) also reports errors of the connection.
    *(errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN, errno.ENOPROTOOPT),
    *(errno.EHOSTDOWN, errno.ENONET, errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH),
}

MakeConnection = Callable[[AcceptedConnection], asyncio.BaseProtocol]
"""Makes the client's connection of a pending one."""


class ListenerOptions(NamedTuple):
    """What comes before HTTP on the connections of a listener."""

    tls: ServerTls | None = None
    has_proxy_header: bool = False
    """Whether a PROXY header comes first."""


class Acceptor:
    """Accepts connections on one socket."""

    def __init__(
        self,
        server: ProxyServer,
        sock: socket.socket,
        options: ListenerOptions,
        make: MakeConnection,
    ) -> None:
        self.server = server
        self.options = options
        self.make = make
        self._sock = sock
        self._timer: asyncio.TimerHandle | None = None
        self._warned_until_s: dict[str, float] = {}
        server.loop.add_reader(sock, self._accept)

    def close(self) -> None:
        """Accept no more."""
        if self._timer is not None:
            self._timer.cancel()
        self.server.loop.remove_reader(self._sock)
        self._sock.close()

    def warn_rate_limited(self, message: str, *args: object) -> None:
        """Log a warning at most once a minute: clients can cause it at will."""
        now_s = self.server.loop.time()
        if now_s >= self._warned_until_s.get(message, 0.0):
            self._warned_until_s[message] = now_s + _WARN_EVERY_S
            _log.warning(message, *args)

    def _accept(self) -> None:
        for _ in range(MAX_PER_ITERATION):
            try:
                sock, name = self._sock.accept()
            except OSError as error:
                if error.errno in _LOST_BEFORE_ACCEPT:
                    continue
                if error.errno not in _NONE_WAITING:
                    self._pause(error)
                return
            peer = peer_at(sock.family, name)
            if peer is None:
                sock.close()
            else:
                sock.setblocking(False)
                PendingConnection(self, sock, peer).start()

    def _pause(self, error: OSError) -> None:
        """Stop accepting for a moment: the socket stays readable, so the loop would spin."""
        self.warn_rate_limited("no connection can be accepted: %s", error.strerror)
        self.server.loop.remove_reader(self._sock)
        self._timer = self.server.loop.call_later(_PAUSE_S, self._resume)

    def _resume(self) -> None:
        self._timer = None
        self.server.loop.add_reader(self._sock, self._accept)


class PendingConnection:
    """An accepted connection before its first byte of HTTP."""

    serving: ServingConfig | None = None
    """Always None: no request is under way."""

    def __init__(self, acceptor: Acceptor, sock: socket.socket, peer: Client) -> None:
        self.peer = peer
        self._acceptor = acceptor
        self._server = acceptor.server
        self._sock = sock
        self._deadline_s = inf
        self._read = b""
        self._has_room = True
        self._is_reading = False
        self._is_done = False
        self._task: asyncio.Task[None] | None = None
        self._context: ssl.SSLContext | None = None
        """Of its handshake."""

    def start(self) -> None:
        """Count the connection, then read its PROXY header if there has to be one."""
        server = self._server
        self._deadline_s = server.loop.time() + server.limits.head_s
        if not server.reserve(self):
            self._close("refused")
        elif not self._acceptor.options.has_proxy_header:
            self._start_protocol()
        elif is_trusted(self.peer.address, server.serving.trusted_proxies):
            self._read_header()
        else:
            # Accepted under its own address, it would bypass the load balancer; and a balancer
            # missing in trusted_proxies would turn all of its clients into one.
            self._acceptor.warn_rate_limited(
                "connection closed: %s is not in trusted_proxies", self.peer.text
            )
            self._close("failed")

    # --- the PROXY header ----------------------------------------------------------------------

    def _read_header(self) -> None:
        """Read exactly the header from the socket: what follows may be for TLS."""
        header: ProxyHeader | None = None
        try:
            while header is None:
                data = self._sock.recv(proxy_protocol.MAX_BYTES, socket.MSG_PEEK)
                if not data:
                    self._close("failed")
                    return
                header = proxy_protocol.read(self._read + data)
                size = header.size_bytes - len(self._read) if header else len(data)
                self._read += self._sock.recv(size)
        except BlockingIOError:
            self._wait(self._read_header)
        except ValueError:
            self._acceptor.warn_rate_limited(
                "connection closed: no valid PROXY header from %s", self.peer.text
            )
            self._close("failed")
        except OSError:
            self._close("failed")
        else:
            self._stop_reading()
            self._adopt_proxied_peer(header)
            self._start_protocol()

    def _wait(self, then: Callable[[], None]) -> None:
        if not self._is_reading:
            self._is_reading = True
            self._server.loop.add_reader(self._sock, then)

    def _stop_reading(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._server.loop.remove_reader(self._sock)

    def _adopt_proxied_peer(self, header: ProxyHeader) -> None:
        """Adopt the address of the PROXY header, and count the connection for that client."""
        peer = self.peer if header.source is None else client_at(header.source)
        self._server.forget_connection(self)
        self.peer = peer._replace(scheme="https") if header.is_tls else peer
        self._has_room = self._server.reserve(self)

    # --- the handshake -------------------------------------------------------------------------

    def _start_protocol(self) -> None:
        if self._acceptor.options.tls is None:
            self._start_client()
        elif self._has_room:
            self._wait_for_client_hello()
        else:
            self._close("refused")  # a TLS handshake only to answer 503 is too expensive

    def _wait_for_client_hello(self) -> None:
        """Start TLS after the first byte: until then a connection takes a tenth of the memory."""
        try:
            first = self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            self._wait(self._wait_for_client_hello)
            return
        except OSError:
            first = b""
        self._stop_reading()
        if first == _HANDSHAKE:
            self._start_client()
        else:
            if first.isalpha():
                self._answer_plain_http()
            self._close("failed")

    def _answer_plain_http(self) -> None:
        """Answer a browser that was sent to ``http://`` on this port."""
        with suppress(OSError):
            self._sock.recv(_READ_BYTES)  # unread bytes would reset the connection
            self._sock.send(_NOT_PLAIN)

    def _start_client(self) -> None:
        self._task = self._server.loop.create_task(self._make_client())
        self._task.add_done_callback(self._client_made)

    async def _make_client(self) -> None:
        options, loop = self._acceptor.options, self._server.loop
        make = partial(self._acceptor.make, self)
        if options.tls is None:
            await loop.connect_accepted_socket(make, self._sock)
            return
        self._context = options.tls.begin()
        await loop.connect_accepted_socket(
            make,
            self._sock,
            ssl=self._context,
            ssl_handshake_timeout=self._server.limits.head_s,
            ssl_shutdown_timeout=max(TLS_SHUTDOWN_S, self._server.limits.body_idle_s),
        )

    def _client_made(self, task: asyncio.Task[None]) -> None:
        self._task = None
        error = None if task.cancelled() else task.exception()
        if isinstance(error, UnreadableCertificateError):
            self._acceptor.warn_rate_limited(
                "connection closed: the client certificate of %s has a name that is not UTF-8",
                self.peer.text,
            )
        elif error is not None and not isinstance(error, OSError):
            _log.error("accepting a connection failed", exc_info=error)
        if error is not None:
            forget_frames(error)
        if not self._is_done:
            self._close("failed")

    def hand_over(self) -> Client:
        """Release its place, which the client's connection takes; return the client."""
        self._is_done = True
        self._server.forget_connection(self)
        tls = self._acceptor.options.tls
        if tls is not None and self._context is not None:
            tls.done(self._context)
            return self.peer._replace(scheme="https")
        return self.peer

    # --- ends ----------------------------------------------------------------------------------

    def check_deadline(self, now_s: float) -> None:
        """Close a connection that is too slow."""
        if now_s >= self._deadline_s:
            self.abort()

    def close_when_idle(self) -> None:
        """Do nothing: a client that is about to send its request may do so."""

    def abort(self) -> None:
        """Close at once."""
        if self._task is not None:
            self._task.cancel()
        else:
            self._close("failed")

    def _close(self, outcome: ConnectionOutcome) -> None:
        self._is_done = True
        self._stop_reading()
        self._server.counters.add(CONNECTIONS, outcome)
        self._server.forget_connection(self)
        self._sock.close()

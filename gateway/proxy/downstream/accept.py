"""
Connections that are not a client's yet: they owe a PROXY header, or a TLS handshake.

Each takes a place from its beginning, and has as long for both as a client has for the head of a
request: whoever connects and says nothing costs no more than any slow client.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf
from typing import NamedTuple

from gateway.core.request import Client
from gateway.proxy.downstream import proxy_protocol
from gateway.proxy.downstream.accepted import AcceptedConnection, peer_at
from gateway.proxy.downstream.proxy_protocol import ProxyHeader
from gateway.proxy.downstream.server import ProxyServer, ServingConfig
from gateway.proxy.downstream.tls import ServerTls
from gateway.proxy.http1.close import TLS_SHUTDOWN_S
from gateway.routing.client_address import client_at, is_trusted
from gateway.telemetry.metrics import CONNECTIONS, ConnectionOutcome

_log = logging.getLogger(__name__)

_AT_ONCE = 64
"""Connections that are accepted in one turn of the loop."""

_PAUSE_S = 0.2
"""How long nothing is accepted when the process has no descriptor left."""

_COMPLAIN_EVERY_S = 60.0

_HANDSHAKE = b"\x16"
"""The first byte of every ClientHello (RFC 8446 section 5.1)."""

_READ_BYTES = 1 << 16
_NOT_PLAIN = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

_NOTHING_THERE = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR}
_GONE = {
    # accept(2) hands on what has happened to the connection meanwhile.
    *(errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN, errno.ENOPROTOOPT),
    *(errno.EHOSTDOWN, errno.ENONET, errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH),
}

MakeConnection = Callable[[AcceptedConnection], asyncio.BaseProtocol]
"""Makes a client's connection of one that has come in."""


class ListenerOptions(NamedTuple):
    """What is asked of those who come in."""

    tls: ServerTls | None = None
    says_who: bool = False
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
        self._complaints: dict[str, float] = {}
        server.loop.add_reader(sock, self._accept)

    def close(self) -> None:
        """Accept no more."""
        if self._timer is not None:
            self._timer.cancel()
        self.server.loop.remove_reader(self._sock)
        self._sock.close()

    def warn_rate_limited(self, message: str, *args: object) -> None:
        """Say in the log what an operator should know, once a minute: clients can cause it."""
        now_s = self.server.loop.time()
        if now_s >= self._complaints.get(message, 0.0):
            self._complaints[message] = now_s + _COMPLAIN_EVERY_S
            _log.warning(message, *args)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, name = self._sock.accept()
            except OSError as error:
                if error.errno in _GONE:
                    continue
                if error.errno not in _NOTHING_THERE:
                    self._pause(error)
                return
            peer = peer_at(sock.family, name)
            if peer is None:
                sock.close()
            else:
                sock.setblocking(False)
                PendingConnection(self, sock, peer).begin()

    def _pause(self, error: OSError) -> None:
        """Without descriptors the socket stays readable: to look again at once would spin."""
        self.warn_rate_limited("no connection can be accepted: %s", error.strerror)
        self.server.loop.remove_reader(self._sock)
        self._timer = self.server.loop.call_later(_PAUSE_S, self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        self.server.loop.add_reader(self._sock, self._accept)


class PendingConnection:
    """One connection on its way in."""

    serving: ServingConfig | None = None
    """No request is under way."""

    def __init__(self, arrivals: Acceptor, sock: socket.socket, peer: Client) -> None:
        self.peer = peer
        self._arrivals = arrivals
        self._server = arrivals.server
        self._sock = sock
        self._deadline_s = inf
        self._read = b""
        self._has_room = True
        self._is_reading = False
        self._has_left = False
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Take a place, and ask for what is owed."""
        server = self._server
        self._deadline_s = server.loop.time() + server.limits.head_s
        if not server.reserve(self):
            self._end("refused")
        elif not self._arrivals.options.says_who:
            self._enter()
        elif is_trusted(self.peer.address, server.serving.trusted_proxies):
            self._read_header()
        else:
            # Were it let in under its own address, it would have gone around the balancer; and a
            # balancer that the config forgot would make one client of all of its clients.
            self._arrivals.warn_rate_limited(
                "closed: %s is none of trusted_proxies", self.peer.text
            )
            self._end("failed")

    # --- the PROXY header ----------------------------------------------------------------------

    def _read_header(self) -> None:
        """Take exactly the header from the socket: what follows may be for TLS."""
        header: ProxyHeader | None = None
        try:
            while header is None:
                data = self._sock.recv(proxy_protocol.MAX_BYTES, socket.MSG_PEEK)
                if not data:
                    self._end("failed")
                    return
                header = proxy_protocol.read(self._read + data)
                size = header.size_bytes - len(self._read) if header else len(data)
                self._read += self._sock.recv(size)
        except BlockingIOError:
            self._wait(self._read_header)
        except ValueError:
            self._arrivals.warn_rate_limited("closed: no PROXY header came from %s", self.peer.text)
            self._end("failed")
        except OSError:
            self._end("failed")
        else:
            self._stop_reading()
            self._adopt_proxied_peer(header)
            self._enter()

    def _wait(self, then: Callable[[], None]) -> None:
        if not self._is_reading:
            self._is_reading = True
            self._server.loop.add_reader(self._sock, then)

    def _stop_reading(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._server.loop.remove_reader(self._sock)

    def _adopt_proxied_peer(self, header: ProxyHeader) -> None:
        """Be who the header says, from now on; its place is counted as that client's."""
        peer = self.peer if header.source is None else client_at(header.source)
        self._server.forget_connection(self)
        self.peer = peer._replace(scheme="https") if header.is_tls else peer
        self._has_room = self._server.reserve(self)

    # --- the handshake -------------------------------------------------------------------------

    def _enter(self) -> None:
        if self._arrivals.options.tls is None:
            self._begin_client()
        elif self._has_room:
            self._await_hello()
        else:
            self._end("refused")  # a handshake costs more than it is worth to say 503

    def _await_hello(self) -> None:
        """Begin with TLS when the client does: until then it costs a tenth of the memory."""
        try:
            first = self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            self._wait(self._await_hello)
            return
        except OSError:
            first = b""
        self._stop_reading()
        if first == _HANDSHAKE:
            self._begin_client()
        else:
            if first.isalpha():
                self._answer_plain_http()
            self._end("failed")

    def _answer_plain_http(self) -> None:
        """Say something to a browser that was told http:// and this port."""
        with suppress(OSError):
            self._sock.recv(_READ_BYTES)  # what is left unread would reset the connection
            self._sock.send(_NOT_PLAIN)

    def _begin_client(self) -> None:
        self._task = self._server.loop.create_task(self._hand_over())
        self._task.add_done_callback(self._handed_over)

    async def _hand_over(self) -> None:
        options, loop = self._arrivals.options, self._server.loop
        make = partial(self._arrivals.make, self)
        if options.tls is None:
            await loop.connect_accepted_socket(make, self._sock)
            return
        await loop.connect_accepted_socket(
            make,
            self._sock,
            ssl=options.tls.context,
            ssl_handshake_timeout=self._server.limits.head_s,
            ssl_shutdown_timeout=max(TLS_SHUTDOWN_S, self._server.limits.body_idle_s),
        )

    def _handed_over(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, OSError):
            _log.error("a connection failed on its way in", exc_info=error)
        if not self._has_left:
            self._end("failed")

    def hand_over(self) -> Client:
        """The client's connection takes its own place now; who is at its other end."""
        self._has_left = True
        self._server.forget_connection(self)
        if self._arrivals.options.tls is not None:
            return self.peer._replace(scheme="https")
        return self.peer

    # --- ends ----------------------------------------------------------------------------------

    def check_deadline(self, now_s: float) -> None:
        """Give up whoever is slow."""
        if now_s >= self._deadline_s:
            self.abort()

    def close_when_idle(self) -> None:
        """Drain: a client that is about to send its request may do so."""

    def abort(self) -> None:
        """Close at once."""
        if self._task is not None:
            self._task.cancel()
        else:
            self._end("failed")

    def _end(self, outcome: ConnectionOutcome) -> None:
        self._has_left = True
        self._stop_reading()
        self._server.counters.add(CONNECTIONS, outcome)
        self._server.forget_connection(self)
        self._sock.close()

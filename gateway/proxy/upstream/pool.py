"""
The connection pool of one server.

A connection is used again only if both bodies ended cleanly and no further bytes arrived on it:
they would become the next caller's answer (CVE-2026-71324).
"""

import asyncio
import errno
from collections import deque
from collections.abc import Awaitable, Callable, Container
from contextlib import suppress

from gateway.core.errors import UpstreamBusy, UpstreamTimeout, UpstreamUnreachable
from gateway.proxy.http1.write_batch import WriteBatcher
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.util.deadlines import Deadlines

Connect = Callable[[Callable[[], UpstreamConnection]], Awaitable[UpstreamConnection]]
"""Opens a connection; the argument makes its protocol. Raises `OSError`."""

_LOCAL_SHORTAGE = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
)
"""The gateway has no descriptor, memory or port left: not the server's fault."""

_IDLE_S = 60.0
_FRESH_S = 1.0
"""
How long a connection may be idle to serve a request that must not be sent twice: apps close idle
connections after 5 s (Node, uvicorn) or more, and a request that meets the close is lost.
"""


class UpstreamPool:
    """Keeps the connections to one server."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connect: Connect,
        deadlines: Deadlines,
        write_batcher: WriteBatcher,
        max_connections: int,
    ) -> None:
        self._loop = loop
        self._connect = connect
        self._deadlines = deadlines
        self._write_batcher = write_batcher
        self._max_connections = max_connections
        self._idle: deque[UpstreamConnection] = deque()
        self._count = 0
        """Connections that exist or are being made."""
        self._queue: deque[asyncio.Future[None]] = deque()
        self._open: set[UpstreamConnection] = set()
        self._keeps = True

    def take_idle(self, *, may_repeat: bool) -> UpstreamConnection | None:
        """Return the connection that was used last, if it is usable for the request."""
        now_s = self._loop.time()
        max_age_s = _IDLE_S if may_repeat else _FRESH_S
        while self._idle:
            connection = self._idle[-1]
            if now_s - connection.idle_since_s > max_age_s:
                break
            self._idle.pop()
            if connection.transport is not None and not connection.transport.is_closing():
                return connection
        self._close_stale(now_s)
        return None

    async def open(self, within_s: float) -> UpstreamConnection:
        """
        Open a connection as soon as the pool has room for it.

        Waiting for room, and connecting, may each take ``within_s`` seconds. Raises
        `UpstreamUnreachable`, `UpstreamTimeout`, or `UpstreamBusy` if there was no room in time.
        """
        await self._reserve(within_s)
        try:
            async with asyncio.timeout(within_s):
                connection = await self._connect(self.make)
        except TimeoutError as error:
            self._unreserve()
            raise UpstreamTimeout("connect") from error
        except OSError as error:
            self._unreserve()
            if error.errno in _LOCAL_SHORTAGE:
                raise UpstreamBusy(f"connect: {error.strerror}") from error
            raise UpstreamUnreachable(type(error).__name__) from error
        except BaseException:
            self._unreserve()
            raise
        if connection.transport is None:
            self._unreserve()
            raise UpstreamUnreachable("closed at once")
        self._open.add(connection)
        return connection

    def give_back(self, connection: UpstreamConnection) -> None:
        """End an exchange: keep the connection if it is clean, else close it."""
        if connection.finish() and self._keeps:
            connection.idle_since_s = self._loop.time()
            self._idle.append(connection)
            if self._queue:  # a request waits for room: closing an idle connection makes some
                self._idle.popleft().abort()
        else:
            connection.abort()

    def detach(self, connection: UpstreamConnection) -> None:
        """Remove a connection that became a tunnel: it makes room for another."""
        self._lost(connection)

    def retire(self) -> None:
        """Close idle connections, now and later; those in use finish their exchange."""
        self._keeps = False
        while self._idle:
            self._idle.popleft().abort()

    def usage(self) -> tuple[int, int]:
        """Return the numbers of idle and of busy connections."""
        return len(self._idle), len(self._open) - len(self._idle)

    def close_addresses(self, addresses: Container[str]) -> None:
        """Stop using connections to ``addresses``; those in use finish their exchange."""
        for connection in tuple(self._open):
            transport = connection.transport
            peer = transport.get_extra_info("peername") if transport is not None else None
            if peer and peer[0] in addresses:
                connection.abort() if connection in self._idle else connection.mark_unusable()

    def close(self) -> None:
        """Close every connection."""
        for connection in tuple(self._open):
            connection.abort()

    def make(self) -> UpstreamConnection:
        """Make the protocol of a connection; the pool counts it once `open` returns it."""
        return UpstreamConnection(self._loop, self._deadlines, self._write_batcher, self._lost)

    def _lost(self, connection: UpstreamConnection) -> None:
        if connection not in self._open:
            return  # `open` has not returned it, and gives the room back itself
        self._open.discard(connection)
        with suppress(ValueError):  # not idle
            self._idle.remove(connection)
        self._unreserve()

    async def _reserve(self, within_s: float) -> None:
        if self._count < self._max_connections:
            self._count += 1
            return
        if self._idle:  # too old for this request: make room by closing the oldest
            self._idle.popleft().abort()
        turn = self._loop.create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(within_s):
                await turn
        except TimeoutError as error:
            self._leave_queue(turn)
            raise UpstreamBusy("no free connection") from error
        except asyncio.CancelledError:
            self._leave_queue(turn)
            raise

    def _leave_queue(self, turn: asyncio.Future[None]) -> None:
        if turn.cancelled():
            with suppress(ValueError):  # a lost connection has just removed it
                self._queue.remove(turn)
        else:  # it got the room just before it left
            self._unreserve()

    def _unreserve(self) -> None:
        """Give the room of a lost connection to the first request that waits, if any."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._count -= 1

    def _close_stale(self, now_s: float) -> None:
        while self._idle and now_s - self._idle[0].idle_since_s > _IDLE_S:
            self._idle.popleft().abort()

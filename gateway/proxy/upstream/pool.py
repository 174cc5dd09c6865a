"""
The connection pool of one server.

A connection is used again only if both bodies ended cleanly and no further bytes arrived on it:
they would become the next caller's answer (CVE-2026-71324). After an answer without a body it rests
first, or is closed: some apps send a body all the same, and a little later.
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

_REST_S = 0.05
"""
How long a connection rests after a 204 or 304: an app that sends a body with one sends it right
behind the head, and these bytes close the connection.
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
        on_stray: Callable[[], object] | None = None,
    ) -> None:
        """``on_stray`` counts connections on which bytes came that belong to no answer."""
        self._loop = loop
        self._connect = connect
        self._deadlines = deadlines
        self._write_batcher = write_batcher
        self._max_connections = max_connections
        self._on_stray = on_stray
        self._idle: deque[UpstreamConnection] = deque()
        self._resting: deque[UpstreamConnection] = deque()
        """Idle connections that may not be used yet."""
        self._sends_unasked_bodies = False
        """Whether the server once sent a body with an answer that has none."""
        self._count = 0
        """Connections that exist or are being made."""
        self._queue: deque[asyncio.Future[None]] = deque()
        self._open: set[UpstreamConnection] = set()
        self._keeps = True

    def take_idle(self, *, may_repeat: bool) -> UpstreamConnection | None:
        """Return the connection that was used last, if it is usable for the request."""
        now_s = self._loop.time()
        if self._resting:
            self._end_rests(now_s)
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
        if not (connection.finish() and self._keeps):
            connection.abort()
            return
        connection.idle_since_s = self._loop.time()
        if not connection.lacks_body:
            self._idle.append(connection)
        elif self._sends_unasked_bodies:
            connection.abort()
            return
        else:
            self._resting.append(connection)
        if self._queue:  # a request waits for room: closing an idle connection makes some
            self._close_oldest()

    def detach(self, connection: UpstreamConnection) -> None:
        """Remove a connection that became a tunnel: it makes room for another."""
        self._lost(connection)

    def retire(self) -> None:
        """Close idle connections, now and later; those in use finish their exchange."""
        self._keeps = False
        while self._close_oldest():
            pass

    def usage(self) -> tuple[int, int]:
        """Return the numbers of idle and of busy connections."""
        idle = len(self._idle) + len(self._resting)
        return idle, len(self._open) - idle

    def close_addresses(self, addresses: Container[str]) -> None:
        """Stop using connections to ``addresses``; those in use finish their exchange."""
        for connection in tuple(self._open):
            transport = connection.transport
            peer = transport.get_extra_info("peername") if transport is not None else None
            if peer and peer[0] in addresses:
                is_idle = connection in self._idle or connection in self._resting
                connection.abort() if is_idle else connection.mark_unusable()

    def close(self) -> None:
        """Close every connection."""
        for connection in tuple(self._open):
            connection.abort()

    def make(self) -> UpstreamConnection:
        """Make the protocol of a connection; the pool counts it once `open` returns it."""
        return UpstreamConnection(
            self._loop, self._deadlines, self._write_batcher, self._lost, self._strayed
        )

    def _strayed(self, connection: UpstreamConnection) -> None:
        """Note that bytes came on ``connection`` that belong to no answer."""
        if connection.lacks_body:
            self._sends_unasked_bodies = True
            for other in (*self._idle, *self._resting):
                if other.lacks_body:
                    other.abort()
        if self._on_stray is not None:
            self._on_stray()

    def _lost(self, connection: UpstreamConnection) -> None:
        if connection not in self._open:
            return  # `open` has not returned it, and gives the room back itself
        self._open.discard(connection)
        for idle in (self._idle, self._resting):
            with suppress(ValueError):  # it is not among them
                idle.remove(connection)
        self._unreserve()

    async def _reserve(self, within_s: float) -> None:
        if self._count < self._max_connections:
            self._count += 1
            return
        self._close_oldest()  # an idle one is too old for this request, or rests
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

    def _close_oldest(self) -> bool:
        """Close the connection that is idle the longest; return whether there was one."""
        idle = self._idle or self._resting
        if idle:
            idle.popleft().abort()
            return True
        return False

    def _end_rests(self, now_s: float) -> None:
        while self._resting and now_s - self._resting[0].idle_since_s >= _REST_S:
            self._idle.append(self._resting.popleft())

    def _close_stale(self, now_s: float) -> None:
        while self._idle and now_s - self._idle[0].idle_since_s > _IDLE_S:
            self._idle.popleft().abort()

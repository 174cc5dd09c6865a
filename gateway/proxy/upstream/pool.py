"""
The connection pool of one server.

A connection is used again only if both bodies ended cleanly and no further bytes arrived on it:
they would become the next caller's answer (CVE-2026-71324). After an answer without a body it rests
first, or is closed: some apps send a body all the same, and a little later.

No client takes the last quarter of the connections from all others; see `fair_share`.
"""

import asyncio
import errno
from collections import deque
from collections.abc import Awaitable, Callable, Container
from contextlib import suppress
from typing import NamedTuple

from gateway.core.errors import UpstreamBusy, UpstreamTimeout, UpstreamUnreachable
from gateway.core.reasons import BusyReason
from gateway.proxy.http1.write_batch import WriteBatcher
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.fair_share import FairQueue, may_hold, share_of
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


async def connected(connect: Connect, make: Callable[[], UpstreamConnection]) -> UpstreamConnection:
    """
    Connect; if that fails, or is cancelled, the connection that was made is given up.

    uvloop closes its transport then without telling it: its deadline would be looked at for ever.
    """
    made: list[UpstreamConnection] = []

    def make_one() -> UpstreamConnection:
        made.append(make())
        return made[-1]

    try:
        return await connect(make_one)
    except BaseException:
        for connection in made:
            connection.connection_lost(None)
        raise


class _Turn(NamedTuple):
    """A request that waits for a connection."""

    granted: asyncio.Future[UpstreamConnection | None]
    """Gets an idle connection, or None for room to open one."""
    may_repeat: bool
    needs_new: bool


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
        self.deadlines = deadlines
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
        self._share = share_of(max_connections)
        self._calm_count = max_connections - self._share - 1
        """With so many connections or fewer, no share is exceeded, by any client."""
        self._held: dict[str, int] = {}
        """How many connections each client holds; those that are being opened count, too."""
        self._waiting: FairQueue[_Turn] = FairQueue()
        self._open: set[UpstreamConnection] = set()
        self._keeps = True

    def take_idle(self, client: str, *, may_repeat: bool) -> UpstreamConnection | None:
        """
        Return the connection that was used last, if it is usable for a request of ``client``.

        The client holds it until it is given back.
        """
        if self._count > self._calm_count and not self._may_hold(client):
            return None
        now_s = self._loop.time()
        max_age_s = _IDLE_S if may_repeat else _FRESH_S
        if self._resting:
            self._end_rests(now_s)
        while self._idle:
            connection = self._idle[-1]
            if now_s - connection.idle_since_s > max_age_s:
                break
            self._idle.pop()
            if connection.transport is not None and not connection.transport.is_closing():
                held = self._held  # as in `_hold`, without the call
                held[client] = held.get(client, 0) + 1
                connection.holder = client
                return connection
        self._close_stale(now_s)
        return None

    async def open(
        self, client: str, within_s: float, *, may_repeat: bool = False, needs_new: bool = True
    ) -> UpstreamConnection:
        """
        Open a connection for ``client`` as soon as the pool has room for it.

        Unless it ``needs_new``, one that was given back meanwhile will do. Waiting for room, and
        connecting, may each take ``within_s`` seconds. Raises `UpstreamUnreachable`,
        `UpstreamTimeout`, or `UpstreamBusy` if there was no room in time.
        """
        turn = _Turn(self._loop.create_future(), may_repeat, needs_new)
        kept = await self._reserve(client, turn, within_s)
        if kept is not None:
            return kept
        try:
            async with asyncio.timeout(within_s):
                connection = await connected(self._connect, self.make)
        except TimeoutError as error:
            self._unreserve(client)
            raise UpstreamTimeout("connect") from error
        except OSError as error:
            self._unreserve(client)
            if error.errno in _LOCAL_SHORTAGE:
                raise UpstreamBusy(f"connect: {error.strerror}") from error
            raise UpstreamUnreachable(type(error).__name__) from error
        except BaseException:
            self._unreserve(client)
            raise
        if connection.transport is None:
            self._unreserve(client)
            raise UpstreamUnreachable("closed at once")
        self._open.add(connection)
        connection.holder = client
        return connection

    def give_back(self, connection: UpstreamConnection) -> None:
        """End an exchange: keep the connection if it is clean, else close it."""
        client = connection.holder
        if client is not None:
            connection.holder = None
            held = self._held
            if (left := held[client] - 1) > 0:
                held[client] = left
            else:
                del held[client]
        if not (connection.finish() and self._keeps):
            connection.abort()
        elif connection.lacks_body:
            self._let_rest(connection)
        else:
            connection.idle_since_s = self._loop.time()
            self._idle.append(connection)
        if self._waiting.lines:
            self._serve_waiting()

    def _let_rest(self, connection: UpstreamConnection) -> None:
        if self._sends_unasked_bodies:
            connection.abort()
            return
        connection.idle_since_s = self._loop.time()
        self._resting.append(connection)

    def detach(self, connection: UpstreamConnection) -> None:
        """Remove a connection that became a tunnel: it makes room for another."""
        self._release(connection.holder)
        connection.holder = None
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

    def clients(self) -> int:
        """Return the number of clients that hold a connection."""
        return len(self._held)

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
            self._loop, self.deadlines, self._write_batcher, self._lost, self._strayed
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
        self._count -= 1
        self._serve_waiting()

    async def _reserve(
        self, client: str, turn: _Turn, within_s: float
    ) -> UpstreamConnection | None:
        """Wait for room to open a connection, and return None; or return an idle connection."""
        is_allowed = self._may_hold(client)
        if is_allowed and self._count < self._max_connections:
            self._count += 1
            self._hold(client)
            return None
        if is_allowed:
            self._close_oldest()  # an idle one is too old for this request, or rests
        self._waiting.append(client, turn)
        try:
            async with asyncio.timeout(within_s):
                connection = await turn.granted
        except TimeoutError as error:
            self._leave_queue(client, turn)
            is_over = self._share and not self._may_hold(client)
            reason = BusyReason.CLIENT_SHARE if is_over else "no free connection"
            raise UpstreamBusy(reason) from error
        except asyncio.CancelledError:
            self._leave_queue(client, turn)
            raise
        if connection is not None and connection.transport is None:  # it closed just now
            self._release(client)
            again = _Turn(self._loop.create_future(), turn.may_repeat, needs_new=True)
            return await self._reserve(client, again, within_s)
        return connection

    def _hold(self, client: str) -> None:
        self._held[client] = self._held.get(client, 0) + 1

    def _release(self, client: str | None) -> None:
        """Count one less; `give_back` does the same without a call, which is 0.1 µs a request."""
        if client is None:
            return
        if self._held[client] > 1:
            self._held[client] -= 1
        else:
            del self._held[client]

    def _may_hold(self, client: str) -> bool:
        busy = self._count - len(self._idle) - len(self._resting)
        return may_hold(self._held.get(client, 0), busy, self._max_connections)

    def _leave_queue(self, client: str, turn: _Turn) -> None:
        granted = turn.granted
        if granted.cancelled():
            self._waiting.remove(client, turn)
        elif (connection := granted.result()) is not None:
            self.give_back(connection)
        else:  # it got the room just before it left
            self._unreserve(client)

    def _serve_waiting(self) -> None:
        """Give idle connections, and room for new ones, to the requests that may have them."""
        while (waiting := self._waiting.first(self._may_hold)) is not None:
            client, turn = waiting
            if turn.granted.done():  # it has given up, and is about to leave
                self._waiting.remove(client, turn)
                continue
            connection = None
            if not turn.needs_new:
                connection = self.take_idle(client, may_repeat=turn.may_repeat)
            if connection is None:
                if self._count >= self._max_connections:
                    self._close_oldest()  # its room comes when it is lost
                    return
                self._count += 1
                self._hold(client)
            self._waiting.remove(client, turn)
            turn.granted.set_result(connection)

    def _unreserve(self, client: str) -> None:
        """Give the room of a connection that was not made to another request."""
        self._release(client)
        self._count -= 1
        self._serve_waiting()

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

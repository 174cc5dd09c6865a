"""Connections to the store, and one exchange on one of them."""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import Any

from redis.asyncio import Connection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError

from gateway.store.batch import WrongReply
from gateway.store.packing import Command, pack
from gateway.store.wire import Wire

_UNCHECKED_S = 1.0
"""How long after a good reply a connection is used again without a check."""

_PING = b"*1\r\n$4\r\nPING\r\n"

_ECHO = b"*2\r\n$4\r\nECHO\r\n$28\r\n"
"""The command up to its argument: 16 characters for the process, 12 for the exchange."""

_RECONNECT_EVERY_S = 1.0
"""Least time between two reconnections because the server is read-only."""


@dataclass(slots=True)
class Line:
    """A connection of redis-py, and what has taken its place, if anything has."""

    connection: Connection
    wire: Wire | None = None
    used_at_s: float = -inf
    """When the last good exchange ended."""

    def is_ready(self, now_s: float) -> bool:
        """Whether an exchange may begin on its wire without a check."""
        wire = self.wire
        return wire is not None and wire.is_open and now_s - self.used_at_s <= _UNCHECKED_S

    async def ask(self, packed: bytes, expected: int) -> list[Any]:
        """Send, and return the replies; an error reply is an exception there."""
        if self.wire is not None:
            return await self.wire.replies(packed, expected)
        await self.connection.send_packed_command(packed)
        replies: list[Any] = []
        for _ in range(expected):
            try:
                replies.append(await self.connection.read_response())
            except ResponseError as error:
                replies.append(error)
        return replies

    async def is_alive(self, now_s: float) -> bool:
        """Whether its wire is open, once what the server has sent meanwhile is read."""
        if self.wire is None:
            return False
        for _ in range(2):
            await asyncio.sleep(0)
        is_idle = 0 < self.connection.health_check_interval < now_s - self.used_at_s
        try:
            return self.wire.is_open and (not is_idle or await self.ask(_PING, 1) == [b"PONG"])
        except RedisConnectionError:
            return False

    async def close(self) -> None:
        """Close the connection, and end the exchange on it."""
        if self.wire is not None:
            self.wire.cancel()
            self.wire = None
        await self.connection.disconnect(nowait=True)


class Lines:
    """
    The lines of a store that are idle; an exchange takes one away until it ends.

    The last command of each exchange is an ECHO of a number that is used once. Where another reply
    is in its place, the replies are out of step.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self.idle: list[Line] = []
        self._process = secrets.token_hex(8).encode()
        self._numbers = count()
        """With the process, makes what is echoed: different from that of any other exchange."""
        self._reconnected_at_s = -inf
        """When a connection was last closed because its server is read-only."""

    def take_ready(self, now_s: float) -> Line | None:
        """Take a line that worked a moment ago, on whose wire an exchange may begin at once."""
        idle = self.idle
        return idle.pop() if idle and idle[-1].is_ready(now_s) else None

    def packed(self, commands: list[Command]) -> tuple[bytes, bytes]:
        """Return ``commands`` and an ECHO as bytes, and what it echoes."""
        echoed = b"%b%012x" % (self._process, next(self._numbers))
        return b"".join([*map(pack, commands), _ECHO, echoed, b"\r\n"]), echoed

    async def execute(
        self, commands: list[Command], check: Callable[[list[Any]], bool]
    ) -> list[Any]:
        """
        Send all commands, then read all replies, on a line that is checked where that is due.

        A connection on which either is interrupted, or whose replies do not pass ``check``, is
        closed, so that no reply is left for the next caller.
        """
        line = self.idle.pop() if self.idle else Line(await self._connection())
        try:
            await self._ensure(line, time.monotonic())
            packed, echoed = self.packed(commands)
            replies = await line.ask(packed, len(commands) + 1)
            check_replies(replies, echoed, check)
            line.used_at_s = time.monotonic()
            if self.must_reconnect(replies):
                await line.close()
        except BaseException:
            await line.close()
            raise
        finally:
            self.idle.append(line)
        return replies

    async def _ensure(self, line: Line, now_s: float) -> None:
        """
        Open ``line`` where it is not, and check one that has not worked a moment ago.

        ``ensure_connection`` opens a connection, and also replaces one that the server has closed
        or that has unread data.
        """
        if line.is_ready(now_s) or await line.is_alive(now_s):
            return
        if line.wire is not None:
            await line.close()
        await self._pool.ensure_connection(line.connection)
        line.wire = Wire.adopt(line.connection)

    def must_reconnect(self, replies: list[Any]) -> bool:
        """
        Whether the server has replied that it is read-only: at most once a second.

        After a failover, an address may lead to another server. Connections that are open stay with
        the old one for as long as it runs, and would read outdated values from it.
        """
        if not any(isinstance(reply, ReadOnlyError) for reply in replies):
            return False
        now_s = time.monotonic()
        if now_s - self._reconnected_at_s < _RECONNECT_EVERY_S:
            return False
        self._reconnected_at_s = now_s
        return True

    async def _connection(self) -> Connection:
        connection: Connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        return connection


def check_replies(replies: list[Any], echoed: bytes, check: Callable[[list[Any]], bool]) -> bool:
    """Take away the last of ``replies``, which must be ``echoed``, and ``check`` the others."""
    last = replies.pop()
    if last != echoed:
        raise last if isinstance(last, Exception) else WrongReply("out of step")
    return check(replies)

"""Connections to the store, and one exchange on one of them."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from math import inf
from random import random
from typing import Any, NamedTuple

from redis.asyncio import Connection, ConnectionPool
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.store.batch import WrongReply
from gateway.store.connect import NotConnected, cause_of
from gateway.store.packing import Command, pack
from gateway.store.wire import Wire
from gateway.util.backoff import jittered_s

_UNCHECKED_S = 1.0
"""How long after a good reply a connection is used again without a check."""

_PING = b"*1\r\n$4\r\nPING\r\n"

_ECHO = b"*2\r\n$4\r\nECHO\r\n$28\r\n"
"""The command up to its argument: 16 characters for the process, 12 for the exchange."""

_RECONNECT_EVERY_S = 1.0
"""Least time between two reconnections because the server is read-only."""

_REPLACE_EVERY_S = 5.0
"""Least time between two trials to replace the connections."""

_REFUSED = (AuthenticationError, AuthorizationError)
"""What another trial a moment later does not change."""

_log = logging.getLogger(__name__)


class ServerBusy(Exception):
    """The server refuses all commands while a script of another program runs (BUSY)."""


class LineOptions(NamedTuple):
    """How connections are opened."""

    connect_timeout_s: float = 1.0
    """For all of it: address, TLS, login. It goes on when the batch that waits for it is over."""
    retries: int = 2
    """Further trials to connect, within that time; those of reads are as many."""
    changes: Callable[[float], int] | None = None
    """
    Returns another number where a new connection would lead elsewhere, or have other credentials.

    Its argument is the time in seconds, by the monotonic clock.
    """


DEFAULTS = LineOptions()


@dataclass(slots=True)
class Line:
    """A connection of redis-py, and what has taken its place, if anything has."""

    home: "Lines"
    """Where it goes when its exchange ends."""
    connection: Connection
    wire: Wire | None = None
    used_at_s: float = -inf
    """When the last good exchange ended."""
    generation: int = 0
    """See `Lines.generation`."""
    opening: asyncio.Task[None] | None = None
    """What opens the connection; the batch that waits for it may be over before."""

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

    def __init__(
        self,
        pool: ConnectionPool,
        options: LineOptions = DEFAULTS,
        close: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """``close`` closes the pool."""
        self._pool = pool
        self._options = options
        self._close = close or pool.disconnect
        self.idle: list[Line] = []
        self.generation = 0
        """Lines of another one are opened again: their server or credentials are outdated."""
        self._process = secrets.token_hex(8).encode()
        self._numbers = count()
        """With the process, makes what is echoed: different from that of any other exchange."""
        self._reconnected_at_s = -inf
        """When a connection was last closed because its server is read-only."""
        self._changes = 0
        """What ``changes`` of the options said when the lines were last replaced."""
        self._tried_at_s = -inf
        """When that was last tried."""
        self._tasks: set[asyncio.Task[None]] = set()

    def take_ready(self, now_s: float) -> Line | None:
        """Take a line that worked a moment ago, on whose wire an exchange may begin at once."""
        if self._options.changes is not None:
            self._follow(self._options.changes(now_s), now_s)
        idle = self.idle
        if not idle or idle[-1].generation != self.generation or not idle[-1].is_ready(now_s):
            return None
        return idle.pop()

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
        line = self.idle.pop() if self.idle else Line(self, self._connection())
        try:
            await self._ensure(line, time.monotonic())
            packed, echoed = self.packed(commands)
            replies = await line.ask(packed, len(commands) + 1)
            check_replies(replies, echoed, check)
            line.used_at_s = time.monotonic()
            if self.must_reconnect(replies):
                await line.close()
        except BaseException:
            if line.opening is None:
                await line.close()
            raise
        finally:
            self.idle.append(line)
        return replies

    async def read(
        self, commands: list[Command], check: Callable[[list[Any]], bool], trial: int
    ) -> list[Any]:
        """Like `execute`, again where the connection breaks: for commands that only read."""
        while True:
            try:
                return await self.execute(commands, check)
            except (NotConnected, *_REFUSED):
                raise  # another trial was made where it may help
            except RedisConnectionError:
                if trial >= self._options.retries:
                    raise
            if trial:
                await asyncio.sleep(jittered_s(trial - 1, random()))  # noqa: S311 (no secret)
            trial += 1

    async def aclose(self) -> None:
        """End what is being opened, and close all connections."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._close()

    # --- opening --------------------------------------------------------------------------------

    async def _ensure(self, line: Line, now_s: float) -> None:
        """Open ``line`` where it is not open, and check one that has not worked a moment ago."""
        if line.opening is None:
            is_current = line.generation == self.generation
            if is_current and (line.is_ready(now_s) or await line.is_alive(now_s)):
                return
            if line.wire is not None:
                await line.close()
            line.opening = self._start(self._open(line))
        await asyncio.shield(line.opening)

    async def _open(self, line: Line) -> None:
        """
        Open ``line``, after some trials where need be.

        Raises `NotConnected`, or what says that the server does not let the gateway in.
        """
        timeout_s = self._options.connect_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await self._connect(line.connection)
            line.generation = self.generation
            line.wire = Wire.adopt(line.connection)
            line.used_at_s = time.monotonic()
        except TimeoutError as error:
            await line.close()
            raise NotConnected(f"no connection within {timeout_s * 1000:.0f} ms") from error
        except BaseException:
            await line.close()
            raise
        finally:
            line.opening = None

    async def _connect(self, connection: Connection) -> None:
        """
        Connect: nothing was sent, so that is repeated, writes or not.

        ``ensure_connection`` also replaces a connection that the server has closed or that has
        unread data.
        """
        for trial in count():
            try:
                await self._pool.ensure_connection(connection)
            except _REFUSED:
                raise
            except (RedisError, OSError) as error:
                await connection.disconnect(nowait=True)
                if trial >= self._options.retries:
                    raise NotConnected(str(error)) from error
            else:
                return
            await asyncio.sleep(jittered_s(trial, random()))  # noqa: S311 (no secret)

    def _connection(self) -> Connection:
        connection: Connection = self._pool.get_available_connection()  # type: ignore[no-untyped-call]
        return connection

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have ``work`` done beside the batches, whether or not one waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return task

    # --- servers and credentials that change ----------------------------------------------------

    def _follow(self, changes: int, now_s: float) -> None:
        """Replace the idle lines where something has changed, at most every few seconds."""
        is_due = now_s - self._tried_at_s >= _REPLACE_EVERY_S
        if changes != self._changes and is_due and self.idle:
            self._tried_at_s = now_s
            self._start(self._replace_idle(changes, len(self.idle)))

    async def _replace_idle(self, changes: int, lines: int) -> None:
        """
        Open ``lines`` to take the place of idle ones; others are opened again when they are taken.

        Where that fails, by credentials that the server refuses, the lines that are open stay.
        """
        fresh = [Line(self, self._connection()) for _ in range(lines)]
        try:
            for line in fresh:
                await self._open(line)
        except (RedisError, OSError) as error:
            _log.warning("connections to the store not replaced: %s", cause_of(error))
            await self._release(fresh)
            return
        except BaseException:
            await self._release(fresh)
            raise
        self._changes = changes
        self.generation += 1
        outdated = [line for line in self.idle if line.opening is None][:lines]
        for line in fresh:
            line.generation = self.generation
        used = fresh[: len(outdated)]  # a line that is under way opens itself again later
        self.idle = [*(line for line in self.idle if line not in outdated), *used]
        await self._release([*outdated, *fresh[len(used) :]])

    async def _release(self, lines: list[Line]) -> None:
        for line in lines:
            await line.close()
            with suppress(KeyError):
                await self._pool.release(line.connection)

    # --- servers that are read-only -------------------------------------------------------------

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
        self.generation += 1  # the others may have been opened to the same server
        return True


def check_replies(replies: list[Any], echoed: bytes, check: Callable[[list[Any]], bool]) -> bool:
    """Take away the last of ``replies``, which must be ``echoed``, and ``check`` the others."""
    last = replies.pop()
    if last != echoed:
        if isinstance(last, ResponseError) and str(last).startswith("BUSY"):
            raise ServerBusy
        raise last if isinstance(last, Exception) else WrongReply("out of step")
    return check(replies)

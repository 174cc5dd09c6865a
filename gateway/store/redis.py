"""The store over redis-py: batches the commands that callers send at one time."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from hashlib import sha1
from itertools import count
from math import inf
from typing import Any, cast

from hiredis import pack_command
from redis.asyncio import Connection, Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, NoScriptError, ReadOnlyError, ResponseError

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Clock, Script, Store
from gateway.core.replies import Shape, is_count
from gateway.store.batch import Batch, Call, Command, WrongReply
from gateway.store.connect import cause_of
from gateway.util.circuit_breaker import CircuitBreaker
from gateway.util.stall import FairDeadlines

IN_FLIGHT = 2
"""Batches under way at a time. Later commands wait for the next, so load makes batches longer."""

_UNCHECKED_S = 1.0
"""How long after a good reply a connection is used again without a check."""

_PAUSE_S = 0.2
"""Between two trials after a failure: short for a client, and long enough to spare the waits."""

_ECHO = b"*2\r\n$4\r\nECHO\r\n$28\r\n"
"""The command up to its argument: 16 characters for the process, 12 for the exchange."""

_RECONNECT_EVERY_S = 1.0
"""Least time between two reconnections because the server is read-only."""


_OUT_OF_STEP = (WrongReply, InvalidResponse, ResponseError)
"""What an exchange fails with where replies are wrong. An error in place of the ECHO is, too."""

_WARN_EVERY_S = 10.0
"""Least time between two warnings that the store is unavailable."""

_log = logging.getLogger(__name__)


class RedisStore:
    """
    The port `Store` over a `redis.asyncio.Redis` (which it closes; see `gateway.store.connect`).

    Callers get futures. The commands of one event-loop tick are sent by a task of their own, which
    the cancellation of a caller does not affect: one MGET for all reads, and a pipeline only for
    more than one command (a command costs redis-py some 50 µs, a key in an MGET 2 µs).

    ``timeout_s`` counts from a caller's arrival until its reply, without the time for which the
    loop was stalled. It belongs to the batch: however its exchange ends, no future of it is left
    when the time is over. After a failure of the connection, callers are refused at once until a
    trial succeeds (see `CircuitBreaker`).

    The last command of each exchange is an ECHO of a number that is used once. Where another reply
    is in its place, the replies are out of step; where a reply has a shape that its command cannot
    have, they are mixed up. Then the whole batch fails, and the connection is closed.
    """

    def __init__(
        self,
        client: Redis,
        prefix: str,
        timeout_s: float,
        clock: Clock = time.monotonic,
        on_wrong_reply: Callable[[], object] = lambda: None,
        address: str = "",
    ) -> None:
        """
        Call ``on_wrong_reply`` for each batch that failed by a reply that was not asked for.

        ``address`` is for the log; see `gateway.store.connect.address_of`.
        """
        self._client = client
        self._pool = client.connection_pool
        self._idle: list[tuple[Connection, float]] = []
        """Idle connections, each with the loop's time of its last good exchange."""
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._clock = clock
        self._on_wrong_reply = on_wrong_reply
        self._address = address
        self._warned_at_s = -inf
        self._is_warned = False
        """Whether the log says that the store is unavailable."""
        self._process = secrets.token_hex(8).encode()
        self._numbers = count()
        """With the process, makes what is echoed: different from that of any other exchange."""
        self._deadlines = FairDeadlines(timeout_s, self._expire)
        """Of all batches from their first caller's arrival to their delivery."""
        self._breaker = CircuitBreaker(failures=1, pause_s=_PAUSE_S)
        self._waiting = Batch()
        self._in_flight = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._is_demoted = False
        """Whether a server has just replied READONLY."""
        self._reconnected_at_s = -inf
        """The loop's time of the last reconnection for that."""

    def get(self, key: str) -> asyncio.Future[bytes | None]:
        """Get the value; None for an absent key, and for one that holds no string."""
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        try:
            name, batch = self._name(key), self._admit()
        except (StoreUnavailable, UnicodeEncodeError) as error:
            future.set_exception(error)
            return future
        if (others := batch.reads.get(name)) is None:
            batch.reads[name] = [future]
        else:
            others.append(future)
        return future

    async def set(self, key: str, value: bytes, *, expires_at_ms: int) -> None:
        command = ("SET", self._name(key), value, "PXAT", expires_at_ms)
        await self._call(command, _is_ok)

    async def add(self, key: str, value: bytes, *, expires_at_ms: int) -> bool:
        """
        Like `set`, but only if the key is absent; return whether it was.

        When the reply is lost, the key may have been added nevertheless.
        """
        command = ("SET", self._name(key), value, "PXAT", expires_at_ms, "NX")
        return await self._call(command, _is_ok_or_nil) is not None

    async def delete(self, key: str) -> bool:
        return bool(await self._call(("DEL", self._name(key)), is_count))

    async def run(
        self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]
    ) -> object:
        names = map(self._name, keys)
        words = (arg.encode() if isinstance(arg, str) else arg for arg in args)
        command = ("EVALSHA", _digest(script.source), len(keys), *names, *words)
        return await self._call(command, script.accepts, script)

    async def publish(self, channel: str, message: bytes) -> None:
        await self._call(("PUBLISH", self._name(channel), message), is_count)

    async def ping(self) -> None:
        await self._call(("PING",), _is_pong)

    async def aclose(self) -> None:
        """Refuse new callers, wait for those under way (until the deadline at most), disconnect."""
        self._is_closed = True
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._drop_waiting("closed")
        self._deadlines.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeout_s):
                await self._client.aclose()

    # --- callers --------------------------------------------------------------------------------

    def _name(self, key: str) -> bytes:
        """Encode a key here, so that one that cannot be encoded fails its own caller alone."""
        return (self._prefix + key).encode()

    def _admit(self) -> Batch:
        """Return the batch to join. Raises `StoreUnavailable` while the breaker is open."""
        if self._is_closed:
            raise StoreUnavailable("closed")
        if not self._breaker.is_closed and not self._breaker.admit(self._clock()):
            raise StoreUnavailable("failed a moment ago")
        batch = self._waiting
        if not batch:
            self._open(batch)
        return batch

    def _open(self, batch: Batch) -> None:
        """
        Have ``batch`` sent: by a new task, or by one that is under way when it is done.

        A task begins after the callers of this tick have joined.
        """
        loop = asyncio.get_running_loop()
        self._deadlines.begin(batch, loop)
        if self._in_flight < IN_FLIGHT:
            self._in_flight += 1
            task = loop.create_task(self._send_batches())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _call(self, command: Command, accepts: Shape, script: Script | None = None) -> Any:
        batch = self._admit()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        batch.calls.append(Call(command, future, accepts, script))
        return await future

    # --- batches --------------------------------------------------------------------------------

    async def _send_batches(self) -> None:
        try:
            while self._waiting:
                await self._exchange(self._take_batch())
        finally:
            self._in_flight -= 1

    def _take_batch(self) -> Batch:
        batch, self._waiting = self._waiting, Batch()
        return batch

    def _drop_waiting(self, reason: str) -> None:
        batch = self._take_batch()
        batch.close(reason)
        self._deadlines.end(batch)

    async def _exchange(self, batch: Batch) -> None:
        """Send ``batch`` and deliver its replies; however this ends, no future of it is left."""
        batch.exchange = asyncio.current_task()
        try:
            batch.deliver(await self._replies(batch))
        except Exception as error:  # noqa: BLE001 - on any error, the callers must not wait forever
            if isinstance(error, _OUT_OF_STEP):
                self._on_wrong_reply()
            self._failed(error)
            batch.fail(_reason(error))
            self._drop_waiting("failed a moment ago")
        except asyncio.CancelledError:
            is_closing = batch.is_cancelled_by_others()
            self._drop_waiting("closed" if is_closing else "failed a moment ago")
            batch.fail("closed")  # those of an interrupted one have failed already
            if is_closing:
                raise
        else:
            self._succeeded()
        finally:
            batch.close("no reply")
            self._deadlines.end(batch)

    def _expire(self, batch: Batch) -> None:
        """Refuse the callers of ``batch``, and end its exchange if that is under way."""
        self._failed(TimeoutError(f"no reply within {self._timeout_s * 1000:.0f} ms"))
        batch.fail("TimeoutError")
        batch.interrupt()
        if batch is self._waiting:
            self._take_batch()

    def _failed(self, error: Exception) -> None:
        now_s = self._clock()
        if self._breaker.is_closed and now_s - self._warned_at_s >= _WARN_EVERY_S:
            self._warned_at_s = now_s
            self._is_warned = True
            cause = _reason(error) if isinstance(error, WrongReply) else cause_of(error)
            _log.warning("store %s is unavailable: %s", self._address, cause)
        self._breaker.failed(now_s)

    def _succeeded(self) -> None:
        if self._is_warned and not self._breaker.is_closed:
            self._is_warned = False
            _log.info("store %s answers again", self._address)
        self._breaker.succeeded()

    async def _replies(self, batch: Batch) -> list[Any]:
        """Return a reply for each command of ``batch``; an error reply is an exception there."""
        commands = batch.commands()
        try:
            replies = await self._execute(commands, batch.check)
        except RedisConnectionError:
            if batch.calls:
                raise  # they may have been carried out: only reads can be repeated
            replies = await self._execute(commands, batch.check)
        for position, reply in enumerate(replies):
            if not isinstance(reply, NoScriptError):
                continue
            if (script := batch.script_of(position)) is not None:
                in_full = ("EVAL", script.source, *commands[position][2:])  # loads it, too
                check = partial(_check_script, script)
                [replies[position]] = await self._execute([in_full], check)
        return replies

    async def _execute(
        self, commands: list[Command], check: Callable[[list[Any]], object]
    ) -> list[Any]:
        """
        Send all commands, then read all replies; hiredis packs them, which redis-py does in Python.

        A connection on which either is interrupted, or whose replies do not pass ``check``, is
        closed, so that no reply is left for the next caller. ``ensure_connection`` opens it again,
        and also replaces one that the server has closed or that has unread data. That takes two
        turns of the loop, so a connection that worked a moment ago is used without it.
        """
        if self._idle:
            connection, used_at_s = self._idle.pop()
        else:
            connection, used_at_s = await self._connection(), -inf
        loop, now_s = asyncio.get_running_loop(), -inf
        try:
            if is_unchecked := loop.time() - used_at_s > _UNCHECKED_S:
                await self._pool.ensure_connection(connection)
            echoed = b"%b%012x" % (self._process, next(self._numbers))
            packed = b"".join([*map(_pack, commands), _ECHO, echoed, b"\r\n"])
            await connection.send_packed_command(packed, is_unchecked)
            replies: list[Any] = []
            for _ in commands:
                try:
                    replies.append(await connection.read_response())
                except ResponseError as error:
                    replies.append(error)
                    self._is_demoted = self._is_demoted or isinstance(error, ReadOnlyError)
            if await connection.read_response() != echoed:
                raise WrongReply("out of step")  # noqa: TRY301 - one call less for each exchange
            check(replies)
            now_s = loop.time()
            if self._is_demoted:
                now_s = await self._reconnect_if_due(connection, now_s)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            self._idle.append((connection, now_s))
        return replies

    async def _reconnect_if_due(self, connection: Connection, now_s: float) -> float:
        """
        Close a connection to a read-only server, at most once a second; return its time of last
        use.

        After a failover, an address may lead to another server. Connections that are open stay with
        the old one for as long as it runs, and would read outdated values from it.
        """
        self._is_demoted = False
        if now_s - self._reconnected_at_s < _RECONNECT_EVERY_S:
            return now_s
        self._reconnected_at_s = now_s
        await connection.disconnect(nowait=True)
        return -inf

    async def _connection(self) -> Connection:
        connection: Connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        return connection


def _reason(error: Exception) -> str:
    """Name the kind of error; the text of a server's error may hold a key."""
    return f"wrong reply: {error}" if isinstance(error, WrongReply) else type(error).__name__


def _is_ok(reply: object) -> bool:
    return reply == b"OK"


def _is_ok_or_nil(reply: object) -> bool:
    return reply is None or reply == b"OK"


def _is_pong(reply: object) -> bool:
    return reply == b"PONG"


def _check_script(script: Script, replies: Sequence[Any]) -> None:
    [reply] = replies
    if not isinstance(reply, Exception) and not script.accepts(reply):
        raise WrongReply(script.name)


_pack = cast("Callable[[Command], bytes]", pack_command)  # its stub wants one word


@lru_cache(maxsize=64)
def _digest(source: str) -> str:
    """Return the name of a script on the server (its SHA-1)."""
    return sha1(source.encode(), usedforsecurity=False).hexdigest()


_: type[Store] = RedisStore

"""A Redis-compatible server, asked by redis-py: what callers want at one time travels together."""

import asyncio
import time
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha1
from math import inf
from typing import Any

from hiredis import pack_command
from redis.asyncio import Connection, Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Clock, Script, Store
from gateway.store.batch import Batch, Call, Command
from gateway.util.circuit_breaker import CircuitBreaker

IN_FLIGHT = 2
"""Batches under way at a time: what comes meanwhile gathers, so that load makes batches longer."""

_FRESH_S = 1.0
"""For so long after a good reply a connection is not looked at before it is used again."""

_PAUSE_S = 0.2
"""Between two trials after a failure: clients hardly notice it, and thousands skip the wait."""

_DEMOTED_S = 1.0
"""Between two connections that are left because the server may not write."""


class RedisStore:
    """
    The port `Store` over a `redis.asyncio.Redis` (which it closes; see `gateway.store.connect`).

    Callers get futures. What one event-loop tick asked for is sent by a task of its own, which no
    caller's cancellation touches: one MGET for all reads, and a pipeline only where there is more
    than one command (a command costs redis-py some 50 µs, a key in an MGET 2 µs).

    ``timeout_s`` counts from a caller's arrival until its reply. After a failure of the
    connection, callers are refused at once until a trial succeeds (see `CircuitBreaker`).
    """

    def __init__(
        self,
        client: Redis,
        prefix: str,
        timeout_s: float,
        clock: Clock = time.monotonic,
    ) -> None:
        self._client = client
        self._pool = client.connection_pool
        self._idle: list[tuple[Connection, float]] = []
        """With the loop's time at which all went well on it last."""
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._clock = clock
        self._breaker = CircuitBreaker(failures=1, pause_s=_PAUSE_S)
        self._waiting = Batch()
        self._busy = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._is_demoted = False
        """Whether a server has just said that it may not write."""
        self._left_at_s = -inf
        """The loop's time at which one was last left for that."""

    async def get(self, key: str) -> bytes | None:
        """The value, or None where there is none; so is a key that holds no string."""
        batch = self._admit()
        answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        name = self._name(key)
        if (others := batch.reads.get(name)) is None:
            batch.reads[name] = [answer]
        else:
            others.append(answer)
        return await answer

    async def set(self, key: str, value: bytes, *, expires_at_ms: int) -> None:
        await self._call("SET", self._name(key), value, "PXAT", expires_at_ms)

    async def add(self, key: str, value: bytes, *, expires_at_ms: int) -> bool:
        """
        Like `set`, but only if the key is absent; whether it was.

        When the answer was lost on the way, the key may have been added nevertheless.
        """
        added = await self._call("SET", self._name(key), value, "PXAT", expires_at_ms, "NX")
        return added is not None

    async def delete(self, key: str) -> bool:
        return bool(await self._call("DEL", self._name(key)))

    async def run(
        self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]
    ) -> object:
        names = map(self._name, keys)
        words = (arg.encode() if isinstance(arg, str) else arg for arg in args)
        return await self._call(
            "EVALSHA", _digest(script.source), len(keys), *names, *words, script=script
        )

    async def publish(self, channel: str, message: bytes) -> None:
        await self._call("PUBLISH", self._name(channel), message)

    async def ping(self) -> None:
        await self._call("PING")

    async def aclose(self) -> None:
        """Refuse new callers, wait for those under way (no longer than the deadline), hang up."""
        self._is_closed = True
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._take().fail("closed")
        await self._client.aclose()

    # --- callers come ---------------------------------------------------------------------------

    def _name(self, key: str) -> bytes:
        """Encoded here, so that a key that cannot be hurts its own caller alone."""
        return (self._prefix + key).encode()

    def _admit(self) -> Batch:
        """The batch that a caller may join. Raises `StoreUnavailable` while the breaker is open."""
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
        See to it that ``batch`` is sent: by a new task, or when one that is under way comes back.

        A task begins after the callers of this tick have joined.
        """
        loop = asyncio.get_running_loop()
        batch.opened_at_s = loop.time()
        if self._busy < IN_FLIGHT:
            self._busy += 1
            task = loop.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _call(self, *command: str | bytes | int, script: Script | None = None) -> Any:
        batch = self._admit()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        batch.calls.append(Call(command, answer, script))
        return await answer

    # --- batches go -----------------------------------------------------------------------------

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._exchange(self._take())
        finally:
            self._busy -= 1

    def _take(self) -> Batch:
        batch, self._waiting = self._waiting, Batch()
        return batch

    async def _exchange(self, batch: Batch) -> None:
        try:
            async with asyncio.timeout_at(batch.opened_at_s + self._timeout_s):
                replies = await self._replies(batch)
        except Exception as error:  # noqa: BLE001 - whatever it was, the callers must hear of it
            self._breaker.failed(self._clock())
            batch.fail(type(error).__name__)
            self._take().fail("failed a moment ago")
        except asyncio.CancelledError:
            batch.fail("closed")
            self._take().fail("closed")
            raise
        else:
            self._breaker.succeeded()
            batch.deliver(replies)

    async def _replies(self, batch: Batch) -> list[Any]:
        """One for each command of ``batch``; an error reply is an exception in its place."""
        commands = batch.commands()
        try:
            replies = await self._ask(commands)
        except RedisConnectionError:
            if batch.calls:
                raise  # they may have been carried out: only reads can be repeated
            replies = await self._ask(commands)
        for position, reply in enumerate(replies):
            script = batch.script_of(position)
            if script is not None and isinstance(reply, NoScriptError):
                in_full = ("EVAL", script.source, *commands[position][2:])  # loads it, too
                [replies[position]] = await self._ask([in_full])
        return replies

    async def _ask(self, commands: list[Command]) -> list[Any]:
        """
        Send all, then read all; hiredis does the packing, which redis-py does in Python.

        A connection on which either was broken off is closed, so that no reply is left there for
        whoever comes next; ``ensure_connection`` opens it again, and also replaces one that the
        server has closed or that has something unread. It takes two turns of the loop, so that a
        connection on which all went well a moment ago is used as it is.
        """
        if self._idle:
            connection, used_at_s = self._idle.pop()
        else:
            connection, used_at_s = await self._connection(), -inf
        loop, now_s = asyncio.get_running_loop(), -inf
        try:
            if loop.time() - used_at_s > _FRESH_S:
                await self._pool.ensure_connection(connection)
            await connection.send_packed_command(b"".join(map(_packed, commands)))
            replies = [await self._reply(connection) for _ in commands]
            now_s = loop.time()
            if self._is_demoted:
                now_s = await self._left(connection, now_s)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            self._idle.append((connection, now_s))
        return replies

    async def _reply(self, connection: Connection) -> Any:
        try:
            return await connection.read_response()
        except ResponseError as error:
            self._is_demoted = self._is_demoted or isinstance(error, ReadOnlyError)
            return error

    async def _left(self, connection: Connection, now_s: float) -> float:
        """
        When ``connection`` was used last: never, if it is opened anew as its server may not write.

        Where an address leads to another server after a failover, those who are connected stay with
        the old one for as long as it runs, and hear from it what was so then.
        """
        self._is_demoted = False
        if now_s - self._left_at_s < _DEMOTED_S:
            return now_s
        self._left_at_s = now_s
        await connection.disconnect(nowait=True)
        return -inf

    async def _connection(self) -> Connection:
        connection: Connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        return connection


def _packed(command: Command) -> bytes:
    packed: bytes = pack_command(command)  # type: ignore[arg-type]  # its stub wants one word
    return packed


@lru_cache(maxsize=64)
def _digest(source: str) -> str:
    """The name by which servers know a script."""
    return sha1(source.encode(), usedforsecurity=False).hexdigest()


_: type[Store] = RedisStore

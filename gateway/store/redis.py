"""The store: batches the commands that callers send at one time, whatever they travel by."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from random import random
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Clock, Script, Store, TaggedKeys
from gateway.core.replies import Shape, is_count, is_ok, is_ok_or_nil, is_pong
from gateway.store.armour import plain
from gateway.store.batch import Batch, Call, Pair, WrongReply
from gateway.store.connect import cause_of
from gateway.store.exchanges import Exchanges
from gateway.store.line import DEFAULTS, Line, LineOptions, Lines, check_replies
from gateway.store.packing import Command, tagged_call
from gateway.store.quota import refuse_over_quota
from gateway.store.scripts import Scripts
from gateway.store.wire import Outcome, Wire
from gateway.util.call_watch import UNWATCHED, CallWatch
from gateway.util.circuit_breaker import CircuitBreaker
from gateway.util.stall import FairDeadlines

IN_FLIGHT = 2
"""Batches under way at a time. Later commands wait for the next, so load makes batches longer."""

_PAUSE_S = 0.2
"""
Between two trials after a failure: short for a client, and long enough to spare the waits. Each
store draws its own, up to a quarter shorter or longer, so that gateways do not come back together.
"""

_OUT_OF_STEP = (WrongReply, InvalidResponse, ResponseError)
"""What an exchange fails with where replies are wrong. An error in place of the ECHO is, too."""

_WARN_EVERY_S = 10.0
"""Least time between two warnings that the store is unavailable."""

_log = logging.getLogger(__name__)


class RedisStore:
    """
    The port `Store` over a client of redis-py (see `gateway.store.connect`) or other `Exchanges`.

    It closes what it is given.

    Callers get futures; the cancellation of a caller affects no other. The commands of one
    event-loop tick are sent together, with one MGET for all reads. On a connection that worked a
    moment ago they need no task: `Wire` hands the replies to `_received`, which resolves the
    futures and sends what has gathered meanwhile. Anything else (a connection to open or to check,
    reads to repeat, a script to load, replies that are errors) is for the task of `_exchange`.

    ``timeout_s`` counts from a caller's arrival until its reply, without the time for which the
    loop was stalled. It belongs to the batch: however its exchange ends, no future of it is left
    when the time is over. After a failure of the connection, callers are refused at once until a
    trial succeeds (see `CircuitBreaker`).

    Where a reply has a shape that its command cannot have, or what ends an exchange is not what
    `Lines` has echoed, replies are mixed up. Then the whole batch fails, and the connection is
    closed.
    """

    def __init__(
        self,
        client: Redis | Exchanges,
        prefix: str,
        timeout_s: float,
        clock: Clock = time.monotonic,
        on_wrong_reply: Callable[[], object] = lambda: None,
        address: str = "",
        watch: CallWatch = UNWATCHED,
        *,
        lines: LineOptions = DEFAULTS,
        locks_keys: bool = False,
        in_flight: int = IN_FLIGHT,
        batch: Callable[[], Batch] = Batch,
    ) -> None:
        """
        Call ``on_wrong_reply`` for each batch that failed by a reply that was not asked for.

        ``address`` is for the log; see `gateway.store.connect.address_of`. ``locks_keys`` is for
        `Scripts`; ``in_flight`` is the most batches, and so the most connections, at a time.
        ``batch`` makes batches. ``watch`` hears of each exchange.
        """
        self._new_batch = batch
        self._lines: Exchanges = (
            Lines(client.connection_pool, lines, client.aclose)
            if isinstance(client, Redis)
            else client
        )
        self._scripts = Scripts(self._lines, locks_keys=locks_keys)
        self._most_in_flight = in_flight
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._clock = clock
        self._on_wrong_reply = on_wrong_reply
        self._address = address
        self._watch = watch
        self._warned_at_s = -inf
        self._is_warned = False
        """Whether the log says that the store is unavailable."""
        self._deadlines = FairDeadlines(timeout_s, self._expire)
        """Of all batches from their first caller's arrival to their delivery."""
        self._breaker = CircuitBreaker(failures=1, pause_s=_PAUSE_S * (0.75 + random() / 2))  # noqa: S311 (no secret)
        self._waiting = self._new_batch()
        self._in_flight = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._at_rest: asyncio.Future[None] | None = None
        """What waits until no exchange is under way, if anything does."""

    def get(self, key: str) -> asyncio.Future[bytes | None]:
        """Get the value; None for an absent key, and for one that holds no string."""
        try:
            name, batch = self._name(key), self._admit()
        except (StoreUnavailable, UnicodeEncodeError) as error:
            return _failed_future(error)
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        batch.read(name, future)
        return future

    def get_pair(self, first: str, second: str) -> asyncio.Future[Pair]:
        """Get two values by one future: half the work of two."""
        try:
            names, batch = (self._name(first), self._name(second)), self._admit()
        except (StoreUnavailable, UnicodeEncodeError) as error:
            return _failed_future(error)
        future: asyncio.Future[Pair] = asyncio.get_running_loop().create_future()
        batch.read_pair(*names, future)
        return future

    async def set(self, key: str, value: bytes, *, expires_at_ms: int) -> None:
        command = ("SET", self._name(key), plain(value), "PXAT", expires_at_ms)
        await self._call(command, is_ok)

    async def add(self, key: str, value: bytes, *, expires_at_ms: int) -> bool:
        """
        Like `set`, but only if the key is absent; return whether it was.

        When the reply is lost, the key may have been added nevertheless.
        """
        command = ("SET", self._name(key), plain(value), "PXAT", expires_at_ms, "NX")
        return await self._call(command, is_ok_or_nil) is not None

    async def delete(self, key: str) -> bool:
        return bool(await self._call(("DEL", self._name(key)), is_count))

    def run(
        self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]
    ) -> asyncio.Future[object]:
        prefix, digest = self._prefix, self._scripts.digest(script.source)
        try:
            if type(keys) is TaggedKeys:
                command: Command = tagged_call(digest, prefix, keys, args)
            else:
                names = [(prefix + key).encode() for key in keys]
                words = [_word(arg) for arg in args]
                command = ("EVALSHA", digest, len(names), *names, *words)
            return self._call(command, script.accepts, script)
        except (StoreUnavailable, UnicodeEncodeError) as error:
            return _failed_future(error)

    def slot_of(self, key: str) -> int:  # noqa: ARG002 (of the port: one server has no slots)
        return 0

    async def publish(self, channel: str, message: bytes) -> None:
        await self._call(("PUBLISH", self._name(channel), message), is_count)

    async def ping(self) -> None:
        await self._call(("PING",), is_pong)

    async def aclose(self) -> None:
        """Refuse new callers, wait for those under way (until the deadline at most), disconnect."""
        self._is_closed = True
        if self._in_flight:
            if self._at_rest is None or self._at_rest.done():
                self._at_rest = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._at_rest])
        self._drop_waiting("closed")
        self._deadlines.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeout_s):
                await self._lines.aclose()

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
        """Have ``batch`` sent: when the callers of this tick have joined, or after another."""
        loop = asyncio.get_running_loop()
        self._deadlines.begin(batch, loop)
        if self._in_flight < self._most_in_flight:
            self._in_flight += 1
            loop.call_soon(self._send_next)

    def _call(
        self, command: Command, accepts: Shape, script: Script | None = None
    ) -> asyncio.Future[Any]:
        """Have ``command`` sent. Raises `StoreUnavailable` while the breaker is open."""
        batch = self._admit()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        batch.calls.append(Call(command, future, accepts, script))
        return future

    # --- batches --------------------------------------------------------------------------------

    def _send_next(self) -> None:
        """Send what has gathered, if anything has: by a task where the next line is not ready."""
        batch = self._waiting
        if not batch:
            self._in_flight -= 1
            if self._at_rest is not None and not (self._in_flight or self._at_rest.done()):
                self._at_rest.set_result(None)
            return
        self._waiting = self._new_batch()
        now_s = batch.sent_s = time.monotonic()
        line = self._lines.take_ready(now_s)
        if line is None:
            self._start(batch)
        else:
            self._send(batch, line)

    def _start(
        self, batch: Batch, replies: list[Any] | None = None, *, is_repeat: bool = False
    ) -> None:
        """Have a task exchange ``batch``; that ends with the task, even with one that never ran."""
        work = self._exchange(batch, replies, is_repeat=is_repeat)
        task = batch.exchange = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._end(batch))

    def _send(self, batch: Batch, line: Line) -> None:
        """Send ``batch`` on a line that is ready; `_received` gets the outcome."""
        wire = cast("Wire", line.wire)
        try:
            commands = batch.commands()
            packed, echoed = line.home.packed(commands)
        except Exception as error:  # noqa: BLE001 - on any error, the callers must not wait forever
            line.home.idle.append(line)
            self._fail(batch, error)
            self._end(batch)
            return
        batch.exchange = wire
        wire.exchange(packed, len(commands) + 1, partial(self._received, batch, line, echoed))

    def _received(self, batch: Batch, line: Line, echoed: bytes, outcome: Outcome) -> None:
        """Deliver the outcome of `_send`; whatever is not plain goes to a task."""
        line.home.idle.append(line)
        if isinstance(outcome, Exception):
            self._lost(batch, outcome)
            return
        try:
            has_errors = check_replies(outcome, echoed, batch.check)
            if not has_errors:
                batch.deliver(outcome)
        except Exception as error:  # noqa: BLE001 - as above
            cast("Wire", line.wire).close(error)
            self._lost(batch, error)
            return
        line.used_at_s = now_s = time.monotonic()
        if has_errors:
            if line.home.must_reconnect(outcome):
                cast("Wire", line.wire).cancel()
            self._start(batch, outcome)
            return
        self._succeeded(now_s - batch.sent_s)
        self._end(batch)

    def _lost(self, batch: Batch, error: Exception) -> None:
        """Repeat reads whose connection broke; refuse the callers of anything else."""
        if isinstance(error, RedisConnectionError) and not batch.calls:
            self._start(batch, is_repeat=True)
        else:
            self._fail(batch, error)
            self._end(batch)

    def _take_batch(self) -> Batch:
        batch, self._waiting = self._waiting, self._new_batch()
        return batch

    def _drop_waiting(self, reason: str) -> None:
        batch = self._take_batch()
        batch.close(reason)
        self._deadlines.end(batch)

    async def _exchange(
        self, batch: Batch, replies: list[Any] | None = None, *, is_repeat: bool = False
    ) -> None:
        """
        Send ``batch``, unless there are ``replies`` already, and deliver its replies.

        However this ends, no future of it is left.
        """
        try:
            if replies is None:
                replies = await self._replies(batch, is_repeat=is_repeat)
            await self._scripts.bring(batch, replies)
            refuse_over_quota(replies)
            batch.deliver(replies)
        except Exception as error:  # noqa: BLE001 - on any error, the callers must not wait forever
            self._fail(batch, error)
        except asyncio.CancelledError:
            self._drop_waiting("failed a moment ago" if batch.is_interrupted else "closed")
            batch.fail("closed")  # those of an interrupted one have failed already
            raise
        else:
            self._succeeded(time.monotonic() - batch.sent_s)

    def _fail(self, batch: Batch, error: Exception) -> None:
        """Refuse the callers of ``batch``, and those who wait for the next."""
        if isinstance(error, _OUT_OF_STEP):
            self._on_wrong_reply()
        if not batch.is_interrupted:  # that was a failure already
            self._watch.failed()
        self._failed(error)
        batch.fail(_reason(error))
        self._drop_waiting("failed a moment ago")

    def _end(self, batch: Batch) -> None:
        """Leave nothing of ``batch``, and go on with the next."""
        batch.close("no reply")
        self._deadlines.end(batch)
        self._send_next()

    def _expire(self, batch: Batch) -> None:
        """Refuse the callers of ``batch``, and end its exchange if that is under way."""
        self._watch.failed()
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

    def _succeeded(self, duration_s: float) -> None:
        self._watch.answered(duration_s)
        if self._is_warned and not self._breaker.is_closed:
            self._is_warned = False
            _log.info("store %s answers again", self._address)
        self._breaker.succeeded()

    async def _replies(self, batch: Batch, *, is_repeat: bool) -> list[Any]:
        """Return a reply for each command of ``batch``; an error reply is an exception there."""
        if batch.calls:  # they may have been carried out: only reads can be repeated
            return await self._lines.execute(batch.commands(), batch.check)
        return await self._lines.read(batch.commands(), batch.check, int(is_repeat))


def _failed_future(error: Exception) -> asyncio.Future[Any]:
    """Return a future that raises ``error`` when it is awaited."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future


def _word(arg: str | int | bytes) -> bytes | int:
    return arg if isinstance(arg, int) else plain(arg.encode() if isinstance(arg, str) else arg)


def _reason(error: Exception) -> str:
    """Name the kind of error; the text of a server's error may hold a key."""
    return f"wrong reply: {error}" if isinstance(error, WrongReply) else type(error).__name__


_: type[Store] = RedisStore

"""
The connections to one app, kept for the next request.

A connection is used again only if both bodies ended cleanly and nothing extra arrived on it: what
is left in the pipe would be the next caller's answer (CVE-2026-71324).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf
from typing import NamedTuple

from gateway.errors import (
    BadUpstreamAnswer,
    Refusal,
    UpstreamBusy,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.proxy.deadlines import Deadlines
from gateway.proxy.http1 import (
    HttpProcessingError,
    HttpProtocol,
    RawResponseMessage,
    ResponseParser,
    StreamReader,
    response_parser,
)
from gateway.proxy.outbox import Outbox

_FIRST_FINAL_STATUS = 200
_SWITCHING_PROTOCOLS = 101

Interim = Callable[[RawResponseMessage], None]
"""What to do with a 1xx answer, which precedes the final one."""


class AnswerHead(NamedTuple):
    """The head of a final answer, and its body to come."""

    message: RawResponseMessage
    body: StreamReader


class UpstreamTimeouts(NamedTuple):
    """How long an app may take. All in seconds."""

    connect_s: float = 2.0
    response_s: float = 30.0
    """From the end of the request to the head of the answer."""
    idle_s: float = 300.0
    """Between two parts of a body, in either direction."""


class UpstreamConnection(HttpProtocol):
    """One connection to an app; one exchange at a time."""

    __slots__ = (
        "_answer",
        "_body",
        "_deadline_s",
        "_deadlines",
        "_interim",
        "_on_lost",
        "_outbox",
        "_spoilt",
        "_taking_deadline_s",
        "final_seen",
        "has_answered",
        "idle_since_s",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deadlines: Deadlines,
        outbox: Outbox,
        on_lost: "Callable[[UpstreamConnection], None]",
    ) -> None:
        super().__init__(loop)
        self._parser: ResponseParser = response_parser(self, loop)
        self._deadlines = deadlines
        self._outbox = outbox
        self._on_lost = on_lost
        self._answer: asyncio.Future[AnswerHead] | None = None
        self._body: StreamReader | None = None
        self._interim: Interim | None = None
        self._deadline_s = inf
        """For the app's next word."""
        self._taking_deadline_s = inf
        """For the app to take what was written."""
        self.final_seen = False
        """Whether the final answer has begun; 1xx do not count."""
        self._spoilt = False
        self.has_answered = False
        self.idle_since_s = 0.0

    # --- one exchange --------------------------------------------------------------------------

    def ask(self, request: bytes, method: str, interim: Interim) -> "asyncio.Future[AnswerHead]":
        """
        Send the head of a request, and its body as far as it is there.

        The future holds the answer's head, or `UpstreamUnreachable`, `UpstreamTimeout` or
        `BadUpstreamAnswer`.
        """
        if method == "HEAD":
            self._parser = response_parser(self, self._loop, answers_head=True)
            self._spoilt = True  # the parser is for this answer alone
        self._interim = interim
        self.final_seen = self.has_answered = False
        self._answer = answer = self._loop.create_future()
        if self.transport is not None:
            self._outbox.write_soon(self.transport, request)
        return answer

    def write(self, data: bytes) -> None:
        """Send more of the request; what a lost connection means the answer's future tells."""
        if self.transport is not None:
            self._outbox.write(self.transport, data)

    def expect_within(self, seconds: float) -> None:
        """Fail the exchange if the app does nothing for so long; ``inf`` waits."""
        self._deadline_s = self._loop.time() + seconds

    async def drain_within(self, seconds: float) -> None:
        """
        Wait until the app has taken what was written; fail the exchange if it takes longer.

        Raises `UpstreamUnreachable`.
        """
        self._taking_deadline_s = self._loop.time() + seconds
        try:
            await self._drain_helper()
        except ConnectionError as error:
            raise UpstreamUnreachable(type(error).__name__) from error
        finally:
            self._taking_deadline_s = inf

    def fail(self, refusal: Refusal) -> None:
        """End the exchange: whoever waits for the head or the body gets ``refusal``."""
        self._spoilt = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(refusal)
        elif self._body is not None and not self._body.is_eof():
            self._body.set_exception(refusal)
        if self.transport is not None:
            self.transport.abort()

    def finish(self) -> bool:
        """Leave the exchange; whether the connection may serve another."""
        clean = (
            not self._spoilt
            and self.transport is not None
            and self.final_seen
            and (self._body is None or self._body.is_eof())
            and self._is_between_messages()
        )
        answer = self._answer
        if answer is not None and not (answer.cancel() or answer.cancelled()):
            answer.exception()  # looked at, so that the loop does not complain
        self._answer = self._body = self._interim = None
        self._deadline_s = inf
        return clean

    def _is_between_messages(self) -> bool:
        """Whether nothing of a further answer has come: it would be the next caller's."""
        try:
            return self._parser.feed_eof() is None
        except HttpProcessingError:
            return False

    # --- events --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._deadlines.watch(self)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            if data:  # nobody asked: never let it become somebody's answer
                self.abort()
            return
        try:
            messages, upgraded, _ = self._parser.feed_data(data)
        except HttpProcessingError as error:
            self.fail(BadUpstreamAnswer(type(error).__name__))
            return
        for message, body in messages:
            self._take(message, body)
        if upgraded:
            self.fail(BadUpstreamAnswer("upgrade that nobody asked for"))

    def _take(self, message: RawResponseMessage, body: StreamReader) -> None:
        answer = self._answer
        if answer is None or answer.done() or self.final_seen:
            self._spoilt = True  # a second final answer to one request
            return
        self.has_answered = True
        if message.code < _FIRST_FINAL_STATUS and message.code != _SWITCHING_PROTOCOLS:
            self._pass_on(message)
            return
        self.final_seen = True
        self._spoilt = self._spoilt or message.should_close
        self._body = body
        self._deadline_s = inf
        answer.set_result(AnswerHead(message, body))

    def _pass_on(self, interim: RawResponseMessage) -> None:
        try:
            if self._interim is not None:
                self._interim(interim)
        except Refusal as refusal:
            self.fail(refusal)

    def eof_received(self) -> None:
        """The app closed: an answer that ends by closing ends here, any other is broken."""
        self._spoilt = True
        if self._body is None or self._body.is_eof():
            return
        size = -1
        while not self._body.is_eof() and self._body.total_bytes != size:
            size = self._body.total_bytes  # what the parser held back while it was paused
            self.data_received(b"")
        if self._body.is_eof():
            return
        try:
            self._parser.feed_eof()
        except HttpProcessingError:
            self._body.set_exception(UpstreamUnreachable("closed in the middle of the body"))

    def connection_lost(self, exc: BaseException | None) -> None:
        self._deadlines.forget(self)
        super().connection_lost(exc)
        reason = "closed" if exc is None else type(exc).__name__
        self.fail(UpstreamUnreachable(reason))
        self._on_lost(self)

    def check_deadline(self, now_s: float) -> None:
        if now_s >= min(self._deadline_s, self._taking_deadline_s):
            self._deadline_s = self._taking_deadline_s = inf
            self.fail(UpstreamTimeout("idle body" if self.final_seen else "no answer"))

    def abort(self) -> None:
        """Close at once."""
        self._spoilt = True
        if self.transport is not None:
            self.transport.abort()


Connect = Callable[[Callable[[], UpstreamConnection]], Awaitable[UpstreamConnection]]
"""Opens one connection whose protocol the argument makes. Raises OSError."""

_IDLE_S = 60.0
_FRESH_S = 1.0
"""
A request that must not be sent twice takes only connections that were busy so recently: apps close
idle ones after 5 s (Node, uvicorn) and more, and what meets a closing connection is lost.
"""


class UpstreamPool:
    """All connections to one upstream."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connect: Connect,
        deadlines: Deadlines,
        outbox: Outbox,
        timeouts: UpstreamTimeouts,
        max_connections: int,
    ) -> None:
        self.timeouts = timeouts
        self._loop = loop
        self._connect = connect
        self._deadlines = deadlines
        self._outbox = outbox
        self._max_connections = max_connections
        self._idle: deque[UpstreamConnection] = deque()
        self._count = 0
        """Connections that exist or are being made."""
        self._queue: deque[asyncio.Future[None]] = deque()
        self._open: set[UpstreamConnection] = set()

    def take_idle(self, *, may_repeat: bool) -> UpstreamConnection | None:
        """The connection that was busy last, if one waits that is fit for the request."""
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

    async def open(self) -> UpstreamConnection:
        """
        A new connection, as soon as there is room for one.

        Raises `UpstreamUnreachable`, `UpstreamTimeout`, or `UpstreamBusy` where there was no room
        in time.
        """
        await self._reserve()
        try:
            async with asyncio.timeout(self.timeouts.connect_s):
                connection = await self._connect(self._make)
        except TimeoutError as error:
            self._unreserve()
            raise UpstreamTimeout("connect") from error
        except OSError as error:
            self._unreserve()
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
        if connection.finish():
            connection.idle_since_s = self._loop.time()
            self._idle.append(connection)
            if self._queue:  # somebody waits for room: an idle connection is room
                self._idle.popleft().abort()
        else:
            connection.abort()

    def close(self) -> None:
        """Close every connection."""
        for connection in tuple(self._open):
            connection.abort()

    def _make(self) -> UpstreamConnection:
        return UpstreamConnection(self._loop, self._deadlines, self._outbox, self._lost)

    def _lost(self, connection: UpstreamConnection) -> None:
        if connection not in self._open:
            return  # it was not handed out yet: whoever opens it gives the room back
        self._open.discard(connection)
        with suppress(ValueError):  # not idle
            self._idle.remove(connection)
        self._unreserve()

    async def _reserve(self) -> None:
        if self._count < self._max_connections:
            self._count += 1
            return
        if self._idle:  # too old for this request: make room by closing the oldest
            self._idle.popleft().abort()
        turn = self._loop.create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(self.timeouts.connect_s):
                await turn
        except TimeoutError as error:
            self._leave_queue(turn)
            raise UpstreamBusy("no free connection") from error
        except asyncio.CancelledError:
            self._leave_queue(turn)
            raise

    def _leave_queue(self, turn: asyncio.Future[None]) -> None:
        if turn.cancelled():
            with suppress(ValueError):  # a lost connection took it out as we left
                self._queue.remove(turn)
        else:  # the room was given to us as we left
            self._unreserve()

    def _unreserve(self) -> None:
        """Give the room of a lost connection to the first that waits, if any."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._count -= 1

    def _close_stale(self, now_s: float) -> None:
        while self._idle and now_s - self._idle[0].idle_since_s > _IDLE_S:
            self._idle.popleft().abort()

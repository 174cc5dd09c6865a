"""One request and its answer between a fake client and a fake app."""

import asyncio
from collections.abc import Callable
from time import perf_counter
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.core.errors import BadUpstreamAnswer, BodyTooLarge, RequestTimeout, UpstreamUnreachable
from gateway.core.limit import AnswerLimits, Limit, Spend
from gateway.core.record import RequestRecord
from gateway.core.request import Outbound, Target
from gateway.core.route import Route
from gateway.headers.response import ResponseFields
from gateway.proxy.answer_costs import AnswerCosts
from gateway.proxy.downstream.limits import ConnectionLimits
from gateway.proxy.downstream.server import ServingConfig
from gateway.proxy.downstream.writer import ResponseWriter
from gateway.proxy.exchange import Exchange
from gateway.proxy.http1.framing import NO_BODY, BodyKind, Framing
from gateway.proxy.http1.parser import StreamReader
from gateway.proxy.http1.write_batch import WriteBatcher
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.pool import UpstreamPool
from gateway.proxy.upstream.upstream import Upstream, UpstreamRules, UpstreamServer
from gateway.ratelimit.local import LocalLimiter
from gateway.util.deadlines import Deadlines
from tests.fakes.heads import request_head
from tests.fakes.transport import FakeTransport

MAX_BODY_BYTES = 10
CHUNKED_ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED = Framing(BodyKind.CHUNKED, b"Transfer-Encoding: chunked\r\n")
LENGTH = Framing(BodyKind.LENGTH, b"Content-Length: 4\r\n")
ANSWER = b"HTTP/1.1 200 Fine\r\nDate: then\r\nContent-Length: 5\r\n\r\nhello"
DATELESS = ANSWER.replace(b"Date: then\r\n", b"")


class AppTransport(FakeTransport):
    """Answers with the next of ``answers`` when the request has come as far as ``after``."""

    def __init__(self, answers: list[bytes], after: bytes) -> None:
        super().__init__()
        self._answers = answers
        self._after = after
        self.writes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        super().write(data)
        self.writes += 1
        if self.written.endswith(self._after) and self._answers:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._send, self._answers.pop(0))

    def _send(self, answer: bytes) -> None:
        self.protocol.data_received(answer)
        if not answer:
            self.protocol.connection_lost(ConnectionResetError())


class Around:
    """An exchange's client and its app."""

    def __init__(
        self,
        *answers: bytes,
        after: bytes = b"\r\n\r\n",
        buffer_bytes: int = 0,
        buffer_s: float = 60.0,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.date = b"Date: now\r\n"
        self.deadlines = Deadlines(loop, 1000.0)
        self.deadlines.close()
        batcher = WriteBatcher(loop)
        server = SimpleNamespace(
            loop=loop,
            limits=ConnectionLimits(),
            write_batcher=batcher,
            is_draining=False,
            http_date=lambda: self.date,
        )
        self.transport = FakeTransport()
        self.writer = ResponseWriter(cast("Any", server))
        self.writer.transport = self.transport
        self.version = (1, 1)
        self.writing_paused = False
        self.parts: list[bytes | Exception] = []
        """What the client sends of its body."""
        self.has_come = False
        """Whether it has sent all of it."""
        self.has_come_unread = False
        """Whether it has, in chunks that are not looked at yet."""
        self.may_end_body = asyncio.Event()
        self.may_end_body.set()
        self.app = AppTransport(list(answers), after)
        self.pool = UpstreamPool(loop, self._connect, self.deadlines, batcher, 10)
        upstream = Upstream(
            "app",
            [UpstreamServer.of("a", "a", self._connect, self.pool)],
            UpstreamRules(buffer_bytes=buffer_bytes, buffer_s=buffer_s),
            loop,
            lambda *_: None,
        )
        self.limiter = LocalLimiter()
        self.serving = ServingConfig(
            cast("Any", None),
            {"app": upstream},
            ResponseFields("s"),
            MAX_BODY_BYTES,
            (),
            AnswerCosts(self.limiter),
        )
        self.batcher = batcher
        self.record = RequestRecord()

    async def _connect(self, make: Any) -> UpstreamConnection:
        connection: UpstreamConnection = make()
        self.app.protocol = connection
        connection.connection_made(self.app)
        return connection

    async def drain(self) -> None:
        self.writing_paused = False

    def begin_body(self) -> None:
        self.has_come = self.has_come or self.has_come_unread

    async def read_body(self, _: StreamReader) -> bytes:
        await asyncio.sleep(0)
        if not self.parts:
            await self.may_end_body.wait()
        part = self.parts.pop(0) if self.parts else b""
        if isinstance(part, Exception):
            raise part
        return part

    def is_eof(self) -> bool:
        """Whether all of the body has come, though it was not read."""
        return self.has_come

    def read_nowait(self) -> bytes:
        """What has come of the body and was not read."""
        parts, self.parts = self.parts, []
        return b"".join(part for part in parts if isinstance(part, bytes))

    def when_sent(self, part: bytes, act: Callable[[], None]) -> None:
        """Act as soon as the client has got ``part``."""
        if part in self.transport.written:
            act()
        else:
            asyncio.get_running_loop().call_soon(self.when_sent, part, act)

    async def run(
        self,
        framing: Framing = NO_BODY,
        method: str = "GET",
        fields: bytes = b"Host: a\r\n",
        limits: AnswerLimits | None = None,
        *,
        is_internal: bool = False,
    ) -> bytes:
        """What the client gets."""
        self.writer.start("id-1", method, self.version, keeps_alive=True)
        outbound = Outbound(
            Route("r", "/*", "app", is_internal=is_internal),
            method,
            Target("/x", "/x", has_encoded_slash=False),
            fields,
            None,
            request_head().peer,
            limits=limits,
        )
        framing = framing._replace(expects_continue=b"Expect" in fields)
        body = cast("Any", self)
        self.exchange = Exchange(self, outbound, framing, body, self.serving, self.record)
        await self.exchange.run()
        self.batcher.flush()
        return bytes(self.transport.written)


async def test_a_request_and_its_answer() -> None:
    """Each is written anew, with the fields of its hop."""
    around = Around(ANSWER)
    assert (
        b"HTTP/1.1 200 Fine\r\nDate: then\r\nContent-Length: 5\r\nX-Request-Id: id-1\r\n\r\nhello"
        == await around.run()
    )
    assert b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n" == around.app.written
    assert (1, 0) == around.pool.usage()


async def test_a_repeated_answer_is_the_same() -> None:
    """The second one comes from the memo of the head."""
    around = Around(ANSWER, ANSWER)
    first = await around.run()
    around.transport.written.clear()
    assert first == await around.run()


async def test_the_record_has_the_server_and_its_time() -> None:
    """The time ends with the head of the answer, however long the body takes."""
    begin = ANSWER.removesuffix(b"hello")
    around = Around(begin)
    begun_s = perf_counter()
    running = asyncio.create_task(around.run())
    while not around.transport.written and around.record.upstream_s == 0.0:
        await asyncio.sleep(0)
    answered_s = perf_counter()
    recorded_s = around.record.upstream_s
    around.app.protocol.data_received(b"hello")
    await running
    assert 0.0 < recorded_s < answered_s - begun_s
    assert ("a", recorded_s) == (around.record.upstream_server, around.record.upstream_s)


async def test_the_time_of_an_answer_that_fails_is_recorded() -> None:
    """An app that breaks off has taken its time, too; the tries of a request are added up."""
    first, second = Around(b""), Around(b"")
    second.record = first.record
    after_s = []
    for around in (first, second):
        with pytest.raises(UpstreamUnreachable):
            await around.run(method="POST")
        after_s.append(around.record.upstream_s)
    assert 0.0 < after_s[0] < after_s[1]


@pytest.mark.parametrize(
    ("is_internal", "expected"), [(True, ("bad_request", "not JSON")), (False, ("", ""))]
)
async def test_a_page_tells_that_it_refused(is_internal: bool, expected: tuple[str, str]) -> None:
    """The record has code and reason, the client sees neither; an app cannot tell such a thing."""
    told = b"HTTP/1.1 400 No\r\nDate: x\r\nX-Gateway-Refusal: bad_request not%20JSON\r\n"
    around = Around(told + b"Content-Length: 2\r\n\r\n{}")
    answer = await around.run(is_internal=is_internal)
    assert expected == (around.record.refusal, around.record.reason)
    assert b"HTTP/1.1 400 No\r\nDate: x\r\nContent-Length: 2\r\n" in answer
    assert b"Refusal" not in answer


@pytest.mark.parametrize("buffer_bytes", [0, 3, 64])
@pytest.mark.parametrize("framing", [CHUNKED, LENGTH], ids=["chunked", "length"])
async def test_the_record_has_the_size_of_the_body(framing: Framing, buffer_bytes: int) -> None:
    """Without the lines of its chunks; whether it is sent with the head, or behind it."""
    end = b"0\r\n\r\n" if framing is CHUNKED else b"abcd"
    around = Around(ANSWER, after=end, buffer_bytes=buffer_bytes)
    around.parts = [b"abc", b"d"]
    await around.run(framing, "POST")
    assert 4 == around.record.bytes_in


async def test_the_record_has_what_came_of_a_refused_body() -> None:
    """As far as it was taken in."""
    around = Around(ANSWER, after=b"never")
    around.parts = [b"x" * 6, b"x" * 6, b"x" * 6]
    with pytest.raises(BodyTooLarge):
        await around.run(CHUNKED, "POST")
    assert 12 == around.record.bytes_in


TOLD = b'RateLimit: "ten";r=9;t=60\r\n'
TEN = Limit("ten", 10, 60)
BEFORE = Spend(TEN, "a")


def known(*lines: bytes) -> bytes:
    """An answer that needs no parser."""
    head = (b"HTTP/1.1 200 OK", b"Date: then", *lines, b"Content-Length: 2")
    return b"\r\n".join((*head, b"", b"ok"))


PARSED = b"Connection: close"
"""Makes an answer one for the parser."""


@pytest.mark.parametrize("way", [(), (PARSED,)], ids=["known", "parsed"])
async def test_an_answer_tells_of_limits(way: tuple[bytes, ...]) -> None:
    """In place of what the app says; without our fields, the app's own stay."""
    answer = known(b"X-RateLimit-Limit: 7", b"ratelimit: app", *way)
    told = await Around(answer).run(limits=AnswerLimits(TOLD))
    assert 1 == told.count(TOLD)
    assert b"app" not in told
    assert b"X-RateLimit-Limit" not in told
    for limits in (None, AnswerLimits(b"", (BEFORE,))):
        own = await Around(answer).run(limits=limits)
        assert b"X-RateLimit-Limit: 7\r\n" in own
        assert b"ratelimit: app\r\n" in own
    assert TOLD in await Around(known(*way)).run(limits=AnswerLimits(TOLD))


@pytest.mark.parametrize("way", [(), (PARSED,)], ids=["known", "parsed"])
@pytest.mark.parametrize(
    ("cost", "left"),
    [
        pytest.param(b"X-Gateway-Cost: 4", 5, id="more"),
        pytest.param(b"X-Gateway-Cost: 1", 8, id="as-charged"),
        pytest.param(b"X-Other: 4", 8, id="not-told"),
        pytest.param(b"X-Gateway-Cost: four", 8, id="no-number"),
    ],
)
async def test_an_answer_tells_its_cost(way: tuple[bytes, ...], cost: bytes, left: int) -> None:
    """The client does not see it, and routes of another kind are charged nothing."""
    around = Around(known(cost, *way))
    around.limiter.spend_now(*BEFORE[:2])
    told = await around.run(limits=AnswerLimits(b"", (BEFORE,)))
    await around.serving.costs.aclose()
    assert b"Gateway-Cost" not in told
    assert left == around.limiter.spend_now(TEN, "a").remaining
    for limits in (None, AnswerLimits(TOLD)):
        around = Around(known(cost, *way))
        assert b"Gateway-Cost" not in await around.run(limits=limits)
        await around.serving.costs.aclose()
        assert 9 == around.limiter.spend_now(TEN, "a").remaining


async def test_a_body_in_chunks_reaches_the_app() -> None:
    """Part by part; the end is told."""
    around = Around(ANSWER, after=b"0\r\n\r\n")
    around.parts = [b"abc", b"d"]
    await around.run(CHUNKED, "POST")
    assert around.app.written.endswith(b"\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n")
    assert (1, 0) == around.pool.usage()


async def test_a_body_that_grows_over_the_limit_is_refused() -> None:
    """And the app sees a broken request, not a short one."""
    around = Around(ANSWER, after=b"never")
    around.parts = [b"x" * 6, b"x" * 6]
    with pytest.raises(BodyTooLarge):
        await around.run(CHUNKED, "POST")
    assert b"0\r\n\r\n" not in around.app.written[-5:]
    assert ["abort"] == around.app.done[:1]


async def test_a_client_that_stops_sending_ends_the_exchange() -> None:
    """With its own refusal."""
    around = Around(after=b"never")
    around.parts = [b"ab", RequestTimeout("idle body")]
    with pytest.raises(RequestTimeout):
        await around.run(LENGTH, "POST")
    assert around.app.done


async def test_an_answer_before_the_end_of_the_body_is_the_last() -> None:
    """Both connections close: what is left of the body could be read as a request."""
    around = Around(ANSWER)
    around.parts = [b"ab"]
    around.app._after = b"ab"
    around.may_end_body.clear()
    answer = await around.run(LENGTH, "POST")
    assert b"\r\nConnection: close\r\n" in answer
    assert around.app.done


async def test_a_body_with_a_method_that_has_none_closes_the_upstream() -> None:
    """The app may leave it unread, and read it as the next request (CL.0)."""
    around = Around(ANSWER, after=b"abcd")
    around.parts = [b"abcd"]
    await around.run(LENGTH, "GET")
    assert (0, 0) == (around.pool.usage()[0], around.app.done.count("close"))
    assert around.app.done


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(
            b"HTTP/1.1 101 x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "101 without an upgrade",
            id="101",
        ),
        pytest.param(
            b"HTTP/1.1 200 a\x01b\r\nContent-Length: 0\r\n\r\n",
            "control character",
            id="control-character",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "transfer coding",
            id="coding",
        ),
    ],
)
async def test_answers_that_cannot_be_forwarded(answer: bytes, reason: str) -> None:
    """The client gets none of it."""
    around = Around(answer)
    with pytest.raises(BadUpstreamAnswer, match=reason):
        await around.run()
    assert b"" == around.transport.written


@pytest.mark.parametrize(
    ("version", "body"),
    [
        pytest.param((1, 1), b"5\r\nhello\r\n0\r\n\r\n", id="in-chunks"),
        pytest.param((1, 0), b"hello", id="up-to-the-end-of-the-connection"),
    ],
)
async def test_a_whole_answer_in_chunks_is_framed_for_its_client(
    version: tuple[int, int], body: bytes
) -> None:
    """HTTP/1.0 knows no chunks: its answer ends by closing."""
    around = Around(CHUNKED_ANSWER + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")
    around.version = version
    answer = await around.run()
    assert answer.endswith(b"\r\n\r\n" + body)
    assert (version == (1, 1)) is (b"Transfer-Encoding: chunked\r\n" in answer)
    assert (version == (1, 0)) is around.writer.will_close
    assert 1 == around.pool.usage()[0]


async def test_an_answer_without_a_body_ends_with_its_head() -> None:
    """Neither a length nor a coding is told."""
    around = Around(b"HTTP/1.1 304 Not Modified\r\nETag: a\r\n\r\n")
    head = b"HTTP/1.1 304 Not Modified\r\nETag: a\r\nDate: now\r\nX-Request-Id: id-1\r\n\r\n"
    assert head == await around.run()
    assert 1 == around.pool.usage()[0]


async def test_interim_answers_are_forwarded() -> None:
    """Before the final one."""
    answer = await Around(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ANSWER).run()
    assert answer.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 Fine\r\n")


async def test_an_http_1_0_client_gets_no_interim_answer() -> None:
    """It knows none."""
    around = Around(b"HTTP/1.1 103 Early Hints\r\n\r\n" + ANSWER)
    around.version = (1, 0)
    assert (await around.run()).startswith(b"HTTP/1.1 200 Fine\r\n")


async def test_a_body_is_streamed_as_it_comes() -> None:
    """In chunks; a client that does not keep up is waited for."""
    around = Around(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    def end() -> None:
        around.writing_paused = True
        around.app.protocol.data_received(b"1\r\nd\r\n0\r\n\r\n")

    around.when_sent(b"200 OK", lambda: around.app.protocol.data_received(b"3\r\nabc\r\n"))
    around.when_sent(b"abc", end)
    answer = await around.run()
    assert answer.endswith(b"\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n")
    assert not around.writing_paused


async def test_a_get_is_sent_once_more_when_a_kept_connection_was_closed() -> None:
    """On a new one."""
    around = Around(ANSWER, b"", ANSWER)
    await around.run()
    kept = around.app
    around.app = AppTransport([ANSWER], b"\r\n\r\n")
    around.transport.written.clear()
    assert b"hello" in await around.run()
    assert 2 == kept.written.count(b"GET /x")


async def test_a_get_is_sent_twice_at_most() -> None:
    """An app that fails at it twice would fail at it again."""
    around = Around(b"", b"")
    with pytest.raises(UpstreamUnreachable):
        await around.run()
    assert 2 == around.app.written.count(b"GET /x")


def _break_off(around: Around) -> None:
    around.app.protocol.eof_received()
    around.app.protocol.connection_lost(None)


async def test_an_app_that_breaks_its_answer_off_is_blamed() -> None:
    """Unless it closed on a client that took the answer slowly."""
    around = Around(ANSWER[:-2])
    around.when_sent(b"hel", lambda: _break_off(around))
    with pytest.raises(UpstreamUnreachable):
        await around.run()
    assert around.exchange.was_broken_off()
    around.exchange._client_wait_s = 1.0
    assert not around.exchange.was_broken_off()


async def test_an_app_that_closes_on_an_unread_request_is_not_blamed() -> None:
    """The reset that follows may destroy its answer (RFC 9112 section 9.6)."""
    around = Around(ANSWER[:-2])
    around.parts = [b"ab"]
    around.app._after = b"ab"
    around.may_end_body.clear()
    around.when_sent(b"hel", lambda: _break_off(around))
    with pytest.raises(UpstreamUnreachable):
        await around.run(LENGTH, "POST")
    assert not around.exchange.was_broken_off()


async def test_an_app_is_not_blamed_for_what_is_no_break() -> None:
    """A whole answer, or one that was refused before its body."""
    around = Around(ANSWER)
    await around.run()
    assert not around.exchange.was_broken_off()
    around = Around(b"HTTP/1.1 200 a\x01b\r\nContent-Length: 5\r\n\r\nhe")
    with pytest.raises(BadUpstreamAnswer):
        await around.run()
    assert not around.exchange.was_broken_off()


EXPECTING = b"Host: a\r\nExpect: 100-continue\r\n"
LENGTH_OVER = Framing(BodyKind.LENGTH, b"Content-Length: 9\r\n")


WHOLE = pytest.mark.parametrize(
    ("framing", "sent"),
    [
        pytest.param(LENGTH, b"abcd", id="length"),
        pytest.param(CHUNKED, b"4\r\nabcd\r\n0\r\n\r\n", id="chunks"),
    ],
)


@WHOLE
@pytest.mark.parametrize("buffer_bytes", [0, 2, 8])
@pytest.mark.parametrize("is_unread", [False, True])
async def test_a_body_that_has_come_is_sent_in_one_write_with_the_head(
    framing: Framing, sent: bytes, buffer_bytes: int, is_unread: bool
) -> None:
    """Whatever may be taken in while it is waited for; and the app's connection is kept."""
    around = Around(ANSWER, after=sent, buffer_bytes=buffer_bytes)
    around.has_come, around.has_come_unread = not is_unread, is_unread
    around.parts = [b"ab", b"cd"]
    assert (await around.run(framing, "POST")).endswith(b"hello")
    assert around.app.written.endswith(b"\r\n\r\n" + sent)
    assert (1, (1, 0)) == (around.app.writes, around.pool.usage())


async def test_an_empty_body_in_chunks_ends_with_the_head() -> None:
    """With the last chunk, which alone says that there is a body."""
    around = Around(ANSWER, after=b"\r\n0\r\n\r\n")
    around.has_come = True
    assert (await around.run(CHUNKED, "POST")).endswith(b"hello")
    assert 1 == around.app.writes


@WHOLE
async def test_a_small_body_is_taken_in_before_the_app_is_asked(
    framing: Framing, sent: bytes
) -> None:
    """The app gets head and body at once, and its connection is kept."""
    around = Around(ANSWER, after=sent, buffer_bytes=8)
    around.parts = [b"ab", b"cd"]
    around.may_end_body.clear()
    running = asyncio.create_task(around.run(framing, "POST"))
    while around.parts:
        await asyncio.sleep(0)
    assert (0, 0) == around.pool.usage()
    around.may_end_body.set()
    assert (await running).endswith(b"hello")
    assert around.app.written.endswith(b"\r\n\r\n" + sent)
    assert (1, 0) == around.pool.usage()


@pytest.mark.parametrize("framing", [LENGTH, CHUNKED])
async def test_a_body_over_the_bound_is_streamed(framing: Framing) -> None:
    """What was taken in comes first, and counts against the limit of a body."""
    last = b"cd" if framing is LENGTH else b"2\r\ncd\r\n0\r\n\r\n"
    around = Around(ANSWER, after=last, buffer_bytes=2)
    around.parts = [b"ab", b"cd"]
    assert (await around.run(framing, "POST")).endswith(b"hello")
    assert b"abcd" == around.app.written[-4:] or around.app.written.endswith(b"2\r\nab\r\n" + last)
    around = Around(after=b"never", buffer_bytes=2)
    around.parts = [b"x" * 6, b"x" * 6]
    with pytest.raises(BodyTooLarge):
        await around.run(CHUNKED, "POST")


@pytest.mark.parametrize("has_come", [True, False])
async def test_a_body_over_the_limit_is_refused_before_the_app_is_asked(has_come: bool) -> None:
    """Where it has come, and where it grows over it while it is taken in."""
    around = Around(buffer_bytes=64)
    around.has_come = has_come
    around.parts = [b"x" * 6, b"x" * 6]
    with pytest.raises(BodyTooLarge):
        await around.run(CHUNKED, "POST")
    assert b"" == around.app.written


async def test_a_slow_body_is_streamed_after_a_while() -> None:
    """The app is asked with what has come, and may answer before the rest."""
    around = Around(ANSWER, after=b"ab", buffer_bytes=8, buffer_s=0.01)
    around.parts = [b"ab"]
    around.may_end_body.clear()
    running = asyncio.create_task(around.run(LENGTH, "POST"))
    while around.parts:
        await asyncio.sleep(0)
    assert b"" == around.app.written
    (waiting,) = around.deadlines._waiting
    waiting.check_deadline(asyncio.get_running_loop().time() + 0.02)
    assert b"\r\nConnection: close\r\n" in await running
    assert around.app.written.endswith(b"\r\n\r\nab")


@pytest.mark.parametrize("has_come", [True, False])
@pytest.mark.parametrize("version", [(1, 1), (1, 0)])
async def test_a_client_that_waits_to_be_asked_is_asked_where_its_body_is_taken_in(
    version: tuple[int, int], has_come: bool
) -> None:
    """The app is not told; HTTP/1.0 knows no 100, and a body that is here needs none."""
    around = Around(ANSWER, after=b"abcd", buffer_bytes=8)
    around.version = version
    around.has_come = has_come
    around.parts = [b"abcd"]
    answer = await around.run(LENGTH, "POST", EXPECTING)
    assert (version == (1, 1) and not has_come) is answer.startswith(
        b"HTTP/1.1 100 Continue\r\n\r\n"
    )
    assert b"Expect" not in around.app.written


@pytest.mark.parametrize("has_come", [True, False])
@pytest.mark.parametrize("framing", [LENGTH_OVER, CHUNKED])
async def test_the_app_says_whether_it_wants_a_body_that_may_be_long(
    framing: Framing, has_come: bool
) -> None:
    """It may refuse it before a byte was sent; that a body has come does not change the fields."""
    around = Around(ANSWER.replace(b"200 Fine", b"413 Large"), buffer_bytes=8)
    if has_come:
        around.app._after, around.has_come = b"", True
    around.may_end_body.clear()
    assert (await around.run(framing, "POST", EXPECTING)).startswith(b"HTTP/1.1 413 Large\r\n")
    assert EXPECTING in around.app.written


async def test_a_client_that_fails_while_its_body_is_taken_in_costs_the_app_nothing() -> None:
    """With its own refusal."""
    around = Around(buffer_bytes=8)
    around.parts = [b"ab", RequestTimeout("idle body")]
    with pytest.raises(RequestTimeout):
        await around.run(LENGTH, "POST")
    assert b"" == around.app.written
    assert (0, 0) == around.pool.usage()


@pytest.mark.parametrize("has_come", [True, False])
async def test_a_get_with_a_body_that_was_taken_in_closes_the_upstream(has_come: bool) -> None:
    """The app may leave it unread, and read it as the next request (CL.0)."""
    around = Around(ANSWER, after=b"abcd", buffer_bytes=8)
    around.parts = [b"abcd"]
    await around.run(LENGTH, "GET")
    assert 0 == around.pool.usage()[0]


async def test_an_answer_without_a_date_gets_one() -> None:
    """That of the moment, also where the head is the one of before; a Date of the app's stays."""
    around = Around(DATELESS, DATELESS, ANSWER)
    first = await around.run()
    assert b"\r\nContent-Length: 5\r\nDate: now\r\nX-Request-Id: " in first
    around.transport.written.clear()
    around.date = b"Date: later\r\n"
    assert first.replace(b"now", b"later") == await around.run()
    around.transport.written.clear()
    third = await around.run()
    assert (1, 1) == (third.count(b"Date:"), third.count(b"Date: then"))


async def test_interim_answers_have_no_date() -> None:
    """Only the final one (RFC 9110 section 6.6.1)."""
    answer = await Around(b"HTTP/1.1 103 Early Hints\r\n\r\n" + DATELESS).run()
    assert 1 == answer.count(b"Date:")
    assert answer.startswith(b"HTTP/1.1 103 Early Hints\r\n\r\n")


@pytest.mark.parametrize(("status", "lines"), [(b"426", 1), (b"400", 0)])
async def test_an_app_may_require_an_upgrade(status: bytes, lines: int) -> None:
    """Only 426 keeps the field that names the protocol."""
    answer = ANSWER.replace(b"200 Fine", status + b" x").replace(b"Date", b"Upgrade: y\r\nDate")
    sent = await Around(answer).run()
    assert lines == sent.count(b"Connection: Upgrade\r\nUpgrade: y\r\n")
    assert lines == sent.count(b"Upgrade: ")

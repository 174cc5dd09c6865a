"""One connection to an app: what becomes of answers that come whole, in parts, or wrong."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from gateway.core.errors import BadUpstreamAnswer, UpstreamTimeout, UpstreamUnreachable
from gateway.headers.answer_lines import AnswerHeads
from gateway.headers.response import ResponseFields
from gateway.proxy.http1.parser import RawResponseMessage
from gateway.proxy.http1.write_batch import WriteBatcher
from gateway.proxy.upstream.answer import KnownHead, ResponseHead
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.known_answer import LengthlessAnswer, WholeAnswer
from gateway.util.deadlines import Deadlines
from tests.fakes.transport import FakeTransport

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class App:
    """The other end of the connection."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport = FakeTransport()
        self.lost: list[UpstreamConnection] = []
        self.strayed: list[UpstreamConnection] = []
        self.interim: list[int] = []
        self.batcher = WriteBatcher(loop)
        self.deadlines = Deadlines(loop, 1000.0)
        self.connection = UpstreamConnection(
            loop, self.deadlines, self.batcher, self.lost.append, self.strayed.append
        )
        self.connection.connection_made(self.transport)

    def ask(
        self, method: str = "GET", heads: AnswerHeads | None = None
    ) -> asyncio.Future[ResponseHead]:
        """Send a request; without ``heads`` its answer is parsed."""
        answer = self.connection.ask(REQUEST, method, self._interim, heads)
        return cast("asyncio.Future[ResponseHead]", answer)

    def _interim(self, message: RawResponseMessage) -> None:
        self.interim.append(message.code)

    async def exchange(self, answer: bytes = ANSWER) -> ResponseHead:
        """A request that is answered at once."""
        future = self.ask()
        self.connection.data_received(answer)
        return await future


@pytest.fixture
async def app() -> AsyncIterator[App]:
    """An app whose connection is open."""
    app = App()
    yield app
    app.deadlines.close()


async def test_a_whole_answer_comes_with_its_body(app: App) -> None:
    """The body need not be read from a stream."""
    future = app.ask()
    app.batcher.flush()
    assert REQUEST == app.transport.written
    app.connection.data_received(ANSWER)
    answer = await future
    assert (200, b"hello") == (answer.message.code, answer.whole)
    assert app.connection.finish()


async def test_a_whole_answer_needs_no_parser(app: App) -> None:
    """If the heads that are known say so; the connection serves the next request."""
    heads = ResponseFields("s").of_apps
    for body in (b"hello", b"HELLO", b"hello"):
        future = app.ask(heads=heads)
        app.connection.data_received(ANSWER.replace(b"hello", body))
        answer = await future
        assert isinstance(answer, WholeAnswer)
        assert (200, body) == (answer.status, answer.body)
        assert app.connection.final_seen
        assert app.connection.has_answered
        assert app.connection.finish()


@pytest.mark.parametrize(
    "stray", [ANSWER, b"HTTP/1", b"x", b"\r\n"], ids=["answer", "part", "byte", "line"]
)
async def test_bytes_behind_a_whole_answer_end_the_connection(app: App, stray: bytes) -> None:
    """They must not become the next request's answer; an empty line may follow."""
    future = app.ask(heads=ResponseFields("s").of_apps)
    app.connection.data_received(ANSWER)
    app.connection.data_received(stray)
    assert b"hello" == cast("WholeAnswer", await future).body
    assert (stray == b"\r\n") == app.connection.finish()


async def test_a_whole_answer_in_chunks_needs_no_parser(app: App) -> None:
    """Nor does the one after it, which has no body: its connection rests then."""
    heads = ResponseFields("s").of_apps
    future = app.ask(heads=heads)
    app.connection.data_received(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n")
    answer = await future
    assert isinstance(answer, LengthlessAnswer)
    assert (200, b"hello", False) == (answer.status, answer.body, app.connection.lacks_body)
    assert app.connection.finish()
    future = app.ask(heads=heads)
    app.connection.data_received(b"HTTP/1.1 304 Not Modified\r\nA: b\r\n\r\n")
    answer = await future
    assert isinstance(answer, LengthlessAnswer)
    assert (304, None, True) == (answer.status, answer.body, app.connection.lacks_body)
    assert app.connection.finish()


@pytest.mark.parametrize("stray", [ANSWER, b"HTTP/1", b"x"], ids=["answer", "part", "byte"])
@pytest.mark.parametrize("is_known", [True, False], ids=["by-lines", "by-parser"])
async def test_a_body_behind_an_answer_without_one_ends_the_connection(
    app: App, stray: bytes, is_known: bool
) -> None:
    """It is counted, whichever way the head was read."""
    future = app.ask(heads=ResponseFields("s").of_apps if is_known else None)
    app.connection.data_received(b"HTTP/1.1 304 Not Modified\r\nA: b\r\n\r\n")
    app.connection.data_received(stray)
    assert is_known == isinstance(await future, LengthlessAnswer)
    assert [app.connection] == app.strayed
    assert not app.connection.finish()


async def begun(app: App, length: int, start: bytes) -> KnownHead:
    """The head of an answer that needs no parser, of whose body ``start`` has come."""
    future = app.ask(heads=ResponseFields("s").of_apps)
    app.connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + start)
    answer = await future
    assert isinstance(answer, KnownHead)
    assert 200 == answer.status
    return answer


async def test_the_body_of_a_known_head_is_counted(app: App) -> None:
    """It ends with its length, and the connection serves the next request."""
    body = (await begun(app, 5, b"he")).body
    assert b"he" == await body.readany()
    coming = asyncio.ensure_future(body.readany())
    await asyncio.sleep(0)
    app.connection.data_received(b"llo")
    assert [b"llo", b""] == [await coming, await body.readany()]
    assert app.connection.finish()
    assert b"hello" == (await app.exchange()).whole


async def test_bytes_behind_a_counted_body_end_the_connection(app: App) -> None:
    """The client gets the body, and no other request gets what follows it."""
    body = (await begun(app, 5, b"")).body
    app.connection.data_received(b"hello" + ANSWER)
    assert [b"hello", b""] == [await body.readany(), await body.readany()]
    assert not app.connection.finish()


async def test_a_connection_is_not_clean_before_a_counted_body_has_ended(app: App) -> None:
    """The rest would be the next request's answer."""
    await begun(app, 5, b"hell")
    assert not app.connection.finish()


@pytest.mark.parametrize("is_aborted", [False, True])
async def test_a_counted_body_that_is_broken_off_is_no_end(app: App, *, is_aborted: bool) -> None:
    """Its reader gets the error."""
    body = (await begun(app, 5, b"")).body
    coming = asyncio.ensure_future(body.readany())
    await asyncio.sleep(0)
    if not is_aborted:
        app.connection.eof_received()
    app.connection.connection_lost(ConnectionResetError() if is_aborted else None)
    with pytest.raises(UpstreamUnreachable, match="Reset" if is_aborted else "in the middle"):
        await coming


async def test_an_app_is_not_read_faster_than_its_client_reads(app: App) -> None:
    """Reading pauses when the buffer is full, and goes on when it is read."""
    app.transport.is_reading_now = True
    body = (await begun(app, 1 << 20, b"b" * (1 << 17))).body
    assert app.transport.is_reading_now
    app.connection.data_received(b"b")
    assert not app.transport.is_reading_now
    assert 1 + (1 << 17) == len(await body.readany())
    assert app.transport.is_reading_now


async def test_a_connection_with_an_unread_body_serves_the_next_request(app: App) -> None:
    """All of the body has come, and its client has left: reading, which was paused, goes on."""
    app.transport.is_reading_now = True
    size = 1 + (1 << 17)
    body = (await begun(app, size, b"b")).body
    app.connection.data_received(b"b" * (size - 1))
    assert (True, False) == (body.is_eof(), app.transport.is_reading_now)
    assert app.connection.finish()
    assert app.transport.is_reading_now
    assert b"hello" == (await app.exchange()).whole


@pytest.mark.parametrize("is_taken", [False, True])
async def test_a_connection_whose_request_is_not_taken_serves_no_other(
    app: App, *, is_taken: bool
) -> None:
    """An app that answers without the body may close, and the next request would wait behind it."""
    future = app.ask(heads=ResponseFields("s").of_apps)
    app.connection.pause_writing()
    if is_taken:
        app.connection.resume_writing()
    app.connection.data_received(ANSWER)
    assert b"hello" == cast("WholeAnswer", await future).body
    assert is_taken == app.connection.finish()


async def test_an_answer_to_head_is_parsed(app: App) -> None:
    """What looks like its body would be the next answer."""
    future = app.ask("HEAD", ResponseFields("s").of_apps)
    app.connection.data_received(ANSWER)
    assert isinstance(await future, ResponseHead)
    assert not app.connection.finish()


async def test_a_body_is_streamed(app: App) -> None:
    """Head first; the connection is not clean before the body has ended."""
    future = app.ask()
    app.connection.data_received(ANSWER[:-2])
    answer = await future
    assert answer.whole is None
    app.connection.data_received(b"lo")
    assert b"hello" == await answer.body.read()
    assert app.connection.finish()


async def test_interim_answers_precede_the_final_one(app: App) -> None:
    """Each is handed on."""
    answer = await app.exchange(b"HTTP/1.1 103 Early Hints\r\n\r\n" + ANSWER)
    assert [103] == app.interim
    assert 200 == answer.message.code


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"SSH-2.0-x\r\n", "not HTTP/1", id="no-http"),
        pytest.param(b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n", "status", id="status"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "^Bad", id="malformed"),
    ],
)
async def test_answers_that_cannot_be_read(app: App, data: bytes, reason: str) -> None:
    """The exchange fails, and the connection is closed."""
    with pytest.raises(BadUpstreamAnswer, match=reason):
        await app.exchange(data)
    assert ["abort"] == app.transport.done
    assert not app.connection.finish()


async def test_unsolicited_bytes_end_the_connection(app: App) -> None:
    """They must not become the next request's answer."""
    await app.exchange()
    assert app.connection.finish()
    app.connection.data_received(ANSWER)
    assert ["abort"] == app.transport.done


async def test_a_second_answer_makes_the_connection_unusable(app: App) -> None:
    """It came in the same read as the first one."""
    await app.exchange(ANSWER + ANSWER)
    assert not app.connection.finish()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), id="close"),
        pytest.param(ANSWER[:-1], id="incomplete"),
        pytest.param(ANSWER + b"HTTP/1", id="part-of-another"),
    ],
)
async def test_connections_that_serve_no_other_request(app: App, data: bytes) -> None:
    """Only a clean end keeps a connection."""
    await app.exchange(data)
    assert not app.connection.finish()


async def test_a_connection_that_was_marked_serves_no_other_request(app: App) -> None:
    """The app may read what was not sent of a body as a request."""
    await app.exchange()
    app.connection.mark_unusable()
    assert not app.connection.finish()


async def test_an_answer_to_head_has_no_body(app: App) -> None:
    """And its parser is used once."""
    future = app.ask("HEAD")
    app.connection.data_received(ANSWER[:-5])
    assert (await future).body.is_eof()
    assert not app.connection.finish()


async def test_a_trailer_is_no_field_of_the_next_answer(app: App) -> None:
    """The parser is a new one after chunks."""
    await app.exchange(CHUNKED + b"0\r\nX-Late: yes\r\n\r\n")
    assert app.connection.finish()
    assert "X-Late" not in (await app.exchange()).message.headers


async def test_a_connection_that_is_lost_fails_the_exchange(app: App) -> None:
    """And its pool is told."""
    future = app.ask()
    app.connection.connection_lost(None)
    with pytest.raises(UpstreamUnreachable, match="closed"):
        await future
    assert [app.connection] == app.lost


async def test_a_body_that_is_broken_off_is_no_end(app: App) -> None:
    """Its reader gets the error."""
    future = app.ask()
    app.connection.data_received(ANSWER[:-2])
    answer = await future
    app.connection.eof_received()
    with pytest.raises(UpstreamUnreachable):
        await answer.body.read()


async def test_closing_ends_a_body_without_a_length(app: App) -> None:
    """As HTTP/1.0 apps do."""
    future = app.ask()
    app.connection.data_received(b"HTTP/1.0 200 OK\r\n\r\nhel")
    answer = await future
    app.connection.data_received(b"lo")
    app.connection.eof_received()
    assert b"hello" == await answer.body.read()
    assert not app.connection.finish()


async def test_an_app_that_does_not_answer_is_given_up(app: App) -> None:
    """When its time is over, not before."""
    future = app.ask()
    app.connection.expect_within(5.0)
    now_s = asyncio.get_running_loop().time()
    app.connection.check_deadline(now_s + 4.9)
    assert not future.done()
    app.connection.check_deadline(now_s + 5.1)
    with pytest.raises(UpstreamTimeout, match="no answer"):
        await future


async def test_an_app_that_takes_nothing_is_given_up(app: App) -> None:
    """The request's body waits; the answer's future gets the time-out."""
    future = app.ask()
    app.connection.pause_writing()
    draining = asyncio.create_task(app.connection.drain_within(5.0))
    await asyncio.sleep(0)
    app.connection.check_deadline(asyncio.get_running_loop().time() + 5.1)
    with pytest.raises(UpstreamTimeout):
        await future
    app.connection.connection_lost(ConnectionResetError())
    with pytest.raises(UpstreamUnreachable):
        await draining


async def test_what_follows_a_101_is_kept(app: App) -> None:
    """It belongs to the new protocol."""
    future = app.ask()
    head = b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    app.connection.data_received(head + b"tail")
    assert 101 == (await future).message.code
    assert b"tail" == app.connection.tail
    assert not app.transport.is_reading_now


async def test_a_body_outlasts_its_connection(app: App) -> None:
    """All that came is read, though reading was paused when the connection was lost."""
    future = app.ask()
    app.connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n")
    app.connection.data_received(b"x" * 300_000)
    answer = await future
    app.connection.eof_received()
    app.connection.connection_lost(None)
    assert 300_000 == len(await answer.body.read())
    assert not app.connection.finish()


HEAD_ONLY = {
    "head": ("HEAD", ANSWER[:-5]),
    "204": ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    "304": ("GET", b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n'),
    "304-with-a-length": ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
    "204-in-chunks": ("GET", b"HTTP/1.1 204 Fine\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "after-an-interim-answer": (
        "HEAD",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    ),
}
STRAYS = {
    "text": b"hello",
    "an-answer": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "chunks": b"5\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("stray", STRAYS.values(), ids=STRAYS.keys())
@pytest.mark.parametrize(("method", "head"), HEAD_ONLY.values(), ids=HEAD_ONLY.keys())
async def test_an_answer_without_a_body_ends_at_its_head(
    app: App, method: str, head: bytes, stray: bytes
) -> None:
    """Wherever the bytes are cut: what follows is dropped, counted once, and nothing is reused."""
    data = head + stray
    for cut in range(len(data) + 1):
        app = App()
        future = app.ask(method)
        for part in (data[:cut], data[cut:]):
            app.connection.data_received(part)
        answer = await future
        assert (head.count(b"204"), head.count(b"304")) == (
            int(answer.message.code == 204),
            int(answer.message.code == 304),
        )
        assert (True, b"") == (answer.body.is_eof(), answer.whole or b"")
        assert not app.connection.finish()
        assert [app.connection] == app.strayed
        app.deadlines.close()


@pytest.mark.parametrize(
    ("head", "is_kept"),
    [
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", True, id="204"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n", True, id="304"),
        pytest.param(
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", False, id="announced-length"
        ),
        pytest.param(
            b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
            False,
            id="announced-chunks",
        ),
    ],
)
async def test_a_connection_is_kept_after_an_answer_that_announces_no_body(
    app: App, head: bytes, is_kept: bool
) -> None:
    """A body that is announced may still come."""
    await app.exchange(head)
    assert is_kept is app.connection.finish()
    assert [] == app.strayed


async def test_a_body_after_interim_answers_is_no_stray(app: App) -> None:
    """However the bytes are cut, the body is that of the final answer."""
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + CHUNKED
    data += b"5\r\nhello\r\n0\r\n\r\n"
    for cut in range(1, len(data)):
        app = App()
        future = app.ask()
        app.connection.data_received(data[:cut])
        app.connection.data_received(data[cut:])
        answer = await future
        assert b"hello" == (answer.whole if answer.whole is not None else await answer.body.read())
        assert [100, 103] == app.interim
        assert app.connection.finish()
        assert [] == app.strayed
        app.deadlines.close()


async def test_bytes_on_an_idle_connection_are_counted(app: App) -> None:
    """It is closed, too."""
    await app.exchange()
    assert app.connection.finish()
    app.connection.data_received(b"hello")
    assert (["abort"], [app.connection]) == (app.transport.done, app.strayed)


async def test_bytes_of_the_answer_before_are_no_answer(app: App) -> None:
    """They came after the next request: it may be sent again, as if the connection were lost."""
    await app.exchange(b"HTTP/1.1 304 Not Modified\r\n\r\n")
    assert app.connection.finish()
    app.connection.idle_since_s = 1.0
    with pytest.raises(UpstreamUnreachable):
        await app.exchange(b"<html>")
    assert app.connection.lacks_body
    assert [app.connection] == app.strayed

"""What a connection remembers of its last message never decides about the next one."""

import asyncio
import itertools

import pytest

from tests.fakes.http import connected, fetch
from tests.fakes.upstream import Seen
from tests.fakes.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {"connections": "1"}

OURS = "Origin: http://localhost"


async def test_a_session_that_ends_between_two_requests(around: World) -> None:
    """The same bytes on the same connection are authenticated first, and then not."""
    cookie = await around.sign_in()
    request = f"GET /private HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n\r\n".encode()
    async with connected(around.port) as client:
        for _ in range(3):
            assert 200 == (await (await client.send(request)).answer()).status
        assert 204 == (await fetch(around.port, "DELETE", "/_gateway/session", cookie, OURS)).status
        answer = await (await client.send(request)).answer()
        assert (401, "session_ended") == (answer.status, answer.code)


async def test_another_target_over_the_same_fields(around: World) -> None:
    """Public, private and nonsense in turn: each is decided on by itself."""
    fields = b" HTTP/1.1\r\nHost: localhost\r\nX-T: v\r\n\r\n"
    async with connected(around.port) as client:
        for _ in range(2):
            for target, status in ((b"/public/x", 200), (b"/private", 401), (b"/slashes/x", 200)):
                await client.send(b"GET " + target + fields)
                assert status == (await client.answer()).status
        await client.send(b"GET /public/../private" + fields)
        assert (400, "bad_target") == ((answer := await client.answer()).status, answer.code)


async def test_the_same_head_over_other_bodies(around: World) -> None:
    """Each caller gets the body of its own answer."""
    numbers = itertools.count(10)

    async def count(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n%d" % next(numbers))
        await writer.drain()

    around.app.answers["/public/c"] = count
    async with connected(around.port) as one, connected(around.port) as two:
        for number in range(10, 20, 2):
            for offset, client in enumerate((one, two)):
                await client.send(b"GET /public/c HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b"%d" % (number + offset) == (await client.answer()).body


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b"hel", id="short"),
        pytest.param(b"hello", id="whole"),
        pytest.param(b"hello world", id="long"),
    ],
)
async def test_an_answer_to_head_that_repeats_the_answer_to_get(rest: bytes, around: World) -> None:
    """A body that HEAD must not have is discarded."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"

    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(head + (rest if seen.method == "HEAD" else b"hello"))
        await writer.drain()

    around.app.answers["/public/h"] = answer
    async with connected(around.port) as client:
        for _ in range(3):
            await client.send(b"GET /public/h HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"hello" == (await client.answer()).body
            await client.send(b"HEAD /public/h HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await client.answer("HEAD")).status in {200, 502}


async def test_an_answer_that_is_longer_the_second_time(around: World) -> None:
    """The same head with more behind it than it says: the rest is discarded."""
    turns = itertools.cycle([b"", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"])

    async def answer(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" + next(turns))
        await writer.drain()

    around.app.answers["/public/l"] = answer
    async with connected(around.port) as client:
        for _ in range(9):
            await client.send(b"GET /public/l HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"hello" == (await client.answer()).body

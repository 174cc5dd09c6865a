"""Every hostile answer, from a real app through a real gateway to a client with its own parser."""

import asyncio
import secrets
from collections import Counter

import pytest

from tests.fakes.http import connected
from tests.fakes.upstream import Seen
from tests.fakes.world import World
from tests.hostile.answers import CASES, Case

asynchronous = pytest.mark.asyncio(loop_scope="module")

CONFIG_CHANGES = {
    "app_timeouts": "{connect: 1s, response: 1s, idle: 1s}",
    "connections": "8",
}
"""The gateway has little patience with its app."""

LONG_BYTES = 5000
OURS = ("X-Request-Id", "Date")
"""Fields that the gateway writes; a Date where the app has sent none."""


def test_table() -> None:
    """The table is long, and no case of it hides another."""
    assert len(CASES) >= 40
    assert [name for name, times in Counter(case.id for case in CASES).items() if times > 1] == []


@asynchronous
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_verdict(case: Case, around: World) -> None:
    """The client sees what the table says, and the next one sees nothing of it."""
    around.app.answer("/public/a", case.raw, then_close=case.then_close)
    await _judge(case, around)


@asynchronous
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.id) for case in CASES if len(case.raw) < LONG_BYTES],
)
async def test_in_single_octets(case: Case, around: World) -> None:
    """
    However its bytes are cut up, a good answer is the same.

    A bad one may have begun when it goes wrong; then it breaks off. The next is untouched anyway.
    """

    async def trickle(_: Seen, writer: asyncio.StreamWriter) -> None:
        for octet in case.raw:
            writer.write(bytes([octet]))
            await asyncio.sleep(0)
        if case.then_close:
            writer.close()

    around.app.answers["/public/a"] = trickle
    if not case.code:
        await _judge(case, around)
        return
    async with connected(around.port) as client:
        await client.send(_request(case))
        await client.reader.read(1)
    await _next_is_untouched(around)


async def _judge(case: Case, around: World) -> None:
    async with connected(around.port) as client:
        await client.send(_request(case))
        answer = await client.answer(case.method)
        assert (case.status, case.is_complete) == (answer.status, answer.is_complete)
        if not case.code:
            assert case.body == answer.body
        elif case.method != "HEAD":
            assert case.code == answer.code
        if case.is_complete and not case.code:
            sent = [field for field in answer.headers if field[0] not in OURS]
            assert list(case.fields) == sent
            assert case.reason is None or case.reason == answer.reason
    await _next_is_untouched(around)


def _request(case: Case) -> bytes:
    return f"{case.method} /public/a HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def _next_is_untouched(around: World) -> None:
    """Two more get their own answers, which no connection has seen before."""
    for _ in range(2):
        nonce = secrets.token_hex(8)
        length = "Content-Length: 16\r\n"
        around.app.answer(
            "/public/next", f"HTTP/1.1 200 OK\r\n{length}X-T: {nonce}\r\n\r\n{nonce}".encode()
        )
        answer = await around.get("/public/next")
        assert (200, nonce.encode(), True) == (answer.status, answer.body, answer.is_complete)
        sent = [field for field in answer.headers if field[0] not in OURS]
        assert [("X-T", nonce), ("Content-Length", "16")] == sent

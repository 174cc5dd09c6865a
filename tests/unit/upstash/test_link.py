"""Connections to the store, against a real one and one that misbehaves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio

from gateway.store.embedded import EmbeddedServer
from gateway.upstash import link as module
from gateway.upstash.commands import READ_ONLY_USER, STANDARD_USER
from gateway.upstash.link import LinkBroken, LinkPool, RepliesTooLong, open_link
from gateway.upstash.resp import ErrorReply, StatusReply

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def socket_path() -> AsyncIterator[str]:
    """The socket of a real store."""
    server = EmbeddedServer()
    await server.start()
    yield server.url.removeprefix("unix://")
    await server.stop()


@asynccontextmanager
async def _fake(answer: Answer) -> AsyncIterator[str]:
    """The socket of a store that does with each connection what ``answer`` does."""

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        finally:
            writer.close()

    with TemporaryDirectory() as directory:
        path = str(Path(directory) / "s")
        server = await asyncio.start_unix_server(closing, path)
        try:
            yield path
        finally:
            server.close()


@asynccontextmanager
async def _pool(path: str, user: str = STANDARD_USER) -> AsyncIterator[LinkPool]:
    """A pool whose connections are closed in the end."""
    pool = LinkPool(path, user)
    try:
        yield pool
    finally:
        pool.close()
        await asyncio.sleep(0)  # transports close in the next round of the loop


async def _values(pool: LinkPool, *words: str) -> list[object]:
    replies = await pool.exchange([tuple(word.encode().split()) for word in words])
    return [reply.value for reply in replies]


async def test_commands_are_answered_in_order(socket_path: str) -> None:
    """As the user of the pool; connections are kept."""
    async with _pool(socket_path) as pool:
        assert [StatusReply(b"OK"), b"1"] == await _values(pool, "SET a 1", "GET a")
        ids = await asyncio.gather(*(_values(pool, "ACL LIST", "GET a") for _ in range(50)))
        assert all(isinstance(reply[0], ErrorReply) and b"1" == reply[1] for reply in ids)
        assert 1 <= len(pool._idle) <= module.MAX_LINKS


@pytest.mark.parametrize(
    ("user", "command", "is_allowed"),
    [
        *((STANDARD_USER, words, True) for words in ("SET a 1", "KEYS *", "FLUSHALL", "INFO")),
        *((STANDARD_USER, words, True) for words in ("EVAL x 0", "XREAD STREAMS s 0", "SCAN 0")),
        *((STANDARD_USER, words, False) for words in ("CONFIG GET dir", "SHUTDOWN", "SAVE")),
        *((STANDARD_USER, words, False) for words in ("SLOWLOG GET", "ACL WHOAMI", "BLPOP a 1")),
        *((STANDARD_USER, words, False) for words in ("REPLICAOF a 1", "LATENCY RESET", "MONITOR")),
        *((STANDARD_USER, words, False) for words in ("SWAPDB 0 1", "SCRIPT DEBUG YES")),
        *((STANDARD_USER, words, False) for words in ("MIGRATE h 1 a 0 1", "BGREWRITEAOF")),
        *((READ_ONLY_USER, words, True) for words in ("GET a", "XREAD STREAMS s 0", "PING")),
        *((READ_ONLY_USER, words, True) for words in ("HSCAN h 0", "MGET a b", "ECHO a")),
        *((READ_ONLY_USER, words, False) for words in ("SET a 1", "KEYS *", "SCAN 0", "DEL a")),
        *((READ_ONLY_USER, words, False) for words in ("EVAL x 0", "PUBLISH c m", "FLUSHALL")),
        *((READ_ONLY_USER, words, False) for words in ("SUBSCRIBE c", "SCRIPT LOAD x", "INFO")),
    ],
)
async def test_users_may_do_what_their_token_stands_for(
    socket_path: str, user: str, command: str, *, is_allowed: bool
) -> None:
    """The store itself refuses the rest, in transactions and scripts too."""
    async with _pool(socket_path, user) as pool:
        [value] = await _values(pool, command)
        text = value.text if isinstance(value, ErrorReply) else b""
        assert is_allowed != text.startswith(b"NOPERM")


async def test_a_store_that_is_gone_is_a_fault(tmp_path: Path) -> None:
    """Of a pool as of a stream."""
    with pytest.raises(LinkBroken, match="FileNotFoundError"):
        await LinkPool(str(tmp_path / "none"), STANDARD_USER).exchange([(b"PING",)])
    with pytest.raises(LinkBroken, match="FileNotFoundError"):
        async with open_link(str(tmp_path / "none"), None):
            pass


async def test_a_connection_that_was_lost_is_replaced() -> None:
    """A store that was restarted is reached by new connections; its users are set again."""
    seen: list[bytes] = []

    async def two_exchanges(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(1000))
        writer.write(b"+OK\r\n+OK\r\n")
        await reader.read(1000)
        writer.write(b"+PONG\r\n")

    async with _fake(two_exchanges) as path, _pool(path) as pool:
        for _ in range(3):
            assert [StatusReply(b"PONG")] == await _values(pool, "PING")
            while pool._idle[0].is_usable:
                await asyncio.sleep(0)
    assert 3 == len(seen)
    assert all(b"SETUSER" in sent for sent in seen)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [(b"", "closed"), (b"+OK\r\n-ERR no\r\n", "ERR no"), (b"x\r\n", "RESP2")],
)
async def test_a_store_that_answers_wrongly_is_a_fault(sent: bytes, reason: str) -> None:
    """The connection is closed, and not used again."""

    async def wrongly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(sent)

    async with _fake(wrongly) as path, _pool(path) as pool:
        with pytest.raises(LinkBroken, match=reason):
            await _values(pool, "PING")
        assert [] == pool._idle


async def test_a_store_that_says_nothing_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the deadline; every wait has one."""
    monkeypatch.setattr(module, "EXCHANGE_S", 0.01)

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass

    async with _fake(never) as path:
        with pytest.raises(LinkBroken, match="TimeoutError"):
            await LinkPool(path, STANDARD_USER).exchange([(b"PING",)])
        with pytest.raises(LinkBroken, match="TimeoutError"):
            async with open_link(path, STANDARD_USER):
                pass


async def test_replies_are_bounded(socket_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One long reply, and many short ones; the next exchange is not disturbed."""
    monkeypatch.setattr(module, "MAX_REPLY_BYTES", 1000)
    async with _pool(socket_path) as pool:
        await _values(pool, f"SET long {'x' * 2000}", f"SET short {'x' * 300}")
        with pytest.raises(RepliesTooLong):
            await _values(pool, "GET long")
        with pytest.raises(RepliesTooLong):
            await _values(pool, *(["GET short"] * 4))
        assert [b"x" * 300] * 3 == await _values(pool, *(["GET short"] * 3))


async def test_an_exchange_that_is_cancelled_closes_its_connection(socket_path: str) -> None:
    """Its reply must not answer the next command."""
    async with _pool(socket_path) as pool:
        for _ in range(20):
            work = asyncio.create_task(_values(pool, "GET a"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            assert [b"yes"] == await _values(pool, "ECHO yes")

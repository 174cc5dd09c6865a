"""Heads of audit chains, over fakeredis, Valkey and Redis."""

from collections.abc import AsyncGenerator

from redis.asyncio import Redis

from gateway.audit.chain import Head
from gateway.audit.heads import Heads
from gateway.store.redis import RedisStore
from tests.fakes.audit import FILE, TIME_MS

WRITER = "edge:gateway:1"


async def keys(*names: str) -> AsyncGenerator[str, None]:
    for name in names:
        yield name


async def test_the_latest_head_is_kept(store: RedisStore, client: Redis) -> None:
    """A late message with an older one changes nothing; a head expires after 400 days."""
    heads = Heads(store)
    second, third = (Head(seq, str(seq) * 64, TIME_MS + seq, FILE) for seq in (2, 3))
    for head in (third, second):
        await heads.write(WRITER, head)
    [key] = [name async for name in client.scan_iter("*audit:*")]
    assert key.endswith(b"audit:edge:gateway:1")
    assert 399 * 86_400 < await client.ttl(key) <= 400 * 86_400
    found = await heads.read(keys(f"audit:{WRITER}", "audit:none"))
    assert {WRITER: third} == found


async def test_a_head_that_cannot_be_read_is_none(store: RedisStore) -> None:
    """A gateway writes over it."""
    heads = Heads(store)
    at = f"audit:{WRITER}"
    await store.set(at, b"?", expires_at_ms=4_000_000_000_000)
    assert {} == await heads.read(keys(at))
    head = Head(1, "1" * 64, TIME_MS, FILE)
    await heads.write(WRITER, head)
    assert {WRITER: head} == await heads.read(keys(at))

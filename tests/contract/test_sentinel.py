"""What happens to the gateway's store when Redis Sentinel makes another server the primary."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from itertools import count

import pytest
import redis

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Script, Store
from gateway.core.replies import is_count
from gateway.store.bus import StoreBus
from gateway.store.connect import redis_client
from gateway.store.kinds import server_of
from gateway.util.background import background
from tests.fakes.redis_kinds import (
    MASTER,
    SENTINEL_PASSWORD,
    Process,
    SentinelGroup,
    sentinel_group,
)
from tests.fakes.servers import eventually

pytestmark = pytest.mark.timeout(90)

TIMEOUT_S = 1.0
ADD = Script("add", "return redis.call('INCRBY', KEYS[1], ARGV[1])", is_count)


@pytest.fixture
def group() -> Iterator[SentinelGroup]:
    """A group for this test alone, which may do to it what it likes."""
    with sentinel_group() as running:
        yield running


@pytest.fixture
async def store(group: SentinelGroup) -> AsyncIterator[Store]:
    """A store whose time-out is short, and yet long enough for servers on a busy machine."""
    options = group.options._replace(timeout_s=TIMEOUT_S, connect_timeout_s=TIMEOUT_S)
    opened = server_of(options).store(lambda: None)
    yield opened
    await opened.aclose()


def in_a_minute_ms() -> int:
    return int((time.time() + 60) * 1000)


async def _writes(store: Store) -> bool:
    try:
        await store.set("k", b"after", expires_at_ms=in_a_minute_ms())
    except StoreUnavailable:
        return False
    return True


async def test_the_next_primary_is_found_when_one_dies(group: SentinelGroup, store: Store) -> None:
    """Without a restart; calls are refused meanwhile, and the subscriber follows."""
    heard: list[bytes] = []
    subscribed = asyncio.Event()
    listening = server_of(group.options).listen("c", heard.append, subscribed.set)
    async with background(listening):
        await store.set("k", b"before", expires_at_ms=in_a_minute_ms())
        await subscribed.wait()
        subscribed.clear()
        dead = group.master()
        with group.is_brisk():
            dead.kill()
            with pytest.raises(StoreUnavailable):
                await store.set("k", b"lost", expires_at_ms=in_a_minute_ms())

            await eventually(lambda: _writes(store), within_s=30)

        assert b"after" == await store.get("k")
        assert group.master() is not dead
        async with asyncio.timeout(30):
            await subscribed.wait()
        await StoreBus(store)._store.publish("c", b"hello")
        await eventually(lambda: _is_heard(heard), within_s=10)


async def _is_heard(heard: list[bytes]) -> bool:
    return heard == [b"hello"]


async def test_a_primary_that_hangs_and_wakes_is_left(group: SentinelGroup, store: Store) -> None:
    """What is written after the failover is on the new one, and stays."""
    await store.set("k", b"before", expires_at_ms=in_a_minute_ms())
    old = group.master()
    with group.is_brisk():
        old.pause()
        try:
            await eventually(lambda: _writes(store), within_s=30)
        finally:
            old.resume()
    [new] = [each for each in group.servers if each is not old]

    for number in range(20):
        assert number + 1 == await store.run(ADD, ["n"], [1])

    assert b"20" == _value_at(new, "gw:n")


async def test_a_primary_that_is_replaced_is_left(group: SentinelGroup, store: Store) -> None:
    """Also while it still takes writes, which are lost: the sentinels are asked again."""
    assert await _writes(store)
    old = group.master()
    url = f"redis://:{SENTINEL_PASSWORD}@127.0.0.1:{group.sentinels[0].port}"
    async with redis_client(url, 5) as sentinel:
        await sentinel.execute_command("SENTINEL", "FAILOVER", MASTER)  # type: ignore[no-untyped-call]
    [new] = [each for each in group.servers if each is not old]
    marks = count()

    async def writes_there() -> bool:
        mark = str(next(marks)).encode()
        with suppress(StoreUnavailable):
            await store.set("k", mark, expires_at_ms=in_a_minute_ms())
        return group.is_running_as("master", new) and _value_at(new, "gw:k") == mark

    await eventually(writes_there, within_s=30)

    assert await store.get("k") == _value_at(new, "gw:k")
    assert old.is_running


def _value_at(server: Process, key: str) -> object:
    """On a connection of its own: sentinels close those that there are."""
    with redis.Redis(port=server.port) as client:
        return client.get(key)


async def test_sentinels_that_are_away_are_not_waited_for(group: SentinelGroup) -> None:
    """One is dead, and another hangs: what the third says is believed then."""
    dead, hanging, _ = group.sentinels
    hanging.pause()
    dead.kill()
    store = server_of(group.options._replace(timeout_s=5.0, connect_timeout_s=1.0)).store(
        lambda: None
    )
    try:
        assert await _writes(store)
    finally:
        hanging.resume()
        dead.start()
        await store.aclose()


@pytest.mark.parametrize("name", ["other", MASTER])
async def test_what_the_sentinels_refuse_is_told(
    group: SentinelGroup, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """A name that they do not know, or a wrong password; neither is shown."""
    options = group.options._replace(url=group.url.replace(MASTER, name))
    if name == MASTER:
        login = options.sentinel_login._replace(password="s3cret")
        options = options._replace(sentinel_login=login)
    store = server_of(options).store(lambda: None)

    assert not await _writes(store)

    [message] = caplog.messages
    expected = "invalid username-password" if name == MASTER else "No such master"
    assert f"no sentinel names the primary {name}" in message
    assert expected in message
    assert "s3cret" not in message
    await store.aclose()

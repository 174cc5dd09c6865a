"""Faults of a real server: what the store does meanwhile, and that it goes on by itself."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

import pytest
import redis

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Script
from gateway.core.replies import is_count
from gateway.store.connect import redis_client
from gateway.store.redis import IN_FLIGHT, RedisStore
from tests.fakes.odd_store import odd_store, right
from tests.fakes.servers import RealServer, Servers, eventually

pytestmark = pytest.mark.timeout(60)

TIMEOUT_S = 2.0
FAR_MS = 2**42
ADD = Script("add", "return redis.call('INCRBY', KEYS[1], ARGV[1])", is_count)
LOOP = "while true do end"


class Wrong:
    """Counts the replies that were taken for those of other commands."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def wrong() -> Wrong:
    return Wrong()


@pytest.fixture
def server(servers: Servers) -> RealServer:
    """The Redis of the machine, with nothing in it."""
    server = servers("redis")
    with operating(server) as operator:
        operator.flushall()
    return server


@contextmanager
def operating(server: RealServer) -> Iterator["redis.Redis"]:
    """A client that may do anything."""
    with redis.Redis.from_url(server.url) as operator:
        yield operator


@contextmanager
def configured(server: RealServer, **options: object) -> Iterator[None]:
    """The server with other options for a while."""
    names = {name.replace("_", "-"): str(value) for name, value in options.items()}
    with operating(server) as operator:
        before = {name: str(operator.config_get(name)[name]) for name in names}
        for name, value in names.items():
            operator.config_set(name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                operator.config_set(name, value)


@pytest.fixture
async def store(server: RealServer, wrong: Wrong) -> AsyncIterator[RedisStore]:
    """A store on the server, which holds the key ``k``."""
    opened = RedisStore(redis_client(server.url, TIMEOUT_S), "", TIMEOUT_S, on_wrong_reply=wrong)
    await opened.set("k", b"v", expires_at_ms=FAR_MS)
    yield opened
    await opened.aclose()


async def _serves(store: RedisStore) -> bool:
    try:
        return await store.get("k") == b"v"
    except StoreUnavailable:
        return False


async def test_without_memory_writes_fail_and_reads_go_on(
    server: RealServer, store: RedisStore, wrong: Wrong
) -> None:
    """OOM concerns the command alone, in scripts too: no other caller is refused."""
    with configured(server, maxmemory=1):
        wrote, counted, read = await asyncio.gather(
            store.set("x", b"1", expires_at_ms=FAR_MS),
            store.run(ADD, ["n"], [1]),
            store.get("k"),
            return_exceptions=True,
        )
        assert b"v" == await store.get("k")

    assert b"v" == read
    assert ["OutOfMemoryError"] * 2 == [
        error.reason for error in (wrote, counted) if isinstance(error, StoreUnavailable)
    ]
    assert 1 == await store.run(ADD, ["n"], [1])
    assert 0 == wrong.count


async def test_a_key_that_was_evicted_is_absent(server: RealServer, store: RedisStore) -> None:
    """The store cannot tell it from one that has ended, so the policy must be noeviction."""
    with configured(server, maxmemory_policy="allkeys-random"):
        with configured(server, maxmemory=1):
            with operating(server) as operator, suppress(redis.ResponseError):
                operator.set("x", "1")
            assert await store.get("k") is None
        assert 1 == await store.run(ADD, ["n"], [1])


async def test_a_busy_server_is_unavailable_until_it_is_free(
    server: RealServer, store: RedisStore, wrong: Wrong
) -> None:
    """BUSY: a script of another program runs for too long. That is no wrong reply."""
    with configured(server, busy_reply_threshold=1), operating(server) as operator:
        looping = threading.Thread(target=_loop, args=(server,))
        looping.start()
        try:
            await eventually(lambda: _is_refused(store), within_s=20)
            with pytest.raises(StoreUnavailable):
                await store.set("x", b"1", expires_at_ms=FAR_MS)
        finally:
            _kill_script(operator)
            looping.join()

        await eventually(lambda: _serves(store), within_s=20)
    assert 0 == wrong.count


def _loop(server: RealServer) -> None:
    with operating(server) as client, suppress(redis.ResponseError):
        client.eval(LOOP, 0)


def _kill_script(operator: "redis.Redis") -> None:
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        with suppress(redis.ResponseError):
            operator.script_kill()
            return


async def _is_refused(store: RedisStore) -> bool:
    return not await _serves(store)


async def test_a_replica_without_its_primary_answers_nothing(
    mortal_server: RealServer,
) -> None:
    """MASTERDOWN is not "absent", so no session is taken for ended."""
    store = RedisStore(redis_client(mortal_server.url, TIMEOUT_S), "", TIMEOUT_S)
    await store.set("k", b"v", expires_at_ms=FAR_MS)
    with configured(mortal_server, replica_serve_stale_data="no"):
        with operating(mortal_server) as operator:
            operator.replicaof("127.0.0.1", "1")
        with pytest.raises(StoreUnavailable, match="MasterDownError"):
            await store.get("k")
        with operating(mortal_server) as operator:
            operator.replicaof("NO", "ONE")

    await eventually(lambda: _serves(store), within_s=20)
    await store.aclose()


@pytest.mark.parametrize(
    "error",
    [
        "LOADING Redis is loading the dataset in memory",
        "NOAUTH Authentication required.",
        "MASTERDOWN Link with MASTER is down",
        "CLUSTERDOWN The cluster is down",
        "MISCONF Errors writing to the AOF file",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "ERR max number of clients reached",
    ],
)
async def test_an_error_in_place_of_every_reply(servers: Servers, wrong: Wrong, error: str) -> None:
    """Reads and writes are refused, as if the server were away; it serves on when it is over."""

    def refuses(_: object, replies: list[object]) -> list[object]:
        return [redis.ResponseError(error)] * (len(replies) - 1) + replies[-1:]

    async with odd_store(servers("valkey").url) as relay:
        store = RedisStore(redis_client(relay.url, TIMEOUT_S), "", TIMEOUT_S, on_wrong_reply=wrong)
        await store.set("k", b"v", expires_at_ms=FAR_MS)
        relay.manner = refuses

        replies = await asyncio.gather(
            store.get("k"), store.set("x", b"1", expires_at_ms=FAR_MS), return_exceptions=True
        )

        assert [StoreUnavailable] * 2 == list(map(type, replies))
        relay.manner = right
        await eventually(lambda: _serves(store), within_s=20)
        await store.aclose()
    assert 0 == wrong.count


async def test_a_slow_server_is_waited_for_within_the_time_out(
    server: RealServer, store: RedisStore
) -> None:
    """All who wait get their replies, by one exchange or two."""
    with operating(server) as operator:
        operator.client_pause(100)

    assert [b"v"] * 50 == await asyncio.gather(*(store.get("k") for _ in range(50)))


async def test_garbage_is_no_reply(servers: Servers) -> None:
    """The connection is closed, and the next one serves."""
    async with odd_store(servers("valkey").url) as relay:
        store = RedisStore(redis_client(relay.url, TIMEOUT_S), "", TIMEOUT_S)
        await store.set("k", b"v", expires_at_ms=FAR_MS)
        opened = relay.opened
        relay.garbage = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        with pytest.raises(StoreUnavailable):
            await store.set("x", b"1", expires_at_ms=FAR_MS)
        relay.garbage = b""

        await eventually(lambda: _serves(store), within_s=20)
        assert relay.opened > opened
        await store.aclose()


async def test_a_server_that_comes_back_is_not_run_over(mortal_server: RealServer) -> None:
    """Hundreds of callers asked meanwhile; no more connections are opened than work at a time."""
    store = RedisStore(redis_client(mortal_server.url, TIMEOUT_S), "", TIMEOUT_S)
    await store.ping()
    mortal_server.kill()
    is_back = False

    async def ask() -> None:
        while True:
            with suppress(StoreUnavailable):
                await store.get("k")
                if is_back:
                    return
            await asyncio.sleep(0.001)

    asking = [asyncio.ensure_future(ask()) for _ in range(300)]
    await asyncio.to_thread(mortal_server.start)
    is_back = True
    async with asyncio.timeout(20):
        await asyncio.gather(*asking)

    with operating(mortal_server) as operator:
        received = operator.info("stats")["total_connections_received"]
    probes = 2  # the fake asks once more or less whether the server answers, and this client
    assert received <= IN_FLIGHT + probes
    await store.aclose()

"""Cache invalidations between processes, over every store."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_hex

import pytest
from redis.asyncio import Redis

from gateway.core.invalidation import InvalidationKind
from gateway.store.bus import StoreBus
from gateway.store.connect import redis_client as connect
from gateway.store.kinds import server_of
from gateway.store.pubsub import Subscriber
from gateway.store.redis import RedisStore
from gateway.store.server import StoreOptions
from gateway.util.background import background
from tests.fakes.redis_cluster import ClusterClient
from tests.fakes.servers import TIMEOUT_S, RealServer, Servers, eventually
from tests.fakes.upstash import REST, rest_server

SOON_S = 20.0


class Listener:
    """A process that records the invalidations it receives."""

    def __init__(self, store: RedisStore) -> None:
        self.bus = StoreBus(store, self.count_message, self.count_subscription)
        self.names: list[str] = []
        self.begun = 0
        self.counts: list[str] = []
        self.bus.on(InvalidationKind.SESSION, self.names.append)
        self.bus.on_missed(self._begin)

    def count_message(self, subject: str) -> None:
        self.counts.append(f"bus_messages {subject}")

    async def has_skipped_four(self) -> bool:
        return self.counts.count("bus_messages unreadable") == 4

    def count_subscription(self) -> None:
        self.counts.append("bus_subscriptions")

    def _begin(self) -> None:
        self.begun += 1

    async def has_begun(self, times: int = 1) -> None:
        """Wait until it was subscribed so many times."""

        async def is_so() -> bool:
            return self.begun >= times

        await eventually(is_so, within_s=SOON_S)

    async def has_received_what_was_published_before(self, store: RedisStore) -> None:
        """Nodes of a cluster pass messages on a little later: those of another test, too."""
        await self.has_begun()
        mark = f"session:{token_hex(8)}"
        await StoreBus(store).publish(InvalidationKind.SESSION, mark)

        async def is_so() -> bool:
            return mark in self.names

        await eventually(is_so, within_s=SOON_S)
        self.names.clear()
        self.counts.clear()

    async def has_received(self, *names: str) -> None:
        async def is_so() -> bool:
            return self.names == list(names)

        await eventually(is_so, within_s=SOON_S)


@asynccontextmanager
async def listening(
    client: Redis, store: RedisStore, silence_s: float = 5.0
) -> AsyncIterator[Listener]:
    """One that listens to the channel with the prefix of ``store``."""
    listener = Listener(store)
    bus = listener.bus
    if isinstance(client, ClusterClient):
        server = server_of(StoreOptions(client.cluster.url, "gw:"))
        reading = server.listen("invalidate", bus.receive, bus.subscribed)
    else:
        channel = "gw:invalidate"
        reading = Subscriber(client, channel, bus.receive, bus.subscribed, silence_s).run()
    async with background(reading):
        if isinstance(client, ClusterClient):
            await listener.has_received_what_was_published_before(store)
        yield listener


@pytest.fixture
async def listener(
    store_kind: str, client: Redis, store: RedisStore, servers: Servers
) -> AsyncIterator[Listener]:
    """One that listens to each kind of store."""
    if store_kind != REST:
        async with listening(client, store) as over_redis:
            yield over_redis
        return
    over_rest = Listener(store)
    bus = over_rest.bus
    async with (
        rest_server(servers("valkey").url) as server,
        background(server.listen("invalidate", bus.receive, bus.subscribed)),
    ):
        yield over_rest


async def test_other_processes_receive_what_is_published(
    listener: Listener, store: RedisStore
) -> None:
    """All of it, in order, those who have nothing to do with the publisher's memory too."""
    await listener.has_begun()
    other = StoreBus(store)
    for name in ("session:a", "session:b"):
        await other.publish(InvalidationKind.SESSION, name)
    await other.publish(InvalidationKind.USER, "did:ethr:0x1")

    await listener.has_received("session:a", "session:b")


async def test_unreadable_messages_are_skipped(listener: Listener, store: RedisStore) -> None:
    """
    Messages of a later version are counted, and later messages are received.

    Empty ones are of gateways that ask over REST whether their subscription lives.
    """
    await listener.has_begun()
    for message in (b"", b"\xff", b"session", b"session ", b"sudo session:a"):
        await store.publish("invalidate", message)
    await StoreBus(store).publish(InvalidationKind.SESSION, "session:a")

    await listener.has_received("session:a")
    await eventually(
        listener.has_skipped_four, within_s=SOON_S
    )  # a cluster has several ways for them
    assert 1 == listener.counts.count("bus_messages session")


async def test_other_channels_are_not_received(
    listener: Listener, store: RedisStore, client: Redis
) -> None:
    """Gateways with another prefix have memories of their own."""
    await listener.has_begun()
    await client.publish("invalidate", b"session session:theirs")
    await StoreBus(store).publish(InvalidationKind.SESSION, "session:ours")

    await listener.has_received("session:ours")


async def test_many_messages_do_not_hold_up_the_loop(
    real_client: Redis, real_store: RedisStore
) -> None:
    """Others have their turns while a flood is read."""
    async with listening(real_client, real_store) as listener:
        await listener.has_begun()
        pipe = real_client.pipeline(transaction=False)
        for number in range(5000):
            pipe.publish("gw:invalidate", b"session session:%d" % number)
        turns = 0
        sending = asyncio.ensure_future(pipe.execute())
        async with asyncio.timeout(SOON_S):
            while len(listener.names) < 5000:
                await asyncio.sleep(0)
                turns += 1
        await sending
    assert turns > 5000 / 64


async def test_a_cache_that_fails_does_not_stop_others(
    listener: Listener, store: RedisStore
) -> None:
    """Neither does it end the subscription."""
    listener.bus.on(InvalidationKind.USER, lambda _: 1 / 0)
    heard: list[str] = []
    listener.bus.on(InvalidationKind.USER, heard.append)
    await listener.has_begun()
    await StoreBus(store).publish(InvalidationKind.USER, "did:ethr:0x1")
    await StoreBus(store).publish(InvalidationKind.SESSION, "session:a")

    await listener.has_received("session:a")

    async def is_heard() -> bool:
        return heard == ["did:ethr:0x1"]

    await eventually(is_heard, within_s=SOON_S)


# --- a connection that breaks --------------------------------------------------------------------


async def test_a_broken_connection_is_replaced(real_client: Redis, real_store: RedisStore) -> None:
    """All caches are told that messages may have been missed."""
    async with listening(real_client, real_store) as listener:
        await listener.has_begun()
        await real_client.client_kill_filter(_type="pubsub")
        await listener.has_begun(2)
        await StoreBus(real_store).publish(InvalidationKind.SESSION, "session:after")

        await listener.has_received("session:after")


async def test_a_restarted_server_is_subscribed_to_again(mortal_server: RealServer) -> None:
    """However long it was away; nothing raises out of the wait."""
    client = connect(mortal_server.url, 0.5)
    store = RedisStore(connect(mortal_server.url, 0.5), "gw:", 0.5)
    mortal_server.kill()
    async with listening(client, store) as listener:
        await asyncio.sleep(0.3)
        assert 0 == listener.begun
        mortal_server.start()
        await listener.has_begun()
        mortal_server.restart()
        await listener.has_begun(2)
    await store.aclose()
    await client.aclose()


async def test_an_idle_connection_that_answers_is_kept(mortal_server: RealServer) -> None:
    """A silent connection is pinged, again and again."""
    client, onlooker = (connect(mortal_server.url, TIMEOUT_S) for _ in range(2))
    store = RedisStore(connect(mortal_server.url, TIMEOUT_S), "gw:", TIMEOUT_S)

    async def pings() -> int:
        return int((await onlooker.info("commandstats")).get("cmdstat_ping", {}).get("calls", 0))

    async with listening(client, store, silence_s=0.1) as listener:
        await listener.has_begun()
        since = listener.begun, await pings()

        async def is_kept() -> bool:
            nonlocal since
            now = listener.begun, await pings()
            if now[0] > since[0]:  # a busy machine answered too late
                since = now
            return now[1] >= since[1] + 3

        await eventually(is_kept, within_s=SOON_S)
    for each in (store, client, onlooker):
        await each.aclose()


async def test_a_dead_connection_that_looks_idle_is_detected(
    mortal_server: RealServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It is pinged, and replaced when it stays silent."""
    client = connect(mortal_server.url, TIMEOUT_S)
    store = RedisStore(connect(mortal_server.url, TIMEOUT_S), "gw:", TIMEOUT_S)

    async def is_given_up() -> bool:
        return bool(caplog.messages)

    async with listening(client, store, silence_s=0.1) as listener:
        await listener.has_begun()
        mortal_server.pause()
        await eventually(is_given_up, within_s=SOON_S)
        mortal_server.resume()
        await listener.has_begun(2)
    assert "not subscribed to the store's channel: ConnectionError: silent" in caplog.messages
    await store.aclose()
    await client.aclose()


async def test_a_server_that_never_replies_times_out(
    mortal_server: RealServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A balancer without a server accepts connections and sends nothing: they time out."""
    monkeypatch.setattr("gateway.store.pubsub._REPLY_S", 0.2)
    client, onlooker = connect(mortal_server.url, 0.2), connect(mortal_server.url, TIMEOUT_S)
    store = RedisStore(connect(mortal_server.url, TIMEOUT_S), "gw:", TIMEOUT_S)
    came: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    async with listening(client, store, silence_s=0.1) as listener:
        await listener.has_begun()
        await onlooker.ping()
        place = mortal_server.release_sockets()
        silent = await asyncio.start_unix_server(lambda _, writer: came.put_nowait(writer), place)
        await onlooker.client_kill_filter(_type="pubsub")
        held = [await asyncio.wait_for(came.get(), SOON_S)]
        mortal_server.rebind_sockets()
        await listener.has_begun(2)
        silent.close()
        while not came.empty():
            held.append(came.get_nowait())
        for writer in held:
            writer.close()
            await writer.wait_closed()
    for each in (store, client, onlooker):
        await each.aclose()

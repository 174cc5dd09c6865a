"""What callers of a Redis Cluster see while nodes die, and while slots move."""

import asyncio
import logging
import random
import secrets
import time
from asyncio import Task
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.invalidation import InvalidationKind
from gateway.core.ports import Script
from gateway.core.replies import is_count
from gateway.store.bus import StoreBus
from gateway.store.kinds import server_of
from gateway.store.login import LoginOptions
from gateway.store.redis import RedisStore
from gateway.store.server import StoreOptions
from gateway.store.store_check import examine
from gateway.util.background import background
from gateway.util.client_tls import ClientTlsFiles
from tests.fakes.redis_cluster import Node, RedisCluster, cluster_store
from tests.fakes.servers import eventually

TIMEOUT_S = 1.0
"""Four times the default of ``redis.timeout``: nodes on a busy machine reply within it."""
SOON_S = 20.0
KEYS = [f"key-{number}" for number in range(60)]
ADD = Script("add", "return redis.call('INCRBY', KEYS[1], ARGV[1])", is_count)


@pytest.fixture
def whole(cluster: RedisCluster) -> Iterator[RedisCluster]:
    """The cluster, empty; it is healed when the test is over."""
    cluster.heal()
    cluster.flush()
    yield cluster
    cluster.heal()


@pytest.fixture
async def store(whole: RedisCluster) -> AsyncIterator[RedisStore]:
    """A store that knows the topology."""
    opened = cluster_store(whole, timeout_s=TIMEOUT_S)
    await eventually(lambda: _answers(opened), within_s=SOON_S)
    yield opened
    await opened.aclose()


async def _answers(store: RedisStore, key: str = "") -> bool:
    try:
        await (store.get(key) if key else store.ping())
    except StoreUnavailable:
        return False
    return True


def in_ms(seconds: float) -> int:
    return int((time.time() + seconds) * 1000)


class Load:
    """Callers who read the same keys again and again, and note what they got and when."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self.refused: Counter[str] = Counter()
        self.wrong = 0
        self.last_s: dict[str, float] = {}
        """When each key was read last."""

    async def fill(self) -> None:
        writes = (self._store.set(k, k.encode(), expires_at_ms=in_ms(600)) for k in KEYS)
        await asyncio.gather(*writes)

    async def run(self) -> None:
        await asyncio.gather(*map(self._keep_reading, KEYS))

    async def _keep_reading(self, key: str) -> None:
        while True:
            try:
                self._note(key, await self._store.get(key))
            except StoreUnavailable:
                self.refused[key] += 1
            await asyncio.sleep(0.005)

    def _note(self, key: str, value: bytes | None) -> None:
        self.wrong += value != key.encode()
        self.last_s[key] = time.monotonic()

    async def has_read_all_since(self, since_s: float) -> bool:
        return all(self.last_s.get(key, 0) > since_s for key in KEYS)


def owned_by(node: Node, whole: RedisCluster, store: RedisStore) -> list[str]:
    ranges = [part for part in whole.slots() if part.node is node]
    return [
        key for key in KEYS if any(part.first <= store.slot_of(key) <= part.last for part in ranges)
    ]


async def _loaded(load: Load) -> Task[None]:
    await load.fill()
    running = asyncio.create_task(load.run())
    await eventually(lambda: load.has_read_all_since(0), within_s=SOON_S)
    return running


@pytest.fixture
def brisk(whole: RedisCluster) -> Iterator[RedisCluster]:
    """One whose replicas take over soon."""
    with whole.is_brisk():
        yield whole


async def test_a_primary_that_dies_is_followed_by_its_replica(
    brisk: RedisCluster, store: RedisStore
) -> None:
    """
    Its slots alone are refused until then, and for a moment after; no value is wrong.

    Where a gateway was subscribed on it, that hears the messages of the others by another node.
    """
    heard: list[bytes] = []
    begun: list[float] = []
    server = server_of(StoreOptions(brisk.url, "dies:"))  # messages of other tests may be late
    other = cluster_store(brisk, "dies:", TIMEOUT_S)
    listening = server.listen("invalidate", heard.append, lambda: begun.append(time.monotonic()))
    async with background(listening):
        await eventually(lambda: _count(begun, 1), within_s=SOON_S)
        victim = next(node for node in brisk.primaries if _is_subscribed(node))
        lost, load = set(owned_by(victim, brisk, store)), Load(store)
        running = await _loaded(load)
        replicas = [node for node in brisk.nodes if not node.is_primary]

        victim.kill()
        killed_s = time.monotonic()
        await eventually(lambda: _count(begun, 2), within_s=SOON_S)
        await StoreBus(other).publish(InvalidationKind.SESSION, "session:a")
        await eventually(lambda: _count(heard, 1), within_s=SOON_S)
        heard_s = time.monotonic()
        await eventually(lambda: _has_taken_over(replicas), within_s=SOON_S)
        taken_over_s = time.monotonic()
        meanwhile = {key for key, last_s in load.last_s.items() if last_s > heard_s}
        await eventually(lambda: load.has_read_all_since(taken_over_s), within_s=SOON_S)
        back_s = time.monotonic()
        running.cancel()
        await other.aclose()

    after = f"heard {heard_s - killed_s:.2f}, taken over {taken_over_s - killed_s:.2f}"
    logging.getLogger(__name__).info("%s, read %.2f s after the kill", after, back_s - killed_s)
    assert 0 == load.wrong
    assert lost <= set(load.refused)
    assert set(KEYS) - lost <= meanwhile
    assert back_s - taken_over_s < 5
    assert [b"session session:a"] == heard


async def _count(heard: list[bytes] | list[float], count: int) -> bool:
    return len(heard) >= count


def _is_subscribed(node: Node) -> bool:
    return bool(node.ask("PUBSUB", "NUMSUB", "dies:invalidate")[1])


async def _has_taken_over(replicas: list[Node]) -> bool:
    return any(node.is_primary for node in replicas)


async def test_a_primary_that_hangs_holds_up_its_own_slots_alone(
    whole: RedisCluster, store: RedisStore
) -> None:
    """Its callers wait for one time-out at most, and are served when it goes on."""
    node = whole.primaries[1]
    [key, *_] = own = owned_by(node, whole, store)
    [other, *_] = [other for other in KEYS if other not in own]
    await Load(store).fill()

    node.pause()
    try:
        began_s = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await store.get(key)
        waited_s = time.monotonic() - began_s
        assert other.encode() == await store.get(other)
    finally:
        node.resume()

    assert waited_s < 5
    await eventually(lambda: _answers(store, key), within_s=SOON_S)
    assert key.encode() == await store.get(key)


async def test_a_demoted_primary_is_left(whole: RedisCluster, store: RedisStore) -> None:
    """It lives on as a replica, and names its successor; reads and writes go on without a gap."""
    before = whole.primaries[2]
    [key, *_] = owned_by(before, whole, store)
    await store.set(key, b"1", expires_at_ms=in_ms(60))
    primary_id = before.id
    [replica] = [node for node in whole.nodes if f"slave {primary_id}" in _line_of(node)]
    replica.ask("CLUSTER", "FAILOVER")
    await eventually(lambda: _has_taken_over([replica]), within_s=SOON_S)
    await eventually(lambda: _is_replica(before), within_s=SOON_S)

    assert b"1" == await store.get(key)
    assert 2 == await store.run(ADD, [key], [1])
    assert "2" == replica.ask("GET", f"gw:{key}")


async def _is_replica(node: Node) -> bool:
    return not node.is_primary


def _line_of(node: Node) -> str:
    lines = str(node.ask("CLUSTER", "NODES")).splitlines()
    return next(line for line in lines if "myself," in line)


class Migration:
    """One slot on its way from one primary to another."""

    def __init__(self, whole: RedisCluster, slot: int) -> None:
        self.slot = slot
        self.source = whole.primary_of(slot)
        self.target = next(node for node in whole.primaries if node is not self.source)
        self._nodes = whole

    def begin(self) -> None:
        self.target.ask("CLUSTER", "SETSLOT", self.slot, "IMPORTING", self.source.id)
        self.source.ask("CLUSTER", "SETSLOT", self.slot, "MIGRATING", self.target.id)

    def move_keys(self) -> None:
        for key in self.source.ask("CLUSTER", "GETKEYSINSLOT", self.slot, 100):
            self.source.ask("MIGRATE", "127.0.0.1", self.target.tls_port, key, 0, 5000)

    def end(self) -> None:
        for node in (self.target, self.source, *self._nodes.primaries):
            node.ask("CLUSTER", "SETSLOT", self.slot, "NODE", self.target.id)


@pytest.fixture
def moving_key() -> str:
    """A key whose slot no other test moves: nodes need a second to agree on who has it."""
    return f"moving-{secrets.token_hex(8)}"


@pytest.fixture
def migration(whole: RedisCluster, store: RedisStore, moving_key: str) -> Iterator[Migration]:
    """That of the slot of `moving_key`, which is ended when the test is over."""
    moving = Migration(whole, store.slot_of(f"{{{moving_key}}}"))
    yield moving
    moving.move_keys()
    moving.end()


async def test_a_slot_that_moves_is_followed(
    store: RedisStore, migration: Migration, moving_key: str
) -> None:
    """Before, while and after it moves, each key has its value, and scripts run once."""
    key = f"{{{moving_key}}}"
    await store.set(key, b"1", expires_at_ms=in_ms(60))
    migration.begin()

    assert b"1" == await store.get(key)  # still there
    assert 2 == await store.run(ADD, [key], [1])
    migration.move_keys()
    assert b"2" == await store.get(key)  # ASK
    assert (b"2", b"2") == await store.get_pair(key, key)
    assert 3 == await store.run(ADD, [key], [1])  # the target does not know the script
    assert await store.delete(key)
    assert await store.add(key, b"4", expires_at_ms=in_ms(60))
    assert 5 == await store.run(ADD, [key], [1])
    migration.end()
    assert b"5" == await store.get(key)  # MOVED
    assert 6 == await store.run(ADD, [key], [1])
    assert "6" == migration.target.ask("GET", f"gw:{key}")


async def test_keys_that_are_half_moved_are_refused_in_time(
    store: RedisStore, migration: Migration, moving_key: str
) -> None:
    """TRYAGAIN is repeated until the time-out; the keys are served again when both have moved."""
    names = [f"{name}{{{moving_key}}}" for name in ("a", "b")]
    both = Script("both", "return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])}")
    await asyncio.gather(*(store.set(n, b"1", expires_at_ms=in_ms(60)) for n in names))
    migration.begin()
    migration.source.ask(
        "MIGRATE", "127.0.0.1", migration.target.tls_port, f"gw:{names[0]}", 0, 5000
    )

    with pytest.raises(StoreUnavailable):
        await store.run(both, names, [])
    waiting = asyncio.ensure_future(store.run(both, names, []))
    await asyncio.sleep(0)
    migration.move_keys()

    assert [b"1", b"1"] == await waiting


async def test_a_slot_that_no_node_serves(whole: RedisCluster, store: RedisStore) -> None:
    """CLUSTERDOWN: its callers are refused at once, and served when it has a node again."""
    key = KEYS[0]
    slot = store.slot_of(key)
    node = whole.primary_of(slot)
    node.ask("CLUSTER", "DELSLOTS", slot)

    began_s = time.monotonic()
    with pytest.raises(StoreUnavailable, match="ClusterDown"):
        await store.get(key)
    assert time.monotonic() - began_s < TIMEOUT_S
    node.ask("CLUSTER", "ADDSLOTS", slot)
    await eventually(lambda: _answers(store, key), within_s=SOON_S)


async def test_a_node_that_loads_its_data(whole: RedisCluster, store: RedisStore) -> None:
    """LOADING: callers of its slots are refused at once, others are served."""
    node = whole.primaries[0]
    [key, *_] = own = owned_by(node, whole, store)
    [other, *_] = [other for other in KEYS if other not in own]
    value = random.randbytes(3000)  # looks at its clients after 1 KiB of data, compressed
    await asyncio.gather(*(store.set(name, value, expires_at_ms=in_ms(600)) for name in KEYS))
    node.ask(
        *[
            "CONFIG",
            "SET",
            "key-load-delay",
            "20000",
            "loading-process-events-interval-bytes",
            "1024",
        ]
    )
    reloading = asyncio.create_task(asyncio.to_thread(node.ask, "DEBUG", "RELOAD"))
    try:
        await eventually(lambda: _is_refused(store, key), within_s=SOON_S)
        assert value == await store.get(other)
    finally:
        await reloading
        node.ask("CONFIG", "SET", "key-load-delay", 0)
    await eventually(lambda: _answers(store, key), within_s=SOON_S)
    assert value == await store.get(key)


async def _is_refused(store: RedisStore, key: str) -> bool:
    return not await _answers(store, key)


async def test_a_scan_finds_the_keys_of_all_primaries(
    whole: RedisCluster, store: RedisStore
) -> None:
    """Those with the prefix and the start that is asked for, whichever node holds them."""
    await Load(store).fill()
    await store.set("other", b"1", expires_at_ms=in_ms(60))

    found = [key async for key in server_of(StoreOptions(whole.url, "gw:")).scan("key-")]

    assert sorted(f"gw:{key}".encode() for key in KEYS) == sorted(found)


async def test_credentials_and_files_of_the_config(whole: RedisCluster, tmp_path: Path) -> None:
    """They hold for all nodes; those of another user are refused."""
    for node in whole.nodes:
        node.ask(
            "ACL", "SETUSER", "ops", "reset", "on", ">s3cret", "allkeys", "+@all", "allchannels"
        )
    url = whole.tls_url("").replace("@", "").partition("?")[0]
    tls = ClientTlsFiles(ca=str(whole.authority.file))
    (tmp_path / "password").write_text("s3cret\n")
    login = LoginOptions("ops", password_file=str(tmp_path / "password"))
    options = StoreOptions(url, "gw:", 2, login=login, tls=tls)
    store = server_of(options).store(lambda: None)
    await asyncio.gather(*(store.set(key, b"1", expires_at_ms=in_ms(60)) for key in KEYS))
    await store.ping()
    await store.aclose()

    findings = await examine(server_of(options), options)
    assert [] == [found for found in findings if found.level == "problem"]
    assert "all slots covered by 3 primaries" in [found.text for found in findings]
    wrong = options._replace(login=LoginOptions("ops", "another"))
    refused = server_of(wrong).store(lambda: None)
    with pytest.raises(StoreUnavailable):
        await refused.ping()
    await refused.aclose()


_PERMISSIONS = "~gw:* &gw:* -@all +get +set +del +incrby +eval +evalsha +publish +subscribe +ping"
_PERMISSIONS += " +echo +scan +cluster|slots +asking"


async def test_a_user_with_few_permissions_over_tls(
    whole: RedisCluster, migration: Migration, moving_key: str
) -> None:
    """User, password and CA hold for all nodes, also for those that are named in redirections."""
    for node in whole.nodes:
        node.ask("ACL", "SETUSER", "gw", "reset", "on", ">s3cret", *_PERMISSIONS.split())
    server = server_of(StoreOptions(whole.tls_url("gw:s3cret"), "gw:", timeout_s=2))
    store = server.store(lambda: None)
    key = f"{{{moving_key}}}"
    for name in (*KEYS, key):
        await store.set(name, b"1", expires_at_ms=in_ms(60))
    migration.begin()
    migration.move_keys()

    assert 2 == await store.run(ADD, [key], [1])  # ASK
    migration.end()
    assert 3 == await store.run(ADD, [key], [1])  # MOVED
    assert (b"3", b"1") == await store.get_pair(key, KEYS[0])
    assert len(KEYS) == len([found async for found in server.scan("key-")])
    await store.publish("invalidate", b"m")
    await store.ping()
    await store.aclose()

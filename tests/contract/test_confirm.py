"""Sign-ins that replicas confirm, on a group with sentinels and on a cluster."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import pytest

from gateway.core.errors import StoreUnavailable, TokenAlreadyUsed
from gateway.core.event import EventType
from gateway.core.ports import Store
from gateway.hooks.cloud_event import decode
from gateway.hooks.outbox import Outbox
from gateway.hooks.outboxes import Outboxes, Rooms
from gateway.hooks.recorder import EventRecorder
from gateway.sessions.redis import RedisSessions
from gateway.sessions.seal import Sealer
from gateway.store.confirm import Confirmation
from gateway.store.kinds import server_of
from gateway.store.server import StoreOptions
from gateway.store.store_check import examine
from tests.contract.test_recorded_sign_ins import proven
from tests.fakes.hooks import SOURCE
from tests.fakes.redis_cluster import RedisCluster
from tests.fakes.redis_kinds import PREFIX, USER, SecureRedis, SentinelGroup
from tests.fakes.servers import TIMEOUT_S, eventually

SOON_S, LONG_S = 0.1, 20.0
"""For replicas that are away, and for those that are there on a busy machine."""
Guarded = Callable[[str], SecureRedis | SentinelGroup]
BOTH = frozenset({EventType.FIRST_LOGIN, EventType.LOGIN})


class Replicated:
    """A store with replicas, which can be stopped."""

    def __init__(self, options: StoreOptions, replicas: list[Callable[[], object]]) -> None:
        self.options = options._replace(timeout_s=LONG_S, connect_timeout_s=LONG_S)
        self.missed: list[str] = []
        self._stop, self._resume = replicas

    @asynccontextmanager
    async def opened(
        self, *, is_required: bool, within_s: float = SOON_S
    ) -> AsyncIterator[tuple[Store, RedisSessions]]:
        """Open the store, and sessions whose sign-ins are confirmed."""
        confirm = Confirmation(
            1, within_s, is_required, lambda name, _cause: self.missed.append(name)
        )
        plain = server_of(self.options).store(lambda: None)
        waiting = server_of(self.options._replace(confirm=confirm)).store(lambda: None)
        recorder = EventRecorder(Outbox(plain, PREFIX, confirming=waiting), SOURCE, BOTH)
        try:
            await plain.ping()  # a cluster is asked for its slots, as long as all nodes answer
            await waiting.ping()
            yield plain, RedisSessions(plain, Sealer([b"k" * 32]), sign_ins=recorder)
        finally:
            await recorder.aclose()
            await waiting.aclose()
            await plain.aclose()

    @contextmanager
    def without_replicas(self) -> Iterator[None]:
        """Freeze them until the context ends."""
        self._stop()
        try:
            yield
        finally:
            self._resume()


@pytest.fixture(params=["sentinel", "cluster"])
def replicated(request: pytest.FixtureRequest, guarded: Guarded) -> Replicated:
    if request.param == "sentinel":
        group = guarded("sentinel")
        assert isinstance(group, SentinelGroup)
        master = group.master()
        [replica] = [each for each in group.servers if each is not master]
        return Replicated(group.options, [replica.pause, replica.resume])
    cluster: RedisCluster = request.getfixturevalue("cluster")
    cluster.flush()
    replicas = [node for node in cluster.nodes if node not in cluster.primaries]

    def each(what: str) -> Callable[[], object]:
        return lambda: [getattr(node, what)() for node in replicas]

    return Replicated(StoreOptions(cluster.url, PREFIX, TIMEOUT_S), [each("pause"), each("resume")])


async def recorded(store: Store) -> list[EventType]:
    await Outboxes(store, PREFIX, Rooms(1000, 1000)).sweep(left_ms=0)  # on a cluster
    return [decode(each.event).type for each in (await Outbox(store, PREFIX).unread(1000)).events]


async def test_a_sign_in_is_confirmed(replicated: Replicated) -> None:
    """It is recorded as without; a script that the server does not know yet is no matter."""
    async with replicated.opened(is_required=True, within_s=LONG_S) as (store, sessions):
        before = await recorded(store)
        identity = proven("confirmed")
        await sessions.create(identity)
        assert EventType.LOGIN == (await recorded(store))[-1]
        assert len(before) < len(await recorded(store))
        with pytest.raises(TokenAlreadyUsed):
            await sessions.create(identity)
    assert [] == replicated.missed


async def test_without_a_replica_it_stands_and_is_told(replicated: Replicated) -> None:
    """Where confirmation is not required."""
    async with replicated.opened(is_required=False) as (_, sessions):
        with replicated.without_replicas():
            cookie, _ = await sessions.create(proven("alone"))
        await sessions.find(cookie)
    assert "login" in replicated.missed


async def test_without_a_replica_it_is_refused_where_that_is_required(
    replicated: Replicated,
) -> None:
    """The token may be used again, when a replica is back."""
    identity = proven("required")
    async with replicated.opened(is_required=True) as (_, sessions):
        with replicated.without_replicas(), pytest.raises(StoreUnavailable):
            await sessions.create(identity)
        assert replicated.missed

        async def is_signed_in() -> bool:
            with suppress(StoreUnavailable):
                await sessions.create(identity)
                return True
            return False

        await eventually(is_signed_in, within_s=LONG_S)


async def test_a_used_token_stays_used_without_a_replica(replicated: Replicated) -> None:
    """It is no sign-in whose token may be used again."""
    identity = proven("used")
    async with replicated.opened(is_required=True, within_s=LONG_S) as (_, sessions):
        await sessions.create(identity)
    async with replicated.opened(is_required=True) as (_, sessions):
        with replicated.without_replicas(), pytest.raises((StoreUnavailable, TokenAlreadyUsed)):
            await sessions.create(identity)

        async def is_found_used() -> bool:
            with suppress(StoreUnavailable):
                with pytest.raises(TokenAlreadyUsed):
                    await sessions.create(identity)
                return True
            return False

        await eventually(is_found_used, within_s=LONG_S)


async def test_the_check_of_the_store_tries_wait(replicated: Replicated) -> None:
    """Where the config wants confirmation."""
    options = replicated.options._replace(confirm=Confirmation(1, SOON_S))
    found = {each.name: each for each in await examine(server_of(replicated.options), options)}
    assert "ok" == found["permissions"].level


async def test_only_a_cluster_has_events_confirmed_on_their_way(replicated: Replicated) -> None:
    """Elsewhere one server has all of it, and loses the last of it alone."""
    async with replicated.opened(is_required=True) as (store, _):
        is_cluster = "+cluster:" in replicated.options.url
        assert is_cluster == Outbox(store, PREFIX).spans_nodes


async def test_a_user_who_may_not_wait_is_found_by_the_check(guarded: Guarded) -> None:
    """It is no problem where the config wants no confirmation."""
    server = guarded("tls")
    assert isinstance(server, SecureRedis)
    asking = server.options._replace(confirm=Confirmation(1, SOON_S))
    with server.operator() as operator:
        operator.execute_command("ACL", "SETUSER", USER, "-wait")
        try:
            for options, level in ((server.options, "ok"), (asking, "problem")):
                found = await examine(server_of(server.options), options)
                [permissions] = [each for each in found if each.name == "permissions"]
                assert level == permissions.level
                assert ("WAIT" in permissions.text) == (level == "problem")
        finally:
            operator.execute_command("ACL", "SETUSER", USER, "+wait")

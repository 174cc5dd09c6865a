"""One node of a Redis Cluster: what it serves, and what it hands on."""

import asyncio
from asyncio import Future
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.exceptions import AskError, MovedError, TryAgainError

from gateway.core.errors import StoreUnavailable
from gateway.core.replies import is_ok
from gateway.store.batch import Call
from gateway.store.connect import redis_client
from gateway.store.node import NodeRead, NodeStore, PairedReads, Redirection, halves_of
from gateway.store.server import StoreOptions
from tests.fakes.cluster_nodes import FakeNode, fake_nodes

MOVED, ASK = Exception("MOVED 7 h:1"), Exception("ASK 7 h:1")
AGAIN = Exception("TRYAGAIN later")
NO_STRING = Exception("WRONGTYPE Operation against a key holding the wrong kind of value")


class Events:
    """Notes what a node tells."""

    def __init__(self) -> None:
        self.redirections: list[Redirection] = []
        self.failures = 0

    def redirected(self, redirection: Redirection) -> None:
        self.redirections.append(redirection)

    def failed(self, node: NodeStore) -> None:
        del node
        self.failures += 1


@pytest.fixture
async def fake() -> AsyncIterator[FakeNode]:
    async with fake_nodes(1) as [node]:
        yield node


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
async def node(fake: FakeNode, events: Events) -> AsyncIterator[NodeStore]:
    url = f"redis://{fake.address}"
    opened = NodeStore(fake.address, redis_client(url, 2), StoreOptions(url, "gw:", 2), events)
    yield opened
    await opened.aclose()


def _future() -> Future[Any]:
    return asyncio.get_running_loop().create_future()


async def test_reads_of_a_tick_travel_together(node: NodeStore, fake: FakeNode) -> None:
    """Each key by a GET of its own, as MGET takes keys of one slot; each key once."""
    fake.values = {b"gw:a": b"1", b"gw:b": b"2"}
    got = await asyncio.gather(node.get("a"), node.get("b"), node.get("a"), node.get("c"))

    assert (b"1", b"2", b"1", None) == tuple(got)
    assert [(b"GET", b"gw:a"), (b"GET", b"gw:b"), (b"GET", b"gw:c")] == fake.asked


async def test_two_values_for_one_future(node: NodeStore, fake: FakeNode) -> None:
    """Each in its place, whichever comes first; a caller that has left needs none."""
    fake.values = {b"gw:a": b"1", b"gw:b": b"2"}
    left = node.get_pair("a", "b")
    left.cancel()

    assert (b"1", b"2") == await node.get_pair("a", "b")
    pair = PairedReads(_future())
    pair.second(b"2")
    pair.first(b"1")
    assert (b"1", b"2") == await pair.future


async def test_half_of_a_pair_fails_all_of_it(node: NodeStore) -> None:
    """The other half comes to nothing."""
    future = _future()
    first, second = halves_of(future)
    first.set_exception(StoreUnavailable("gone"))

    assert second.done()
    with pytest.raises(StoreUnavailable, match="gone"):
        await future
    assert node.is_well


async def test_a_key_that_holds_no_string_has_no_value(node: NodeStore, fake: FakeNode) -> None:
    """GET fails for it; here it is as for MGET."""
    fake.values = {b"gw:list": NO_STRING, b"gw:a": b"1"}

    assert (None, b"1") == tuple(await asyncio.gather(node.get("list"), node.get("a")))


async def test_an_error_is_of_its_own_callers(
    node: NodeStore, fake: FakeNode, events: Events
) -> None:
    """Others get what they asked for, and those who have left are left alone."""
    fake.values = {b"gw:x": Exception("NOPERM no"), b"gw:a": b"1"}
    left = node.get("x")
    refused, given = node.get("x"), node.get("a")
    await asyncio.sleep(0)
    left.cancel()

    assert b"1" == await given
    with pytest.raises(StoreUnavailable, match="NoPermission"):
        await refused
    assert [] == events.redirections


@pytest.mark.parametrize(
    ("reply", "kind"), [(MOVED, MovedError), (ASK, AskError), (AGAIN, TryAgainError)]
)
async def test_what_it_does_not_serve_is_handed_on(
    node: NodeStore, fake: FakeNode, events: Events, reply: Exception, kind: type
) -> None:
    """With the future, which nothing settles here; the rest of the batch is delivered."""
    fake.values = {b"gw:x": reply, b"gw:a": b"1"}
    fake.replies[b"DEL"] = [reply]
    deleting = asyncio.ensure_future(node.delete("x"))
    await asyncio.sleep(0)
    moved, given = node.get("x"), node.get("a")

    assert b"1" == await given
    call, read = events.redirections
    assert [kind] * 2 == [type(call.error), type(read.error)]
    assert NodeRead(b"gw:x", moved) == read.asked
    assert not moved.done()
    assert isinstance(call.asked, Call)
    assert ("DEL", b"gw:x") == call.asked.command
    assert node is call.node is read.node
    call.asked.future.set_result(1)
    assert await deleting


async def test_a_node_that_does_not_serve_now_is_told(
    node: NodeStore, fake: FakeNode, events: Events
) -> None:
    """Its callers are refused, and it goes on being asked: other slots may be served."""
    fake.values = {b"gw:x": Exception("CLUSTERDOWN Hash slot not served"), b"gw:a": b"1"}
    fake.replies[b"DEL"] = [Exception("READONLY You can't write")]

    got = await asyncio.gather(
        node.get("x"), node.delete("x"), node.get("a"), return_exceptions=True
    )
    assert ["ClusterDownError", "ReadOnlyError"] == [
        getattr(each, "reason", "") for each in got[:2]
    ]
    assert b"1" == got[2]
    assert 2 == events.failures
    assert node.is_well


async def test_a_node_that_fails_is_told(node: NodeStore, fake: FakeNode, events: Events) -> None:
    """Whatever breaks the exchange."""
    await fake.stop()
    with pytest.raises(StoreUnavailable):
        await node.get("a")

    assert 1 == events.failures
    assert not node.is_well


async def test_commands_may_follow_each_other(node: NodeStore, fake: FakeNode) -> None:
    """Nothing comes between them."""
    first, second = _future(), _future()
    node.send(Call(("ASKING",), first, is_ok), Call(("SET", b"k", b"v"), second, is_ok))
    await node.get("a")

    assert [(b"GET", b"gw:a"), (b"ASKING",), (b"SET", b"k", b"v")] == fake.asked


async def test_it_tells_who_serves_which_slots(node: NodeStore, fake: FakeNode) -> None:
    """What is no such answer is refused."""
    fake.serves((0, 5, fake))
    [part] = await node.slot_map()

    assert (0, 5, fake.address) == part
    fake.slots = [b"no"]
    with pytest.raises(StoreUnavailable, match="wrong reply"):
        await node.slot_map()


async def test_a_reply_of_another_command_fails_the_whole_batch(
    node: NodeStore, fake: FakeNode, events: Events
) -> None:
    """No caller gets what may be another's."""
    fake.values = {b"gw:a": 7, b"gw:b": b"2"}
    got = await asyncio.gather(node.get("a"), node.get("b"), return_exceptions=True)

    reasons = [each.reason for each in got if isinstance(each, StoreUnavailable)]
    assert ["wrong reply: MGET"] * 2 == reasons
    assert 1 == events.failures

"""Which node of a Redis Cluster serves each slot, as it is found out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.store.connect import redis_client
from gateway.store.node import NodeStore, Redirection
from gateway.store.server import StoreOptions
from gateway.store.slots import SLOTS, NodeAddress
from gateway.store.topology import REFRESH_EVERY_S, Topology
from tests.fakes.cluster_nodes import FakeNode, fake_nodes
from tests.fakes.servers import eventually

SOON_S = 20.0


class NoEvents:
    """Hears nothing."""

    def redirected(self, redirection: Redirection) -> None:
        raise AssertionError(redirection)

    def failed(self, node: NodeStore) -> None:
        del node


def _opened(address: NodeAddress) -> NodeStore:
    url = f"redis://{address}"
    return NodeStore(address, redis_client(url, 2), StoreOptions(url, timeout_s=2), NoEvents())


@pytest.fixture
async def fakes() -> AsyncIterator[list[FakeNode]]:
    async with fake_nodes(3) as nodes:
        yield nodes


@pytest.fixture
async def topology(fakes: list[FakeNode]) -> AsyncIterator[Topology]:
    """One that knows of the first two of three nodes."""
    made = Topology([node.address for node in fakes[:2]], _opened)
    yield made
    await made.aclose()


def _port(topology: Topology, slot: int) -> int:
    node = topology.nodes[slot]
    return 0 if node is None else node.address.port


async def _soon(is_so: Callable[[], bool]) -> None:
    async def asked() -> bool:
        return is_so()

    await eventually(asked, within_s=SOON_S)


async def test_one_node_tells_of_all(topology: Topology, fakes: list[FakeNode]) -> None:
    """Nothing is sent before it is asked for; many who wait ask once."""
    assert 0 == _port(topology, 0)
    assert not topology.is_known

    await asyncio.gather(*(topology.known() for _ in range(5)))

    assert [fakes[0].port, fakes[2].port] == [_port(topology, 0), _port(topology, SLOTS - 1)]
    assert {node.port for node in fakes} == {node.address.port for node in topology.primaries()}
    assert 1 == sum(node.times(b"CLUSTER") for node in fakes)
    await topology.known()
    assert 1 == sum(node.times(b"CLUSTER") for node in fakes)


async def test_a_seed_that_is_down_is_passed_over(
    topology: Topology, fakes: list[FakeNode]
) -> None:
    """One that answers is enough; without any, each trial is refused, at a bounded rate."""
    await fakes[0].stop()
    await fakes[1].stop()
    with pytest.raises(StoreUnavailable, match="no node answers"):
        await topology.known()
    with pytest.raises(StoreUnavailable, match="failed a moment ago"):
        await topology.known()
    await fakes[1].start()

    async def is_known() -> bool:
        try:
            await topology.known()
        except StoreUnavailable:
            return False
        return True

    await eventually(is_known, within_s=SOON_S)
    assert fakes[0].port == _port(topology, 0)


async def test_the_answer_counts_that_covers_most_slots(
    topology: Topology, fakes: list[FakeNode]
) -> None:
    """A node that was removed from the cluster knows of no slots, or of its own."""
    first, second, third = fakes
    first.slots = []
    second.serves((0, 99, second), (200, 299, third))
    await topology.known()

    assert [second.port, 0, third.port] == [_port(topology, slot) for slot in (99, 100, 200)]


async def test_a_node_that_names_no_host_is_passed_over(
    topology: Topology, fakes: list[FakeNode]
) -> None:
    """What it says is not used: the others are asked, and nothing breaks."""
    fakes[0].slots = [[0, SLOTS - 1, [b"h/0?db=x#", 7000, b"id"]]]
    fakes[1].slots = [[0, SLOTS - 2, [b"127.0.0.1", fakes[2].port, b"id"]]]

    await topology.known()

    assert {fakes[2].port} == {node.address.port for node in topology.primaries()}


async def test_a_slot_that_has_moved_is_known_at_once(
    topology: Topology, fakes: list[FakeNode]
) -> None:
    """The node that was named is taken at its word, and the others are asked soon."""
    await topology.known()
    for node in fakes:
        node.serves((0, 0, fakes[2]), (1, SLOTS - 1, fakes[1]))
    topology.moved(0, fakes[1].address)
    topology.moved(SLOTS, fakes[1].address)

    assert fakes[1].port == _port(topology, 0)
    await _soon(lambda: _port(topology, 0) == fakes[2].port)
    assert fakes[1].port == _port(topology, 1)


async def test_it_is_asked_for_at_a_bounded_rate(topology: Topology, fakes: list[FakeNode]) -> None:
    """However often it is said that it may have changed."""
    await topology.known()
    loop = asyncio.get_running_loop()
    began_s, asked = loop.time(), sum(node.times(b"CLUSTER") for node in fakes)
    while sum(node.times(b"CLUSTER") for node in fakes) < asked + 3:
        topology.refresh_soon()
        await asyncio.sleep(0)

    assert loop.time() - began_s > 2 * REFRESH_EVERY_S


async def test_nodes_that_left_are_closed(topology: Topology, fakes: list[FakeNode]) -> None:
    """Those that it was told of at first are kept: they are asked again."""
    await topology.known()
    third = topology.node_at(fakes[2].address)
    first = topology.node_at(fakes[0].address)
    for node in fakes:
        node.serves((0, SLOTS - 1, fakes[1]))
    topology.refresh_soon()
    await _soon(lambda: _port(topology, 0) == fakes[1].port)

    assert first is topology.node_at(fakes[0].address)

    async def is_closed() -> bool:
        with suppress(StoreUnavailable):
            await third.ping()
            return False
        return True

    await eventually(is_closed, within_s=SOON_S)


async def test_a_new_node_is_opened_where_it_is_named(
    topology: Topology, fakes: list[FakeNode]
) -> None:
    """It is one more primary from then on; those that failed come last."""
    for node in fakes:
        node.serves((0, SLOTS - 1, fakes[1]))
    await topology.known()
    topology.moved(7, fakes[2].address)
    assert [fakes[1].port, fakes[2].port] == [node.address.port for node in topology.primaries()]

    await fakes[1].stop()
    with pytest.raises(StoreUnavailable):
        await topology.node_at(fakes[1].address).ping()
    assert [fakes[2].port, fakes[1].port] == [node.address.port for node in topology.primaries()]


async def test_nothing_is_asked_after_the_close(fakes: list[FakeNode]) -> None:
    """What was about to be asked is not, and what is being asked comes to nothing."""
    topology = Topology([fakes[0].address], _opened)
    await topology.known()
    topology.refresh_soon()
    await topology.aclose()
    topology.moved(0, fakes[1].address)
    topology.refresh_soon()
    assert fakes[0].port == _port(topology, 0)

    asking = Topology([fakes[0].address], _opened)
    asking.refresh_soon()
    await asking.aclose()
    assert not asking.is_known

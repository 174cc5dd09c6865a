"""The store over a Redis Cluster: what goes to which node, and what comes of redirections."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Script, TaggedKeys
from gateway.core.replies import is_count
from gateway.store.cluster import MAX_REDIRECTIONS, ClusterStore
from gateway.store.cluster_server import ClusterServer
from gateway.store.server import StoreOptions
from gateway.store.slots import SLOTS, slot_of
from tests.fakes.cluster_nodes import FakeNode, fake_nodes
from tests.fakes.servers import eventually

SCRIPT = Script("one", "return 1", is_count)
SOON_S = 20.0
ENDS_MS = 2_000_000_000_000


def key_of(part: int, of: int = 2) -> str:
    """Return a key that a node has, of so many that share the slots evenly."""
    keys = (f"key-{number}" for number in range(1000))
    return next(key for key in keys if slot_of(b"gw:" + key.encode()) * of // SLOTS == part)


LOW, HIGH = key_of(0), key_of(1)


@pytest.fixture
async def nodes() -> AsyncIterator[list[FakeNode]]:
    async with fake_nodes(2) as both:
        both[0].values = {b"gw:" + LOW.encode(): b"low"}
        both[1].values = {b"gw:" + HIGH.encode(): b"high"}
        yield both


def opened(*nodes: FakeNode, timeout_s: float = 2) -> ClusterStore:
    url = "redis+cluster://" + ",".join(str(node.address) for node in nodes)
    return ClusterServer(StoreOptions(url, "gw:", timeout_s)).store(lambda: None)


@pytest.fixture
async def store(nodes: list[FakeNode]) -> AsyncIterator[ClusterStore]:
    made = opened(*nodes)
    yield made
    await made.aclose()


def error(text: str) -> Exception:
    return Exception(text)


def moved_to(node: FakeNode, key: str = LOW) -> Exception:
    return error(f"MOVED {slot_of(b'gw:' + key.encode())} {node.address}")


def ask(node: FakeNode, key: str = LOW) -> Exception:
    return error(f"ASK {slot_of(b'gw:' + key.encode())} {node.address}")


async def test_each_key_is_asked_of_its_node(store: ClusterStore, nodes: list[FakeNode]) -> None:
    """Before the slots are known, and after; a pair may be of two nodes."""
    for _ in range(2):
        got = await asyncio.gather(
            store.get(LOW), store.get(HIGH), store.get_pair(HIGH, LOW), store.get_pair(LOW, "none")
        )
        assert (b"low", b"high", (b"high", b"low"), (b"low", None)) == tuple(got)

    assert all(LOW.encode() not in word for words in nodes[1].asked for word in words)


async def test_writes_scripts_and_messages(store: ClusterStore, nodes: list[FakeNode]) -> None:
    """A command with a key goes to its node; a message to any of them."""
    for node in nodes:
        node.replies[b"EVALSHA"] = [1, 1]
    await store.set(HIGH, b"new", expires_at_ms=ENDS_MS)
    assert await store.add(HIGH, b"new", expires_at_ms=ENDS_MS)
    assert b"new" == await store.get(HIGH)
    assert await store.delete(HIGH)
    assert 1 == await store.run(SCRIPT, [HIGH], [])
    assert 1 == await store.run(SCRIPT, TaggedKeys([(("a", "b"), ["x"])]), [])
    await store.publish("c", b"m")
    await store.ping()

    assert [(b"PUBLISH", b"gw:c", b"m")] == [
        w for n in nodes for w in n.asked if w[0] == b"PUBLISH"
    ]
    assert 2 == sum(node.times(b"EVALSHA") for node in nodes)
    assert 1 == nodes[1].times(b"DEL")


async def test_a_script_can_be_the_first_command(
    store: ClusterStore, nodes: list[FakeNode]
) -> None:
    """It waits until it is known which node has its keys."""
    nodes[0].replies[b"EVALSHA"] = [1]

    assert 1 == await store.run(SCRIPT, [LOW], [])


async def test_the_slot_of_a_key_has_the_prefix(store: ClusterStore) -> None:
    """As it stands before a hash tag that is in the prefix."""
    assert slot_of(b"gw:k") == store.slot_of("k")
    assert slot_of(b"x") == store.slot_of("k{x}")


async def test_what_cannot_be_a_key_fails_its_caller(store: ClusterStore) -> None:
    """When it is awaited, as any failure."""
    asked = [store.get("\ud800"), store.get_pair("a", "\ud800"), store.run(SCRIPT, ["\ud800"], [])]
    got = await asyncio.gather(*asked, return_exceptions=True)

    assert [UnicodeEncodeError] * 3 == list(map(type, got))


async def test_a_moved_slot_is_followed(store: ClusterStore, nodes: list[FakeNode]) -> None:
    """The caller hears nothing of it, and the next one asks the right node."""
    await store.ping()
    nodes[0].values[b"gw:" + LOW.encode()] = moved_to(nodes[1])
    nodes[1].values[b"gw:" + LOW.encode()] = b"there"
    for node in nodes:
        node.serves((0, SLOTS - 1, nodes[1]))

    got = await asyncio.gather(store.get(LOW), store.get_pair(LOW, HIGH))
    assert (b"there", (b"there", b"high")) == tuple(got)
    assert 1 == nodes[0].times(b"GET")
    assert b"there" == await store.get(LOW)
    assert 1 == nodes[0].times(b"GET")


async def test_a_host_that_is_not_named_is_the_one_asked(
    store: ClusterStore, nodes: list[FakeNode]
) -> None:
    """A node that does not know its own host names a port alone."""
    slot = slot_of(b"gw:" + LOW.encode())
    nodes[0].values[b"gw:" + LOW.encode()] = error(f"MOVED {slot} :{nodes[1].port}")
    nodes[1].values[b"gw:" + LOW.encode()] = b"there"

    assert b"there" == await store.get(LOW)


@pytest.mark.parametrize("kind", ["MOVED", "ASK"])
async def test_a_redirection_changes_no_option_of_the_url(
    store: ClusterStore, nodes: list[FakeNode], kind: str
) -> None:
    """One to what is no host is refused: it could turn the check of certificates off."""
    name = b"gw:" + LOW.encode()
    named = f"127.0.0.1/0?port={nodes[1].port}#:1"
    nodes[0].values[name], nodes[1].values[name] = error(f"{kind} {slot_of(name)} {named}"), b"no"

    with pytest.raises(StoreUnavailable):
        await store.get(LOW)

    assert all(name not in words for words in nodes[1].asked)
    assert b"high" == await store.get(HIGH)


async def test_a_slot_that_is_moving_is_asked_for_once(
    store: ClusterStore, nodes: list[FakeNode]
) -> None:
    """ASKING holds for the command that follows; a script comes as a whole."""
    name = b"gw:" + LOW.encode()
    await store.ping()
    nodes[0].values[name] = ask(nodes[1])
    nodes[1].values[name] = b"there"
    nodes[0].replies[b"EVALSHA"] = [ask(nodes[1])]
    nodes[1].replies[b"EVAL"] = [7]
    nodes[0].replies[b"DEL"] = [ask(nodes[1])]

    assert b"there" == await store.get(LOW)
    assert (b"there", b"there") == await store.get_pair(LOW, LOW)
    assert 7 == await store.run(SCRIPT, [LOW], [])
    assert await store.delete(LOW)
    asked = [words for words in nodes[1].asked if words[0] != b"CLUSTER"]
    assert [(b"ASKING",), (b"GET", name)] == asked[:2]
    assert [(b"ASKING",), (b"EVAL", b"return 1", b"1", name)] == asked[-4:-2]
    assert [(b"ASKING",), (b"DEL", name)] == asked[-2:]
    assert 2 == nodes[0].times(b"GET")  # the pair reads its key once


async def test_nodes_that_disagree_end_the_search(
    store: ClusterStore, nodes: list[FakeNode]
) -> None:
    """A command is redirected a few times at most."""
    name = b"gw:" + LOW.encode()
    nodes[0].values[name], nodes[1].values[name] = moved_to(nodes[1]), moved_to(nodes[0])

    with pytest.raises(StoreUnavailable, match="MovedError"):
        await store.get(LOW)
    assert MAX_REDIRECTIONS + 1 == sum(node.times(b"GET") for node in nodes)


async def test_what_is_to_be_tried_again_is(store: ClusterStore, nodes: list[FakeNode]) -> None:
    """A little later, of the same node."""
    again = error("TRYAGAIN Multiple keys request during rehashing of slot")
    nodes[0].replies[b"EVALSHA"] = [again, again, 5]

    assert 5 == await store.run(SCRIPT, [LOW], [])
    assert 0 == nodes[1].times(b"EVALSHA")


async def test_a_redirected_caller_waits_no_longer_than_others(nodes: list[FakeNode]) -> None:
    """Its time counts from its arrival; what comes later is dropped."""
    store = opened(*nodes, timeout_s=0.1)
    await eventually(lambda: _answers(store), within_s=SOON_S)
    again = error("TRYAGAIN later")
    nodes[0].replies[b"EVALSHA"] = [again] * (MAX_REDIRECTIONS + 1)
    nodes[0].values[b"gw:" + LOW.encode()] = ask(nodes[1])
    nodes[1].is_mute = True

    with pytest.raises(StoreUnavailable):
        await store.run(SCRIPT, [LOW], [])
    began_s = time.monotonic()
    with pytest.raises(StoreUnavailable, match="TimeoutError"):
        await store.get(LOW)
    assert time.monotonic() - began_s < 5
    await store.aclose()


async def _answers(store: ClusterStore) -> bool:
    try:
        await store.ping()
    except StoreUnavailable:
        return False
    return True


async def test_a_caller_that_left_is_not_redirected(
    store: ClusterStore, nodes: list[FakeNode]
) -> None:
    """Nothing is asked for it any more."""
    await store.ping()
    nodes[0].values[b"gw:" + LOW.encode()] = moved_to(nodes[1])
    left = asyncio.ensure_future(store.get(LOW))
    await asyncio.sleep(0)
    left.cancel()
    while not nodes[0].times(b"GET"):
        await asyncio.sleep(0)
    await store.ping()

    assert [] == [words for words in nodes[1].asked if words[-1] == b"gw:" + LOW.encode()]


async def test_a_node_that_is_named_may_be_down(store: ClusterStore, nodes: list[FakeNode]) -> None:
    """Then its callers are refused, at once while its breaker is open."""
    await store.ping()
    await nodes[1].stop()
    with pytest.raises(StoreUnavailable):
        await store.get(HIGH)
    nodes[0].values[b"gw:" + LOW.encode()] = moved_to(nodes[1])
    with pytest.raises(StoreUnavailable):
        await store.get(LOW)
    nodes[0].replies[b"DEL"] = [ask(nodes[1])]
    nodes[0].serves((0, SLOTS - 1, nodes[0]))
    with pytest.raises(StoreUnavailable):
        await store.delete(LOW)


async def test_messages_pass_over_a_node_that_is_down(
    store: ClusterStore, nodes: list[FakeNode]
) -> None:
    """All nodes hear of them by any."""
    await store.ping()
    await nodes[0].stop()
    await store.publish("c", b"m")
    assert 1 == nodes[1].times(b"PUBLISH")

    await nodes[1].stop()
    with pytest.raises(StoreUnavailable):
        await store.publish("c", b"m")


async def test_a_slot_that_no_node_serves(nodes: list[FakeNode]) -> None:
    """Its callers are refused, others are served; a ping says so."""
    for node in nodes:
        node.serves((0, SLOTS // 2 - 1, nodes[0]))
    store = opened(nodes[0])

    assert b"low" == await store.get(LOW)
    for asked in (store.get(HIGH), store.delete(HIGH), store.ping(), store.get_pair(LOW, HIGH)):
        with pytest.raises(StoreUnavailable, match="no node serves the slot"):
            await asked
    await store.aclose()


async def test_while_no_node_answers_callers_are_refused(nodes: list[FakeNode]) -> None:
    """In time, and all of them."""
    nodes[0].is_mute = True
    store = opened(nodes[0], timeout_s=0.05)
    asked = [store.get(LOW), store.get_pair(LOW, HIGH), store.run(SCRIPT, [LOW], [])]
    got = await asyncio.gather(
        *asked, store.ping(), store.publish("c", b"m"), return_exceptions=True
    )

    assert [StoreUnavailable] * 5 == list(map(type, got))
    await store.aclose()


async def test_after_the_close_callers_are_refused(store: ClusterStore) -> None:
    """Those who came before are answered, even where the slots were not known yet."""
    first = store.get(LOW)
    await asyncio.sleep(0)
    await store.aclose()

    assert b"low" == await first
    for asked in (store.get(LOW), store.run(SCRIPT, [LOW], []), store.ping()):
        with pytest.raises(StoreUnavailable, match="closed"):
            await asked


async def test_a_store_that_closes_before_its_first_use(nodes: list[FakeNode]) -> None:
    """It asks nothing, and refuses."""
    store = opened(nodes[0])
    await store.aclose()
    for asked in (store.get(LOW), store.get_pair(LOW, HIGH), store.ping(), store.delete(LOW)):
        with pytest.raises(StoreUnavailable, match="closed"):
            await asked
    assert [] == nodes[0].asked


async def test_a_close_ends_what_is_redirected(nodes: list[FakeNode]) -> None:
    """It waits for nothing that would come later."""
    store = opened(*nodes)
    await store.ping()
    nodes[0].replies[b"EVALSHA"] = [error("TRYAGAIN later")]
    waiting = asyncio.ensure_future(store.run(SCRIPT, [LOW], []))
    while nodes[0].replies[b"EVALSHA"]:
        await asyncio.sleep(0)
    await store.ping()
    await store.aclose()

    with pytest.raises(StoreUnavailable, match="closed"):
        await waiting


async def test_a_pair_that_is_refused_by_one_node_leaves_nothing(nodes: list[FakeNode]) -> None:
    """The other one fails later; the event loop would report what nothing waits for."""
    reported: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    store = opened(*nodes, timeout_s=1.0)
    assert (b"low", b"high") == await store.get_pair(LOW, HIGH)
    await nodes[1].stop()
    with pytest.raises(StoreUnavailable):
        await store.get(HIGH)
    nodes[0].is_mute = True

    with pytest.raises(StoreUnavailable, match="a moment ago"):
        await store.get_pair(LOW, HIGH)
    with pytest.raises(StoreUnavailable, match="TimeoutError"):
        await store.get(LOW)

    await store.aclose()
    gc.collect()
    assert [] == reported

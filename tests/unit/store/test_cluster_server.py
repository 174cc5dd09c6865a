"""What the gateway uses of a Redis Cluster, and what its URL may say."""

import asyncio

import pytest

from gateway.core.errors import StartError, StoreUnavailable
from gateway.store import topology
from gateway.store.asking import CommandRefused
from gateway.store.cluster_server import ClusterServer
from gateway.store.server import StoreOptions
from gateway.store.slots import SLOTS
from tests.fakes.cluster_nodes import fake_nodes


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://user:s3cret@",
        "redis+cluster://user:s3cret@h/1",
        "redis+cluster://user:s3cret@h?ssl_check_hostname=x&socket_timeout=x",
    ],
)
def test_a_url_that_cannot_be_read(url: str) -> None:
    """The start fails, and the message does not repeat the URL: it may hold a password."""
    with pytest.raises(StartError, match="cannot be read") as refused:
        ClusterServer(StoreOptions(url))

    assert "s3cret" not in str(refused.value)


async def test_a_scan_without_nodes_fails() -> None:
    """As any command does."""
    async with fake_nodes(1) as [node]:
        server = ClusterServer(StoreOptions(f"redis+cluster://{node.address}", timeout_s=1))
        await node.stop()
        with pytest.raises(StoreUnavailable):
            [key async for key in server.scan("a")]


async def test_commands_of_operators_go_to_the_node_of_their_key() -> None:
    """Those without a key go to one of them."""
    async with fake_nodes(2) as nodes:
        server = ClusterServer(StoreOptions(f"redis+cluster://{nodes[0].address}", "gw:", 1))
        async with server.asking() as ask:
            assert 1 == await ask("DEL", "gw:{foo}")  # slot 12182
            with pytest.raises(CommandRefused):
                await ask("INFO")

        assert [0, 1] == [node.times(b"DEL") for node in nodes]
        assert [1, 0] == [node.times(b"INFO") for node in nodes]


async def test_a_scan_asks_each_primary() -> None:
    """One after another, for the keys with the prefix."""
    async with fake_nodes(2) as nodes:
        server = ClusterServer(StoreOptions(f"redis+cluster://{nodes[0].address}", "gw:", 1))
        for node, keys in zip(nodes, ([b"gw:a1"], [b"gw:a2", b"gw:a3"]), strict=True):
            node.replies[b"SCAN"] = [[b"0", keys]]

        assert [b"gw:a1", b"gw:a2", b"gw:a3"] == sorted([key async for key in server.scan("a")])
        scans = [words for node in nodes for words in node.asked if words[0] == b"SCAN"]
        assert [(b"SCAN", b"0", b"MATCH", b"gw:a*", b"COUNT", b"1000")] * 2 == scans


async def test_nodes_that_are_far_away_are_reached() -> None:
    """Connecting takes longer than the time-out for one reply, which is for requests."""
    async with fake_nodes(2) as nodes:
        for node in nodes:
            node.opening_s = 0.15
            node.replies[b"SCAN"] = [[b"0", [b"gw:a1"]]]
            node.replies[b"SUBSCRIBE"] = [[b"subscribe", b"gw:c", 1]]
        options = StoreOptions(f"redis+cluster://{nodes[0].address}", "gw:", 0.1)
        server = ClusterServer(options._replace(connect_timeout_s=5))

        assert [b"gw:a1"] * 2 == [key async for key in server.scan("a")]
        async with server.asking() as ask:
            assert 1 == await ask("DEL", "gw:{foo}")
        subscribed = asyncio.Event()
        listening = asyncio.ensure_future(server.listen("c", lambda _message: None, subscribed.set))
        async with asyncio.timeout(20):
            await subscribed.wait()
        listening.cancel()
        await asyncio.wait([listening])


async def test_seeds_that_hang_are_not_the_only_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes are asked in any order, one after another: each has its time."""
    async with fake_nodes(3) as nodes:
        for node in nodes:
            node.serves((0, SLOTS - 1, nodes[2]))
        nodes[0].is_mute = nodes[1].is_mute = True
        monkeypatch.setattr(
            topology,
            "shuffle",
            lambda asked: asked.sort(key=lambda node: node.address == nodes[2].address),
        )
        options = StoreOptions("redis+cluster://" + ",".join(str(each.address) for each in nodes))
        server = ClusterServer(options._replace(timeout_s=0.2, connect_timeout_s=0.5))

        async with server.asking() as ask:
            assert 1 == await ask("DEL", "k")

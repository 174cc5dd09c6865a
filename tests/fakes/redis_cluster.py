"""A Redis Cluster of six nodes for tests: three primaries, and a replica of each."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import hiredis
import pytest
from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.cluster import RedisCluster as _ClusterClient

from gateway.store.kinds import server_of
from gateway.store.redis import RedisStore
from gateway.store.server import StoreOptions
from tests.fakes.certificates import Authority
from tests.fakes.free_port import free_port, keep_no_port
from tests.fakes.servers import TIMEOUT_S
from tests.fakes.timing import wait_until

NODE_TIMEOUT_MS = 5000
"""Silence after which nodes take another for failed: no busy machine silences one for that long."""
BRISK_TIMEOUT_MS = 500
"""The same while a test kills nodes."""
START_S = 30.0
PRIMARIES = 3
SLOTS = 16_384

_OPTIONS = {
    "cluster-enabled": "yes",
    "cluster-node-timeout": NODE_TIMEOUT_MS,
    "cluster-replica-validity-factor": 0,
    "cluster-require-full-coverage": "no",
    "enable-debug-command": "yes",
    "tls-cluster": "yes",  # else clients over TLS are told the plain ports
    "tls-replication": "yes",
    "tls-auth-clients": "no",
    "repl-diskless-sync-delay": 0,
    "bind": "127.0.0.1",
    "save": "",
    "appendonly": "no",
    "loglevel": "warning",
}


class Node:
    """One process of the cluster; it keeps what it knows of the others when it is killed."""

    def __init__(self, binary: Path, tls_options: Mapping[str, object]) -> None:
        self._binary = binary
        self._tls_options = tls_options
        self._directory = Path(tempfile.mkdtemp(prefix="node-"))
        self.port = free_port()
        self.tls_port = free_port()
        self._bus_port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, without waiting until it answers."""
        own = {"port": self.port, "cluster-port": self._bus_port, "dir": self._directory}
        options = {**_OPTIONS, **self._tls_options, "tls-port": self.tls_port, **own}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self.process = subprocess.Popen([self._binary, *words], stdout=subprocess.DEVNULL)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def meeting_words(self) -> tuple[str, int, int]:
        """Where other nodes meet it: address, port, and port of the cluster bus."""
        return "127.0.0.1", self.tls_port, self._bus_port

    @property
    def id(self) -> str:
        return str(self.ask("CLUSTER", "MYID"))

    @property
    def is_primary(self) -> bool:
        return bool(self.ask("ROLE")[0] == "master")

    def ask(self, *words: str | int) -> Any:
        """Send one command on a connection of its own; an error reply is raised."""
        reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape")
        with socket.create_connection(("127.0.0.1", self.port), timeout=START_S) as line:
            keep_no_port(line)
            line.sendall(hiredis.pack_command(tuple(map(str, words))))  # type: ignore[arg-type]
            while (reply := reader.gets()) is False:
                received = line.recv(65536)
                if not received:
                    raise ConnectionError
                reader.feed(received)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def info(self, section: str) -> dict[str, str]:
        """What it says of itself, by name."""
        text = self.ask("CLUSTER", "INFO") if section == "cluster" else self.ask("INFO", section)
        lines = (line.partition(":") for line in str(text).splitlines())
        return {name: value for name, _, value in lines}

    def answers(self) -> bool:
        with suppress(OSError):
            return bool(self.ask("PING") == "PONG")
        return False

    def kill(self) -> None:
        """As a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        """It accepts connections and bytes, and answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)


class Slots(NamedTuple):
    """Slots that one node serves."""

    first: int
    last: int
    node: Node


class RedisCluster:
    """The nodes; the first three begin as primaries."""

    def __init__(self, binary: Path) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="cluster-"))
        self.authority = Authority(self._directory)
        """Its certificate is that of the nodes' TLS ports, beside which they have plain ones."""
        certificate, key = self.authority.issue("127.0.0.1")
        options = {"tls-cert-file": certificate, "tls-key-file": key}
        options["tls-ca-cert-file"] = str(self.authority.file)
        self.nodes = [Node(binary, options) for _ in range(2 * PRIMARIES)]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(node.address for node in self.nodes)

    def tls_url(self, user: str) -> str:
        """The same over TLS, with ``user``, which is user and password."""
        nodes = ",".join(f"127.0.0.1:{node.tls_port}" for node in self.nodes)
        return f"rediss+cluster://{user}@{nodes}?ssl_ca_certs={self.authority.file}"

    @property
    def primaries(self) -> list[Node]:
        return [node for node in self.nodes if node.process is not None and node.is_primary]

    def slots(self) -> list[Slots]:
        """Which primary serves which slots, by what one of them knows."""
        by_port = {node.port: node for node in self.nodes}
        return [
            Slots(first, last, by_port[primary[1]])
            for first, last, primary, *_ in self.primaries[0].ask("CLUSTER", "SLOTS")
        ]

    def primary_of(self, slot: int) -> Node:
        """Return the primary that serves ``slot``."""
        return next(part.node for part in self.slots() if part.first <= slot <= part.last)

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            wait_until(node.answers, within_s=START_S)
        primaries = self.nodes[:PRIMARIES]
        for number, node in enumerate(self.nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for number, node in enumerate(primaries):
            first, end = (SLOTS * part // PRIMARIES for part in (number, number + 1))
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for node, other in permutations(self.nodes, 2):
            node.ask("CLUSTER", "MEET", *other.meeting_words)
        wait_until(self._all_know_all, within_s=START_S)
        for replica, primary in zip(self.nodes[PRIMARIES:], primaries, strict=True):
            replica.ask("CLUSTER", "REPLICATE", primary.id)
        wait_until(self.is_whole, within_s=START_S)

    def _all_know_all(self) -> bool:
        count = len(self.nodes)
        known = (str(node.ask("CLUSTER", "NODES")).splitlines() for node in self.nodes)
        return all(
            len(lines) == count and not any("handshake" in line for line in lines)
            for lines in known
        )

    def is_whole(self) -> bool:
        """Whether all nodes live and agree, and each replica follows its primary."""
        return (
            all(node.answers() for node in self.nodes)
            and all(map(_is_well, self.nodes))
            and len(set(map(_view, self.nodes))) == 1
        )

    def heal(self) -> None:
        """Start nodes that are dead; return when everything is as good as new."""
        for node in self.nodes:
            if node.process is None:
                node.start()
        wait_until(self.is_whole, within_s=START_S)

    @contextmanager
    def is_brisk(self) -> Iterator[None]:
        """Have replicas take over soon, until the context ends."""
        self._set_node_timeout(BRISK_TIMEOUT_MS)
        try:
            yield
        finally:
            self._set_node_timeout(NODE_TIMEOUT_MS)

    def _set_node_timeout(self, node_timeout_ms: int) -> None:
        for node in self.nodes:
            if node.process is not None:
                node.ask("CONFIG", "SET", "cluster-node-timeout", node_timeout_ms)

    def flush(self) -> None:
        """Remove all values."""
        for node in self.primaries:
            node.ask("FLUSHALL")

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.remove()
        shutil.rmtree(self._directory, ignore_errors=True)


def _is_well(node: Node) -> bool:
    state = node.info("cluster")
    if state["cluster_state"] != "ok" or state["cluster_known_nodes"] != str(2 * PRIMARIES):
        return False
    links = node.info("replication")
    others = [line.split() for line in str(node.ask("CLUSTER", "NODES")).splitlines()]
    if any("fail" in flags or link != "connected" for _, _, flags, _, _, _, _, link, *_ in others):
        return False
    if links["role"] == "master":
        return state["cluster_slots_ok"] == str(SLOTS) and links["connected_slaves"] == "1"
    return links["master_link_status"] == "up"


def _view(node: Node) -> frozenset[tuple[str, ...]]:
    """Which nodes are primaries, and of which slots, by what this one knows."""
    lines = [line.split() for line in str(node.ask("CLUSTER", "NODES")).splitlines()]
    return frozenset(
        (fields[0], *(slots for slots in fields[8:] if not slots.startswith("[")))
        for fields in lines
        if "master" in fields[2].split(",")
    )


@contextmanager
def redis_cluster(*, required: bool | None = None) -> Iterator[RedisCluster]:
    """
    Run a cluster of the machine's ``redis-server``.

    Without one the test is skipped, or fails if it is ``required`` (by default: where CI=true).
    """
    binary = shutil.which("redis-server")
    if binary is None:
        missing = "no redis-server on PATH (Debian: apt-get install redis-server)"
        if os.environ.get("CI") == "true" if required is None else required:
            pytest.fail(missing)
        pytest.skip(missing)
    with RedisCluster(Path(binary)) as cluster:
        yield cluster


class ClusterClient(_ClusterClient):
    """redis-py's client of a cluster."""

    def __init__(self, cluster: RedisCluster) -> None:
        nodes = [ClusterNode("127.0.0.1", node.port) for node in cluster.nodes]
        super().__init__(startup_nodes=nodes)
        self.cluster = cluster

    def keys(self, pattern: Any = "*", **kwargs: Any) -> Awaitable[list[bytes | str]]:
        """Return the keys of all nodes, not those of one of them."""
        return super().keys(pattern, target_nodes=self.PRIMARIES, **kwargs)


@asynccontextmanager
async def cluster_client(cluster: RedisCluster) -> AsyncIterator[Redis]:
    """A client of an empty cluster; its commands are those of `Redis`."""
    cluster.flush()
    client = ClusterClient(cluster)
    yield cast("Redis", client)
    await client.aclose()


def cluster_store(
    cluster: RedisCluster, prefix: str = "gw:", timeout_s: float = TIMEOUT_S
) -> RedisStore:
    """
    Open the gateway's store over the cluster.

    It is typed as another implementation of the port, whose callers it serves in tests.
    """
    store = server_of(StoreOptions(cluster.url, prefix, timeout_s)).store(lambda: None)
    return cast("RedisStore", store)

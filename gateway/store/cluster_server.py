"""What the gateway uses of a Redis Cluster: store, subscription, scan."""

from collections.abc import AsyncGenerator, Callable
from random import choice

from redis.asyncio import Redis

from gateway.core.errors import StartError
from gateway.store import cluster_url
from gateway.store.cluster import ClusterStore
from gateway.store.connect import redis_client
from gateway.store.listening import listen_for_ever
from gateway.store.node import NodeStore
from gateway.store.pubsub import Subscriber
from gateway.store.server import StoreOptions, StoreServer, pattern_of, scanned
from gateway.store.slots import NodeAddress
from gateway.util import stall


class ClusterServer:
    """The `StoreServer` of a Redis Cluster."""

    def __init__(self, options: StoreOptions) -> None:
        """Raises `StartError`, which does not repeat the URL: it may hold a password."""
        self._options = options
        try:
            self._url = cluster_url.parse(options.url)
        except ValueError:
            raise StartError("redis.url cannot be read") from None
        self._client(self._url.seeds[0], options.timeout_s)  # raises for an unknown option

    def store(self, on_wrong_reply: Callable[[], object]) -> ClusterStore:
        options = self._options

        def open_node(cluster: ClusterStore, address: NodeAddress) -> NodeStore:
            # the store's own deadlines end the waits before
            client = self._client(address, options.timeout_s * stall.LONGEST)
            own = options._replace(url=self._url.of_node(address))
            return NodeStore(address, client, own, cluster, on_wrong_reply)

        return ClusterStore(self._url.seeds, open_node, options.prefix, options.timeout_s)

    async def listen(
        self,
        channel: str,
        on_message: Callable[[bytes], object],
        on_subscribed: Callable[[], object],
    ) -> None:
        """Subscribe on one node, and on another whenever that breaks off."""
        name = self._options.prefix + channel
        left: NodeAddress | None = None

        async def listen_to_another() -> None:
            nonlocal left
            nodes = await self._primaries()
            left = choice([node for node in nodes if node != left] or nodes)  # noqa: S311
            client = self._client(left, self._options.timeout_s)
            try:
                await Subscriber(client, name, on_message, on_subscribed).listen()
            finally:
                await client.aclose()

        await listen_for_ever(listen_to_another)

    async def scan(self, start: str) -> AsyncGenerator[bytes, None]:
        """Yield the keys of each primary. While slots move, some come twice, and some may not."""
        pattern, timeout_s = pattern_of(self._options.prefix + start), self._options.timeout_s
        for node in await self._primaries():
            client = self._client(node, timeout_s)
            try:
                async for key in scanned(client, pattern, timeout_s):
                    yield key
            finally:
                await client.aclose()

    async def _primaries(self) -> list[NodeAddress]:
        """Ask any node which nodes serve slots. Raises `StoreUnavailable`."""
        store = self.store(lambda: None)
        try:
            return await store.primaries()
        finally:
            await store.aclose()

    def _client(self, address: NodeAddress, timeout_s: float) -> Redis:
        return redis_client(self._url.of_node(address), timeout_s)


_: type[StoreServer] = ClusterServer

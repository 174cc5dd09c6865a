"""What the gateway uses of a Redis Cluster: store, subscription, scan."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from random import choice

from redis.asyncio import Redis

from gateway.core.errors import StartError, StoreUnavailable
from gateway.store import cluster_url
from gateway.store.asking import Ask, asking
from gateway.store.cluster import ClusterStore
from gateway.store.connect import redis_client
from gateway.store.line import LineOptions
from gateway.store.listening import listen_for_ever
from gateway.store.node import NodeStore
from gateway.store.pubsub import Subscriber
from gateway.store.server import StoreOptions, StoreServer, access_of, keys_of, pattern_of, scanned
from gateway.store.slots import NodeAddress, slot_of
from gateway.util.call_watch import UNWATCHED, CallWatch

_KEYLESS = frozenset(
    {"PING", "ECHO", "TIME", "EVAL", "EVALSHA", "PUBLISH", "SCAN", "INFO", "CONFIG", "CLUSTER"}
    | {"WAIT"}
)
"""Commands of operators that have no key as their first argument."""


class ClusterServer:
    """The `StoreServer` of a Redis Cluster."""

    def __init__(self, options: StoreOptions) -> None:
        """Raises `StartError`, which does not repeat the URL: it may hold a password."""
        self._options = options
        self._access = access = access_of(options)
        login = access.login
        self._changes = login.look if login else None
        try:
            self._url = cluster_url.parse(options.url)
        except ValueError:
            raise StartError("redis.url cannot be read") from None
        self._client(self._url.seeds[0])  # raises for an unknown option

    def store(
        self, on_wrong_reply: Callable[[], object], watch: CallWatch = UNWATCHED
    ) -> ClusterStore:
        return self._store(self._options, on_wrong_reply, self._options.timeout_s, watch)

    def _store(
        self,
        options: StoreOptions,
        on_wrong_reply: Callable[[], object],
        timeout_s: float,
        watch: CallWatch = UNWATCHED,
    ) -> ClusterStore:
        """Open a store with ``timeout_s`` for callers; that of ``options`` is for each node."""

        def open_node(cluster: ClusterStore, address: NodeAddress) -> NodeStore:
            own = options._replace(url=self._url.of_node(address))
            lines = LineOptions(options.connect_timeout_s, options.retries, self._changes)
            client = self._client(address)
            return NodeStore(address, client, own, cluster, on_wrong_reply, watch, lines=lines)

        return ClusterStore(self._url.seeds, open_node, options.prefix, timeout_s)

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
            client, changes = self._client(left), self._changes
            async with aclosing(client):
                await Subscriber(client, name, on_message, on_subscribed, changes=changes).listen()

        await listen_for_ever(listen_to_another)

    def scan(self, start: str) -> AsyncGenerator[bytes, None]:
        """Yield the keys of each primary. While slots move, some come twice, and some may not."""
        return keys_of(self.slices(start))

    async def slices(self, start: str) -> AsyncGenerator[list[bytes], None]:
        pattern, timeout_s = pattern_of(self._options.prefix + start), self._options.patience_s
        for node in await self._primaries():
            async with aclosing(self._client(node)) as client:
                async for keys in scanned(client, pattern, timeout_s):
                    yield keys

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[Ask]:
        """Yield what sends single commands, for operators: to the node of the key, if any."""
        timeout_s = self._options.patience_s
        async with AsyncExitStack() as until_the_end:
            store = self._patient_store()
            until_the_end.push_async_callback(store.aclose)
            asked: dict[NodeAddress, Ask] = {}
            for node in await store.primaries():
                client = self._client(node)
                until_the_end.push_async_callback(client.aclose)
                asked[node] = asking(client, timeout_s)

            async def ask(*words: str | int) -> object:
                name = "" if words[0] in _KEYLESS else str(words[1])
                node = store.primary_of(slot_of(name.encode()))
                if node not in asked:
                    raise StoreUnavailable("the cluster's primaries have changed")
                return await asked[node](*words)

            yield ask

    async def _primaries(self) -> list[NodeAddress]:
        """Ask any node which nodes serve slots. Raises `StoreUnavailable`."""
        async with aclosing(self._patient_store()) as store:
            return await store.primaries()

    def _patient_store(self) -> ClusterStore:
        """
        Open a store that is closed after a few commands: it has no time to connect before.

        It waits for each seed, as one that hangs may be the first that is asked.
        """
        patience_s = self._options.patience_s
        options = self._options._replace(timeout_s=patience_s)
        return self._store(options, lambda: None, patience_s * len(self._url.seeds))

    def _client(self, address: NodeAddress) -> Redis:
        url = self._url.of_node(address)
        return redis_client(url, self._options.connect_timeout_s, self._access)


_: type[StoreServer] = ClusterServer

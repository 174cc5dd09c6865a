"""A database that is reached by Upstash's REST protocol: the server of ``gateway upstash``."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis

from gateway.store.embedded import EmbeddedServer
from gateway.store.redis import RedisStore
from gateway.store.rest_server import RestStoreServer
from gateway.store.server import StoreOptions
from gateway.upstash.server import RestTokens, serving
from tests.fakes.servers import TIMEOUT_S, Servers

TOKENS = RestTokens("standard-token", "read-only-token")
REST = "rest"
"""The kind of store that is reached over the REST protocol."""


class RestDatabase(NamedTuple):
    """Where clients find it: over REST, and over the store's own socket."""

    url: str
    token: str
    read_only_token: str
    socket_path: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables that Upstash's clients read."""
        return {"UPSTASH_REDIS_REST_URL": self.url, "UPSTASH_REDIS_REST_TOKEN": self.token}


@asynccontextmanager
async def rest_database(directory: Path | None = None) -> AsyncIterator[RestDatabase]:
    """Run a database until the context ends; with ``directory``, it keeps its data there."""
    store = EmbeddedServer(directory)
    await store.start()
    socket_path = store.url.removeprefix("unix://")
    try:
        async with serving(socket_path, TOKENS, 0) as port:
            yield RestDatabase(
                f"http://127.0.0.1:{port}", TOKENS.standard, TOKENS.read_only, socket_path
            )
    finally:
        await store.stop()


@asynccontextmanager
async def rest_server(
    url: str, prefix: str = "gw:", token: str = TOKENS.standard
) -> AsyncIterator[RestStoreServer]:
    """The gateway's side of the protocol, over a server of it on the store's unix socket."""
    async with serving(url.removeprefix("unix://"), TOKENS, 0) as port:
        yield RestStoreServer(
            StoreOptions(f"upstash+http://127.0.0.1:{port}", prefix, TIMEOUT_S, token)
        )


@asynccontextmanager
async def opened_store(kind: str, client: Redis, servers: Servers) -> AsyncIterator[RedisStore]:
    """A store of that kind, on the server of ``client``."""
    async with AsyncExitStack() as stack:
        if kind == REST:
            server = await stack.enter_async_context(rest_server(servers("valkey").url))
            store = server.store(lambda: None)
        else:
            store = RedisStore(client, "gw:", TIMEOUT_S)
        stack.push_async_callback(store.aclose)
        yield store

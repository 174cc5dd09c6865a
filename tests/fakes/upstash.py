"""A database that is reached by Upstash's REST protocol: the server of ``gateway upstash``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from gateway.store.embedded import EmbeddedServer
from gateway.upstash.server import RestTokens, serving

TOKENS = RestTokens("standard-token", "read-only-token")


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

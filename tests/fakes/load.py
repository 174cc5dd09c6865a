"""Clients that keep asking while something is done to the gateway."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h11

from tests.fakes.http import connected

CLIENTS = 16


class Load:
    """What came of it: answers by status, and requests that were broken off."""

    def __init__(self) -> None:
        self.answers: Counter[int] = Counter()
        self.broken: list[str] = []
        self.is_over = False

    async def more(self, requests: int) -> None:
        """Wait until so many more were answered."""
        wanted = self.answers.total() + requests
        async with asyncio.timeout(20):
            while self.answers.total() < wanted:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def load(
    port: int, path: str, clients: int = CLIENTS, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Load]:
    """Clients that ask for ``path`` until the context ends, each on connections that it keeps."""
    made = Load()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(_ask(made, port, path, tls))
        try:
            yield made
        finally:
            made.is_over = True


async def _ask(made: Load, port: int, path: str, tls: ssl.SSLContext | None) -> None:
    while not made.is_over:
        try:
            await _ask_on_one_connection(made, port, path, tls)
        except (AssertionError, OSError, TimeoutError, h11.RemoteProtocolError) as error:
            made.broken.append(repr(error))
            await asyncio.sleep(0.01)


async def _ask_on_one_connection(
    made: Load, port: int, path: str, tls: ssl.SSLContext | None
) -> None:
    async with connected(port, tls) as client:
        while not made.is_over:
            await client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            answer = await client.answer()
            if not answer.is_complete:
                made.broken.append("incomplete")
                return
            made.answers[answer.status] += 1
            if "close" in answer.values("Connection"):
                return

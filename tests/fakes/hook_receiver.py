"""A receiver of webhooks on a real socket: it verifies, drops repeats, and answers when told."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook

from tests.fakes.hooks import SECRET

SOON_S = 20


class Received(NamedTuple):
    """One attempt, which was verified."""

    path: str
    id: str
    event: dict[str, Any]
    content_type: str


class HookReceiver:
    """What came in, by attempt; and what took effect, once for each path and id."""

    def __init__(self) -> None:
        self.port = 0
        self.attempts: list[Received] = []
        self.effects: Counter[tuple[str, str]] = Counter()
        self.held: set[str] = set()
        """Paths whose attempts are not answered until they are taken out."""
        self._changed = asyncio.Condition()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        event = Webhook(SECRET).verify(body, dict(request.headers))
        name = request.headers["webhook-id"]
        path = request.path
        self.attempts.append(Received(path, name, event, request.headers["Content-Type"]))
        if not self.effects[path, name]:
            self.effects[path, name] += 1
        async with self._changed:
            self._changed.notify_all()
            await self._changed.wait_for(lambda: path not in self.held)
        return web.Response(status=204)

    async def release(self, path: str) -> None:
        """Answer the attempts on ``path`` from now on."""
        self.held.discard(path)
        async with self._changed:
            self._changed.notify_all()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until what came in makes it so."""
        async with asyncio.timeout(SOON_S), self._changed:
            await self._changed.wait_for(is_so)

    def on(self, path: str) -> list[Received]:
        """Return the attempts on ``path``."""
        return [each for each in self.attempts if each.path == path]

    def kinds(self, path: str, subject: str) -> list[str]:
        """Return the kinds of events of ``subject`` that came on ``path``, repeats left out."""
        events = {each.id: each.event for each in self.on(path)}.values()
        return [event["type"] for event in events if event["subject"] == subject]


@asynccontextmanager
async def receiving() -> AsyncIterator[HookReceiver]:
    """A receiver that serves."""
    receiver = HookReceiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.take)
    server = TestServer(app)
    await server.start_server()
    receiver.port = int(server.port or 0)
    try:
        yield receiver
    finally:
        for path in tuple(receiver.held):
            await receiver.release(path)
        await server.close()

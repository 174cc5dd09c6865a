"""
Bounds on the connections of the private listener, and on the wait for bodies.

Other machines may connect to it before they prove anything; and a process that serves clients, too,
has its descriptors for both.
"""

import asyncio
from typing import Final

from aiohttp import web

from gateway.admin.access_control import Answerer
from gateway.admin.problems import problem_response
from gateway.admin.site import MakeHandler

MAX_CONNECTIONS: Final = 256
"""Probes, Prometheus, programs, and the pages that are open need far fewer."""
_BODY_S: Final = 20.0


class PrivateConnections:
    """Makes connections; of too many, those without a request are closed, the oldest first."""

    def __init__(self) -> None:
        self._busy: set[object] = set()

    @web.middleware
    async def noted(self, request: web.Request, handler: Answerer) -> web.StreamResponse:
        """Answer a request that was let in and has come whole; its connection is in use for it."""
        self._busy.add(request.protocol)
        try:
            return await handler(request)
        finally:
            self._busy.discard(request.protocol)

    def made_by(self, server: web.Server) -> MakeHandler:
        """Return what makes the protocol of a connection that was accepted."""
        return lambda: server() if self._make_room(server) else _NoConnection()

    def _make_room(self, server: web.Server) -> bool:
        kept = [each for each in server.connections if each.transport is not None]
        if len(kept) < MAX_CONNECTIONS:
            return True
        idle = [each for each in kept if each not in self._busy]
        for each in idle[: 1 + len(idle) // 2]:
            each.force_close()
        return bool(idle)


class _NoConnection(asyncio.Protocol):
    """Closes a connection for which there is no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


@web.middleware
async def received(request: web.Request, handler: Answerer) -> web.StreamResponse:
    """Wait for the whole body of a request that was let in; 408 where it does not come."""
    try:
        async with asyncio.timeout(_BODY_S):
            await request.read()
    # The answer to a client that has left goes nowhere; an error would be a line of the log.
    except (TimeoutError, ConnectionError):
        answer = problem_response(408, "request_timeout", "the body did not come in time")
        answer.force_close()
        return answer
    return await handler(request)

"""Connections of aiohttp's client on which no answer waits that was not asked for."""

from typing import TYPE_CHECKING

from aiohttp import ServerDisconnectedError, TCPConnector

if TYPE_CHECKING:
    from aiohttp import ClientTimeout
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

_TRIALS = 100
"""More than connections are idle at one time."""


class QuietConnector(TCPConnector):
    """
    Closes an idle connection on which something has come.

    A server, or a proxy before it, may send an answer twice, or one of its own accord (such as a
    408 where no request came for a while). aiohttp hands that to the next request, and its answer
    to the one after it.
    """

    async def connect(
        self,
        req: "ClientRequest",
        traces: list["Trace"],
        timeout: "ClientTimeout",  # noqa: ASYNC109 (of aiohttp)
    ) -> "Connection":
        for _ in range(_TRIALS):
            connection = await super().connect(req, traces, timeout)
            if connection.protocol is None or not connection.protocol.should_close:
                return connection
            connection.close()
        raise ServerDisconnectedError("the server answers unasked")

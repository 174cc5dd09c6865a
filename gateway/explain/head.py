"""Reads the head of a request that is to be explained, by the parsers of live connections."""

import asyncio
import secrets
from collections.abc import Callable
from typing import NamedTuple, cast

from gateway.core.errors import BadRequest, Refusal
from gateway.core.request import Client, RequestHead
from gateway.proxy.downstream.limits import ConnectionLimits
from gateway.proxy.downstream.reader import RequestReader
from gateway.proxy.downstream.server import ProxyServer
from gateway.proxy.http1.kernel_table import line_table
from gateway.proxy.http1.line_table import LineTable
from gateway.proxy.http1.parser import KNOWN_NAMES, HttpProtocol
from gateway.proxy.http1.strict import framing_of
from gateway.proxy.tunnel.upgrade import requested_upgrade


class _ReaderParts(NamedTuple):
    """What a reader takes of the server of live connections."""

    loop: asyncio.AbstractEventLoop
    limits: ConnectionLimits
    lines: LineTable
    next_request_id: Callable[[], str]


async def read_head(
    data: bytes, peer: Client, limits: ConnectionLimits, max_body_bytes: int
) -> RequestHead:
    """Return the head in ``data``. Raises the `Refusal` that a client would get for it."""
    loop = asyncio.get_running_loop()
    request_id = secrets.token_hex(8)
    parts = _ReaderParts(loop, limits, line_table(KNOWN_NAMES), lambda: request_id)
    reader = RequestReader(cast("ProxyServer", parts))
    reader.peer = peer
    request = reader.take_whole(data)
    if request is None:
        reader.feed(data, HttpProtocol(loop))
        found = reader.next() if reader.queue else BadRequest("head")
        if isinstance(found, Refusal):
            raise found
        request = found
    head, message, body = request
    framing_of(message, body, max_body_bytes)
    if message is not None and message.upgrade:
        asked = requested_upgrade(head.method, head.version, head.headers)
        return head._replace(upgrade=asked.name)
    return head

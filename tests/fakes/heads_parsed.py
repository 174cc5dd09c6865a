"""Messages as aiohttp's parsers return them, made from the bytes of a head."""

import asyncio

from gateway.proxy.http1.parser import (
    HttpProtocol,
    RawRequestMessage,
    RawResponseMessage,
    StreamReader,
    request_parser,
    response_parser,
)

_HEAD_BYTES = 16384


def parsed_request(data: bytes) -> tuple[RawRequestMessage, StreamReader]:
    """The one request in ``data``; needs a running loop."""
    loop = asyncio.get_running_loop()
    (found,), _, _ = request_parser(HttpProtocol(loop), loop, _HEAD_BYTES).feed_data(data)
    return found


def parsed_response(data: bytes) -> tuple[RawResponseMessage, StreamReader]:
    """The one response in ``data``; needs a running loop."""
    loop = asyncio.get_running_loop()
    (found,), _, _ = response_parser(HttpProtocol(loop), loop).feed_data(data)
    return found

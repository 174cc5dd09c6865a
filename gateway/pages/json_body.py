"""The JSON in the body of a request for one of the gateway's own pages."""

import asyncio
from typing import Any, Final

import orjson
from aiohttp import web

from gateway.core.errors import BadRequest, BodyTooLarge, RequestTimeout

MAX_BODY_BYTES: Final = 4096
BODY_TIMEOUT_S: Final = 5.0
"""For the whole body, which holds one of the connections to the pages that all clients share."""


async def json_body(request: web.Request) -> Any:
    """
    Read the JSON in the body, which must be declared as JSON.

    CSRF: no form can declare it, and a script of another site needs a preflight first.
    """
    if request.content_type != "application/json":
        raise BadRequest("expected application/json")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.content.iter_any():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    raise BodyTooLarge("a page takes up to 4 KiB")
    except TimeoutError:
        raise RequestTimeout("the body for a page") from None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadRequest("not JSON") from None

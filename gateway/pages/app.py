"""The gateway's own pages as one `aiohttp.web` app, and the wire to it."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from gateway.core.errors import (
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NoRoute,
    Refusal,
)
from gateway.core.problem import problem
from gateway.proxy.upstream.connection import UpstreamConnection

_log = logging.getLogger(__name__)

_NEVER_BINDING = 1 << 24

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(routes: Iterable[web.AbstractRouteDef]) -> web.Application:
    """The app for ``routes``."""
    app = web.Application(middlewares=[_answer_refusals])
    app.add_routes(routes)
    app.on_response_prepare.append(_say_no_version)
    return app


async def _say_no_version(_: web.Request, response: web.StreamResponse) -> None:
    """Which version of which library answers helps nobody but an attacker."""
    response.headers.popall("Server", None)


@web.middleware
async def _answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except Refusal as refusal:
        return _problem(request, refusal)
    except web.HTTPNotFound:
        return _problem(request, NoRoute())
    except web.HTTPMethodNotAllowed as error:
        response = _problem(request, MethodNotAllowed())
        response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
    except web.HTTPBadRequest:
        return _problem(request, BadRequest())
    except (web.HTTPException, OSError):  # the latter: nobody waits for an answer any more
        raise
    except Exception:  # noqa: BLE001 (a fault of ours must still be answered and logged)
        _log.exception("request %s failed", request.headers.get("X-Request-Id", ""))
        return _problem(request, InternalError())
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _problem(request: web.Request, refusal: Refusal) -> web.Response:
    request_id = request.headers.get("X-Request-Id", "")
    code, reply = problem(refusal, request_id)
    if refusal.reason:  # the access log's line, which has the same id, cannot know it
        _log.info("request %s was refused: %s: %s", request_id, code, refusal.reason)
    return web.Response(status=reply.status, headers=dict(reply.fields), body=reply.body)


class PagesServer:
    """Serves the pages over socket pairs: one more upstream, so one path serves all requests."""

    def __init__(self, app: web.Application) -> None:
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # it would quote requests
        self._runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=3600,
            auto_decompress=False,  # what is packed is not read: nothing of ours is that long
            # What is too much has been judged before; these are only never to bind.
            max_line_size=_NEVER_BINDING,
            max_field_size=_NEVER_BINDING,
            max_headers=_NEVER_BINDING,
        )

    async def start(self) -> None:
        """Get ready for `connect`."""
        await self._runner.setup()

    async def stop(self) -> None:
        """Close all connections."""
        await self._runner.cleanup()

    async def connect(self, make: Callable[[], UpstreamConnection]) -> UpstreamConnection:
        """A connection to the pages; see `gateway.proxy.upstream.pool.Connect`."""
        loop = asyncio.get_running_loop()
        server = self._runner.server
        if server is None:
            raise ConnectionRefusedError
        ours, theirs = socket.socketpair()
        await loop.connect_accepted_socket(server, theirs)
        _, protocol = await loop.create_unix_connection(make, sock=ours)
        return protocol

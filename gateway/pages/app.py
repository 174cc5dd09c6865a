"""The gateway's own pages as one `aiohttp.web` app, and the connections to it."""

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
from gateway.core.problem import problem_of, reply_of
from gateway.headers.internal import INTERNAL_REFUSAL, told_refusal
from gateway.pages.caller import caller
from gateway.pages.error_pages import ErrorPages
from gateway.proxy.upstream.connection import UpstreamConnection

_log = logging.getLogger(__name__)

_UNREACHABLE = 1 << 24

_ERROR_PAGES: web.AppKey[ErrorPages | None] = web.AppKey("error_pages")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(
    routes: Iterable[web.AbstractRouteDef], error_pages: ErrorPages | None = None
) -> web.Application:
    """Make the app for ``routes``; people see refusals as ``error_pages``."""
    app = web.Application(middlewares=[_answer_refusals])
    app[_ERROR_PAGES] = error_pages
    app.add_routes(routes)
    app.on_response_prepare.append(_remove_server_field)
    return app


async def _remove_server_field(_: web.Request, response: web.StreamResponse) -> None:
    """Remove ``Server``: names and versions of libraries help attackers alone."""
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
        response = _problem(request, MethodNotAllowed(allowed=sorted(error.allowed_methods)))
    except web.HTTPBadRequest:
        return _problem(request, BadRequest())
    except (web.HTTPException, OSError):  # OSError: the client no longer waits for an answer
        raise
    except Exception:  # noqa: BLE001 (a fault of ours must still be answered and logged)
        _log.exception("request %s failed", request.headers.get("X-Request-Id", ""))
        return _problem(request, InternalError())
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _problem(request: web.Request, refusal: Refusal) -> web.Response:
    request_id = request.headers.get("X-Request-Id", "")
    answer = problem_of(refusal)
    if (pages := request.app[_ERROR_PAGES]) is not None:
        if (identity := caller(request)) is not None:
            refusal.signed_in_as = identity.signed_in_as
        answer = pages.page(request.headers, refusal, answer)
    code, reply = answer.code, reply_of(answer, request_id)
    if refusal.reason:
        _log.info("request %s was refused: %s: %s", request_id, code, refusal.reason)
    headers = {**dict(reply.fields), INTERNAL_REFUSAL: told_refusal(code, refusal.reason)}
    return web.Response(status=reply.status, headers=headers, body=reply.body)


class PagesServer:
    """Serves the pages over socket pairs, as one more upstream: all requests take one path."""

    def __init__(self, app: web.Application) -> None:
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # it would quote requests
        self._runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=3600,
            auto_decompress=False,  # no page takes a compressed body
            # The proxy has enforced the limits already; these must never be reached.
            max_line_size=_UNREACHABLE,
            max_field_size=_UNREACHABLE,
            max_headers=_UNREACHABLE,
        )

    async def start(self) -> None:
        """Get ready for `connect`."""
        await self._runner.setup()

    async def stop(self) -> None:
        """Close all connections, and free the pages: the app itself is a web of cycles."""
        await self._runner.cleanup()
        for resource in self._runner.app.router.resources():
            vars(resource).clear()
        vars(self._runner.app).clear()

    async def connect(self, make: Callable[[], UpstreamConnection]) -> UpstreamConnection:
        """Connect to the pages; see `gateway.proxy.upstream.pool.Connect`."""
        loop = asyncio.get_running_loop()
        server = self._runner.server
        if server is None:
            raise ConnectionRefusedError
        ours, theirs = socket.socketpair()
        await loop.connect_accepted_socket(server, theirs)
        _, protocol = await loop.create_unix_connection(make, sock=ours)
        return protocol

"""
A naive gateway for comparison: `aiohttp.web` in front, `ClientSession` behind.

    python -m benchmarks.naive PORT UPSTREAM_URL STORE_SOCKET

It does the work of the gateway for a session: look the cookie up in Redis, count the request
against a limit, forward it with the caller's identity. It is not slower than necessary: it runs on
uvloop, writes no access log, reads bodies whole, reuses connections on both sides, counts by a
fixed window (INCR, and EXPIRE for the first request of a window), and stores only an issuer per
session.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping

import uvloop
from aiohttp import ClientSession, TCPConnector, web
from redis.asyncio import Redis

COOKIE = "session"
RATE, WINDOW_S = 100_000_000, 60

HOP_BY_HOP = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

CLIENT = web.AppKey("client", ClientSession)
STORE = web.AppKey("store", Redis)
UPSTREAM = web.AppKey("upstream", str)


def session_key(cookie: str) -> str:
    """Key of the issuer of a session in Redis."""
    return f"naive:session:{cookie}"


async def handle(request: web.Request) -> web.Response:
    """Limit, authenticate, forward."""
    if not await within_limit(request):
        return web.Response(status=429)
    issuer = await issuer_of(request)
    if issuer is None:
        return web.Response(status=401)
    return await forward(request, issuer)


async def within_limit(request: web.Request) -> bool:
    """Charge the request to its client's address."""
    store, key = request.app[STORE], f"naive:limit:{request.remote}"
    count = await store.incr(key)
    if count == 1:
        await store.expire(key, WINDOW_S)
    return int(count) <= RATE


async def issuer_of(request: web.Request) -> str | None:
    """Look up the issuer of the session that the cookie names."""
    key = session_key(request.cookies.get(COOKIE, ""))
    issuer = await request.app[STORE].get(key)
    return None if issuer is None else str(issuer)


async def forward(request: web.Request, issuer: str) -> web.Response:
    """Forward the request to the app, and its response to the client."""
    headers = {**end_to_end(request.headers), "X-User-Issuer": issuer}
    url = request.app[UPSTREAM] + request.path_qs
    body = await request.read() or None
    async with request.app[CLIENT].request(
        request.method, url, headers=headers, data=body, allow_redirects=False
    ) as answer:
        return web.Response(
            status=answer.status, body=await answer.read(), headers=end_to_end(answer.headers)
        )


def end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    """Remove the hop-by-hop fields."""
    return {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}


def make_app(upstream_url: str, store_socket: str) -> web.Application:
    """Make the gateway in front of ``upstream_url``."""
    app = web.Application()
    app[UPSTREAM] = upstream_url
    app.cleanup_ctx.extend([client, lambda app: store(app, store_socket)])
    app.router.add_route("*", "/{path:.*}", handle)
    return app


async def client(app: web.Application) -> AsyncIterator[None]:
    """Hold the connections to the app while the gateway runs."""
    async with ClientSession(connector=TCPConnector(limit=0)) as session:
        app[CLIENT] = session
        yield


async def store(app: web.Application, socket: str) -> AsyncIterator[None]:
    """Hold the connections to Redis while the gateway runs."""
    async with Redis(unix_socket_path=socket, decode_responses=True) as redis:
        app[STORE] = redis
        yield


async def serve(port: int, upstream_url: str, store_socket: str) -> None:
    """Serve until the process is ended."""
    runner = web.AppRunner(make_app(upstream_url, store_socket), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), *sys.argv[2:]))

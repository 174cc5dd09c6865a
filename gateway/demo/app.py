"""
The app behind the demo: says which headers it was sent.

    python -m gateway.demo.app [host:]port
"""

import sys

from aiohttp import web

_SHOWN = ("x-", "via", "host", "cookie", "authorization")


async def echo(request: web.Request) -> web.Response:
    """What the app knows of the request: the gateway's headers, and what came through of others."""
    fields = {
        name: value for name, value in request.headers.items() if name.lower().startswith(_SHOWN)
    }
    return web.json_response({"path": request.path, "headers": fields})


def make_app() -> web.Application:
    """The app: every path answers."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", echo)
    return app


def main() -> None:
    """Serve until told to stop."""
    host, _, port = (sys.argv[1] if len(sys.argv) > 1 else "3000").rpartition(":")
    web.run_app(make_app(), host=host or "127.0.0.1", port=int(port), print=None)


if __name__ == "__main__":
    main()

"""
Sample app of the demo: echoes the path and the header fields that concern the gateway.

    python -m gateway.demo.app [host:]port
"""

import sys

from aiohttp import web

_ECHOED = ("x-", "via", "host", "cookie", "authorization")
"""Beginnings of names: fields that the gateway writes, and credentials that it should remove."""


async def echo(request: web.Request) -> web.Response:
    """Answer with the path and the fields that concern the gateway, as JSON."""
    fields = {
        name: value for name, value in request.headers.items() if name.lower().startswith(_ECHOED)
    }
    return web.json_response({"path": request.path, "headers": fields})


def make_app() -> web.Application:
    """Make the app, which answers every path and method."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", echo)
    return app


def main() -> None:
    """Serve until the process is stopped."""
    host, _, port = (sys.argv[1] if len(sys.argv) > 1 else "3000").rpartition(":")
    web.run_app(make_app(), host=host or "127.0.0.1", port=int(port), print=None)


if __name__ == "__main__":
    main()

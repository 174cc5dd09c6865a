# ruff: noqa: E501 - lines that are pasted into a terminal must not be broken
"""Run the demo: a gateway in development mode in front of a sample app, in one process."""

import os
import socket
import time
from importlib.resources import files
from textwrap import dedent

import click
from aiohttp import web

from gateway.config.load import parse
from gateway.config.schema import Settings
from gateway.core.errors import StartError
from gateway.demo import app as sample_app
from gateway.runtime import serve
from gateway.runtime.gateway import Gateway

_EMAIL = "ada@example.com"
_TOKEN_LIFETIME_S = 3600
_RATE = 30


async def demo(port: int) -> None:
    """
    Serve the sample app behind a gateway until the process is stopped.

    The gateway listens on ``port`` of loopback; 0 stands for any free one. Raises `StartError`
    where another program uses it.
    """
    port = _free_port(port)
    runner = web.AppRunner(sample_app.make_app(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        settings = _settings(port, int(runner.addresses[0][1]))
        await serve.serve(settings, lambda gateway: _show(gateway, port))
    finally:
        await runner.cleanup()


def _settings(port: int, app_port: int) -> Settings:
    text = files("gateway.demo").joinpath("demo.yaml").read_text()
    own = {"PORT": str(port), "APP_PORT": str(app_port), "RATE": str(_RATE)}
    env = {**os.environ, **own}  # a PORT of the shell is that of another program
    return parse(text, "demo.yaml", env, lambda path: path)


def _free_port(wanted: int) -> int:
    """Return ``wanted`` if it can be bound, or a free port for 0. Raises `StartError`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise StartError(
                f"cannot listen on 127.0.0.1:{wanted}: {error.strerror}; stop the program that uses"
                " it, or name another port: gateway demo --port 8081 (0 takes any free one)"
            ) from error
        return int(probe.getsockname()[1])


def _show(gateway: Gateway, port: int) -> None:
    if gateway.development is None:
        raise RuntimeError("the demo runs in development mode")
    token = gateway.development.mint(_EMAIL, _TOKEN_LIFETIME_S, time.time())
    click.echo(_lines(f"http://127.0.0.1:{port}", token), err=True)


def _lines(url: str, token: str) -> str:
    return dedent(f"""
        Gateway is running at {url} in front of a sample app that echoes its requests.
        Development mode: no account at Magic, no secrets, a store in memory. Ctrl-C stops it.
        Sign in with a browser at {url}/_gateway/login; {url}/me redirects there, too.
        Or paste these commands into another terminal.

        # a DID token for {_EMAIL}, as Magic's SDK would give it to the browser
        TOKEN={token}

        # a public page
        curl -i {url}/public/hello

        # a protected page: 401 without credentials
        curl -i {url}/me

        # 200 with the token; the app receives X-User-Issuer from the gateway, not the forged one
        curl -i {url}/me -H "Authorization: Bearer $TOKEN" -H "X-User-Issuer: forged"

        # exchange the token for a session cookie (once)
        curl -i {url}/_gateway/session -X POST -H "Authorization: Bearer $TOKEN" -c /tmp/gateway-cookies

        # 200 with the cookie; the app does not receive it
        curl -i {url}/me -b /tmp/gateway-cookies

        # the identity of the session
        curl -i {url}/_gateway/session -b /tmp/gateway-cookies

        # log out; then the same cookie is refused: 401
        curl -i {url}/_gateway/session -X DELETE -b /tmp/gateway-cookies -H "Origin: {url}"
        curl -i {url}/me -b /tmp/gateway-cookies

        # a token for another user
        curl -X POST '{url}/_gateway/development/token?email=grace@example.com'

        # more than {_RATE} requests in a minute: 429
        for i in $(seq {_RATE + 5}); do curl -s -o /dev/null -w '%{{http_code}} ' {url}/public/hello; done; echo
        """)

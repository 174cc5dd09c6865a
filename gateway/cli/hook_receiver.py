"""``gateway hooks listen``: a receiver of webhooks on this machine."""

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from textwrap import dedent
from typing import Any, Final, cast

import click
import orjson
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from gateway.cli.common import shown
from gateway.cli.keys import webhook_secret
from gateway.core.errors import StartError
from gateway.hooks.signature import key_of
from gateway.runtime.serve import Stop
from gateway.util.lru import LruCache

HOST: Final = "127.0.0.1"
_KNOWN: Final = 10_000
"""Ids of events that are remembered."""
_STOP_S: Final = 1.0


class SecretParam(click.ParamType[str]):
    """A secret of a webhook; a message does not show it."""

    name = "secret"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        try:
            key_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class HookReceiver:
    """Verifies deliveries, drops repeats by their id, and shows the others."""

    def __init__(self, secret: str, show: Callable[[dict[str, Any]], None]) -> None:
        self._webhook = Webhook(key_of(secret))
        self._show = show
        self._known: LruCache[str, bool] = LruCache(_KNOWN)

    async def take(self, request: web.Request) -> web.Response:
        """Answer a delivery: 204 where it is taken or known, 401 where it does not verify."""
        body = await request.read()
        try:
            self._webhook.verify(body, dict(request.headers))
            event = _event(body)
        except (WebhookVerificationError, ValueError, TypeError) as error:
            click.echo(f"gateway: refused: {_why(error)}", err=True)
            return web.Response(status=401)
        event_id = request.headers["webhook-id"]
        if self._known.get(event_id):
            click.echo(f"gateway: {event_id!r} came again, and is dropped", err=True)
        else:
            self._known.put(event_id, True)
            self._show(event)
        return web.Response(status=204)


def _event(body: bytes) -> dict[str, Any]:
    event = orjson.loads(body)
    if not isinstance(event, dict):
        raise TypeError("not an event")
    return cast("dict[str, Any]", event)


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, WebhookVerificationError) else "it cannot be read"


@asynccontextmanager
async def receiving(receiver: HookReceiver, port: int) -> AsyncIterator[int]:
    """Receive at ``port`` of loopback; yields the port. Raises `StartError`."""
    app = web.Application(client_max_size=1 << 20)
    app.router.add_post("/{path:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, HOST, port).start()
        except OSError as error:
            raise StartError(
                f"cannot listen on {HOST}:{port}: {os.strerror(error.errno or 0)}; stop the program"
                " that uses it, or name another port: --port 0 takes any free one"
            ) from error
        yield cast("int", runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def listen_on(port: int, secret: str | None, *, as_json: bool) -> None:
    """
    Receive until SIGTERM or SIGINT, and print what comes.

    A secret that is not given is made and printed; one that is given is not repeated.
    """
    stop = Stop(signal.SIGTERM, signal.SIGINT)
    made = secret or webhook_secret()
    told = "<the value of --secret>" if secret else made
    async with receiving(HookReceiver(made, print_line if as_json else print_event), port) as bound:
        click.echo(lines(bound, told), err=True)
        await stop.wait()


def lines(port: int, secret: str) -> str:
    """What is printed at start: the address, and the section of a config that uses it."""
    return dedent(f"""
        Webhooks are received at http://{HOST}:{port}/ for development. Ctrl-C stops it.
        Paste this section into the config of a gateway on this machine.

        hooks:
          allow_private: [{HOST}/32]
          endpoints:
            - name: listen
              url: http://{HOST}:{port}/
              secret: {secret}
              events: [user.first_login, user.login, user.logout, session.revoked]
        """)


def print_line(event: dict[str, Any]) -> None:
    """Print an event for programs."""
    click.echo(orjson.dumps(event).decode())


def print_event(event: dict[str, Any]) -> None:
    """Print an event for people."""
    told = [str(event.get(member, "-")) for member in ("time", "type", "subject", "id")]
    click.echo(shown("  ".join(told)))
    click.echo(f"    {shown(orjson.dumps(event.get('data')).decode())}")

"""Run ``gateway upstash``: the embedded store behind Upstash's REST protocol."""

import signal
from pathlib import Path
from secrets import token_urlsafe
from textwrap import dedent

import click

from gateway.runtime.serve import Stop
from gateway.store.embedded import EmbeddedServer
from gateway.upstash.server import HOST, RestTokens, serving

TOKEN_BYTES = 32


async def upstash(
    port: int, token: str | None, read_only_token: str | None, directory: Path | None
) -> None:
    """
    Serve until SIGTERM or SIGINT. With ``directory``, the data is kept there.

    A token that is not given is made and printed; one that is given is not repeated. Raises
    `StartError` where the port or the directory cannot be used.
    """
    tokens = RestTokens(
        token or token_urlsafe(TOKEN_BYTES), read_only_token or token_urlsafe(TOKEN_BYTES)
    )
    shown = RestTokens(
        "<the value of --token>" if token else tokens.standard,
        "<the value of --read-only-token>" if read_only_token else tokens.read_only,
    )
    stop = Stop(signal.SIGTERM, signal.SIGINT)
    store = EmbeddedServer(directory)
    await store.start()
    try:
        async with serving(store.url.removeprefix("unix://"), tokens, port) as bound_port:
            click.echo(lines(bound_port, shown, directory), err=True)
            await stop.wait()
    finally:
        await store.stop()


def lines(port: int, tokens: RestTokens, directory: Path | None) -> str:
    """What is printed at start: the address, and the variables that clients read."""
    data = f"Its data is kept in {directory}." if directory else "Its data is in memory alone."
    url = f"http://{HOST}:{port}"
    return dedent(f"""
        Upstash's REST protocol is served at {url} for development. Ctrl-C stops it.
        {data}
        Paste these lines into the environment of your app, for example into .env.local.

        UPSTASH_REDIS_REST_URL={url}
        UPSTASH_REDIS_REST_TOKEN={tokens.standard}

        # a token that only reads
        # UPSTASH_REDIS_REST_TOKEN={tokens.read_only}

        # try it
        # curl {url}/set/foo/bar -H "Authorization: Bearer {tokens.standard}"
        """)

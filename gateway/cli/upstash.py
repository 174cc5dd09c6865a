"""``gateway upstash``: a local server that speaks Upstash's REST protocol."""

import re
from pathlib import Path

import click

from gateway.cli.common import EXIT_CONFIG, EXIT_NO, fail
from gateway.cli.terminal import port_option
from gateway.core.errors import StartError
from gateway.runtime import serve
from gateway.telemetry import logs
from gateway.upstash.run import upstash as run_upstash

_TOKEN = re.compile(r"[!-~]+", re.ASCII)
"""What fits into ``Authorization`` as it is."""


class TokenParam(click.ParamType[str]):
    """A token of printable ASCII without spaces."""

    name = "token"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        if not _TOKEN.fullmatch(str(value)):
            self.fail("it must be printable ASCII without spaces", param, ctx)
        return str(value)


@click.command()
@port_option(8079)
@click.option(
    "--token",
    type=TokenParam(),
    help="Token that clients send; without it, one is made and printed.",
)
@click.option(
    "--read-only-token",
    type=TokenParam(),
    help="Token that only reads; without it, one is made and printed.",
)
@click.option(
    "--data",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory that keeps the data. Without it, the data is in memory alone.",
)
def upstash(
    port: int, token: str | None, read_only_token: str | None, directory: Path | None
) -> None:
    """Serve Upstash's REST protocol on this machine, for development and tests."""
    logs.set_up()
    if token and token == read_only_token:
        fail("--token and --read-only-token must differ", EXIT_CONFIG)
    try:
        serve.run(run_upstash(port, token, read_only_token, directory))
    except StartError as error:
        fail(str(error), EXIT_NO)

"""``gateway demo``: a sample app behind a gateway in development mode."""

import click

from gateway.cli.common import EXIT_NO, fail
from gateway.cli.terminal import port_option
from gateway.core.errors import StartError
from gateway.demo.run import demo as run_demo
from gateway.runtime import serve
from gateway.telemetry import logs


@click.command()
@port_option(8080, where="")
def demo(port: int) -> None:
    """Serve a sample app in development mode, and print requests to try."""
    logs.set_up()
    try:
        serve.run(run_demo(port))
    except StartError as error:
        fail(str(error), EXIT_NO)

"""
The commands: to add one, write it in a file of its own and add a line to `COMMANDS`.

A command is imported when it is called, or when all are listed: a probe of a container must not pay
for the others.

Exit status: 0 success, 1 a negative answer or the gateway cannot run here, 2 wrong usage or config,
3 a server that the command needs was not reached. It is 2 too where the output cannot be written:
that must not be taken for an answer.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import click

from gateway import __version__
from gateway.cli.standard_streams import OutputFailed, discard_output, prepare_streams
from gateway.cli.terminal import EXIT_CONFIG, fail

COMMANDS: Final[Mapping[str, str]] = {
    "run": "gateway.cli.run:run",
    "demo": "gateway.cli.demo:demo",
    "check": "gateway.cli.check:check",
    "diff": "gateway.cli.diff:diff_command",
    "health": "gateway.cli.health:health",
    "explain": "gateway.cli.explain:explain",
    "selftest": "gateway.cli.selftest:selftest",
    "schema": "gateway.cli.schema:schema",
    "sessions": "gateway.cli.sessions:sessions",
    "users": "gateway.cli.users:users",
    "store": "gateway.cli.store:store",
    "keys": "gateway.cli.keys:keys",
    "roles": "gateway.cli.roles:roles",
    "limits": "gateway.cli.limits:limits",
    "hooks": "gateway.cli.hooks:hooks",
    "api-keys": "gateway.cli.api_keys:api_keys",
    "audit": "gateway.cli.audit:audit",
    "token": "gateway.cli.token:token",
    "upstash": "gateway.cli.upstash:upstash",
}
"""Where each command is: its module and its name there."""


class Program(click.Group):
    """A group whose commands are imported when they are asked for."""

    places: Mapping[str, str] = {}

    def main(self, *args: Any, **extra: Any) -> Any:
        prepare_streams()
        try:
            return super().main(*args, **extra)
        except OutputFailed as error:
            discard_output()
            fail(f"standard output: {error.strerror}", EXIT_CONFIG)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (of click)
        return sorted(self.places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        place = self.places.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


def make_group(places: Mapping[str, str]) -> Program:
    """Make the program ``gateway`` of the commands at ``places``, by name."""

    @click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(__version__, prog_name="gateway")
    def gateway() -> None:
        """Reverse proxy that authenticates requests with Magic Link."""

    gateway.places = places
    return gateway


main = make_group(COMMANDS)

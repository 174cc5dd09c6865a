"""
The commands: to add one, write it in a file of its own and add a line to `COMMANDS`.

Exit status: 0 success, 1 a negative answer or the gateway cannot run here, 2 wrong usage or config,
3 a server that the command needs was not reached.
"""

from collections.abc import Mapping
from typing import Final

import click

from gateway import __version__
from gateway.cli.api_keys import api_keys
from gateway.cli.check import check
from gateway.cli.demo import demo
from gateway.cli.keys import keys
from gateway.cli.limits import limits
from gateway.cli.roles import roles
from gateway.cli.run import run
from gateway.cli.schema import schema
from gateway.cli.sessions import sessions
from gateway.cli.store import store
from gateway.cli.token import token
from gateway.cli.upstash import upstash
from gateway.cli.users import users

COMMANDS: Final[Mapping[str, click.Command]] = {
    "run": run,
    "demo": demo,
    "check": check,
    "schema": schema,
    "sessions": sessions,
    "users": users,
    "store": store,
    "keys": keys,
    "roles": roles,
    "limits": limits,
    "api-keys": api_keys,
    "token": token,
    "upstash": upstash,
}


def make_group(commands: Mapping[str, click.Command]) -> click.Group:
    """Make the program ``gateway`` of ``commands``, by name."""

    @click.group(context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(__version__, prog_name="gateway")
    def gateway() -> None:
        """Reverse proxy that authenticates requests with Magic Link."""

    for name, command in commands.items():
        gateway.add_command(command, name)
    return gateway


main = make_group(COMMANDS)

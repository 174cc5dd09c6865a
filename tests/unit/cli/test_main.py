"""The program."""

import click
import pytest
from click.testing import CliRunner

from gateway import __version__
from gateway.cli.main import COMMANDS, main


def test_the_version() -> None:
    """As scripts read it."""
    assert f"gateway, version {__version__}\n" == CliRunner().invoke(main, ["--version"]).output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    """With ``-h`` as well as ``--help``; each says in its first line what it does."""
    short, long = (CliRunner().invoke(main, [name, option]) for option in ("-h", "--help"))
    assert (0, 0, short.output) == (short.exit_code, long.exit_code, long.output)
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.get_short_help_str()
    assert f"  {name} " in CliRunner().invoke(main, []).output

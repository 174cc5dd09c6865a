"""
A command is a file and a line.

Files to touch for a new command: its own file in `gateway/cli/` and `gateway/cli/main.py` (a line
of `COMMANDS`). README.md has to name it.
"""

import click
from click.testing import CliRunner

from gateway.cli.main import COMMANDS, main, make_group
from tests.kinds.recipe import ROOT, files_with


@click.command()
@click.option("--colour", default="red", help="Colour of the toy.")
def toy(colour: str) -> None:
    """Make a toy."""
    click.echo(f"a {colour} toy")


def test_a_toy_command_runs() -> None:
    """It is listed with its help, and takes its options."""
    group = make_group({**COMMANDS, "toy": f"{__name__}:toy"})
    assert "Make a toy." in CliRunner().invoke(group, ["--help"]).output
    assert "a blue toy\n" == CliRunner().invoke(group, ["toy", "--colour", "blue"]).output


def test_the_program_has_the_commands_of_the_list() -> None:
    """All of them, by the names of the list."""
    context = click.Context(main)
    assert sorted(COMMANDS) == main.list_commands(context)
    assert main.get_command(context, "toy") is None


def test_a_command_is_named_in_two_modules() -> None:
    """Its own, and the list."""
    assert ["gateway/cli/main.py"] == files_with("gateway.cli.schema")
    assert (ROOT / "gateway/cli/schema.py").is_file()

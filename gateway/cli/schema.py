"""``gateway schema``: the JSON Schema of the config."""

import click

from gateway.cli.common import print_json
from gateway.config.reference import schema as json_schema


@click.command()
def schema() -> None:
    """Print the JSON Schema of the config, for editors and CI."""
    print_json(json_schema())

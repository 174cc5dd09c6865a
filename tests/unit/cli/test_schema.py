"""``gateway schema``."""

import json

from click.testing import CliRunner

from gateway.cli.main import main
from gateway.config.reference import schema


def test_it_prints_the_schema_of_the_config() -> None:
    """As one JSON document."""
    result = CliRunner().invoke(main, ["schema"])
    assert (0, schema()) == (result.exit_code, json.loads(result.stdout))

"""What a worker makes of what its supervisor says."""

import errno
from typing import cast

from gateway.app import Gateway
from gateway.config.schema import Settings
from gateway.worker import _answer

CONFIG = """
server: {public_url: http://localhost, workers: 2}
redis: {url: 'embedded://'}
magic: {mode: development}
"""


class Unable:
    """A gateway that cannot open what a new config needs."""

    async def reload(self, _: Settings) -> None:
        """As where no descriptor is left."""
        raise OSError(errno.EMFILE, "Too many open files")


async def test_a_reload_that_fails_in_an_unforeseen_way_is_refused() -> None:
    """The worker says so and serves on: else all workers would end at once, for one config."""
    config = {"name": "gateway.yaml", "text": CONFIG, "files": {}}
    message = {"number": 1, "what": "reload", "config": config}
    assert {"failed": "OSError"} == await _answer(message, cast("Gateway", Unable()), 2)

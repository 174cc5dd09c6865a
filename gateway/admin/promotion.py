"""What comes of promoting the candidate config of ``gateway run --shadow``."""

from typing import NamedTuple

from gateway.core.errors import GatewayError


class NoCandidate(GatewayError):
    """There is no candidate to promote: the gateway was started without one, or it is in use."""


class Promoted(NamedTuple):
    """A candidate that was put in use."""

    config: str
    """The path of its file."""
    sha256: str
    """Of the text of the file, in hexadecimal digits."""


async def no_candidate() -> Promoted:
    """Raise `NoCandidate`."""
    raise NoCandidate("there is no candidate: start with gateway run --shadow FILE")

"""What is called as calls to another server end: room for metrics, in rooms that know none."""

from collections.abc import Callable
from typing import NamedTuple


class CallWatch(NamedTuple):
    """Hears of each call that has ended."""

    answered: Callable[[float], object]
    """Gets how long the call took, in seconds."""
    failed: Callable[[], object]
    """The call failed, or took too long."""


UNWATCHED = CallWatch(lambda _duration_s: None, lambda: None)

"""How far Magic's clock is ahead of ours, as the dates of its answers tell."""

import logging
from datetime import UTC, datetime
from typing import Final

_log = logging.getLogger(__name__)

_IMF_FIXDATE: Final = "%a, %d %b %Y %H:%M:%S GMT"  # RFC 9110 section 5.6.7


def measured_s(date: str | None, asked_s: float, answered_s: float) -> int | None:
    """
    The least by which Magic's clock can be ahead, in whole seconds; negative where it is behind.

    ``date`` is cut off to the second, and was written at some time between ``asked_s`` and
    ``answered_s``: clocks that may be together are taken to be. None where it is no date.
    """
    try:
        said_s = datetime.strptime(date or "", _IMF_FIXDATE).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
    least_s, most_s = said_s - answered_s, said_s + 1 - asked_s
    if least_s > 0:
        return int(least_s)
    return int(most_s) if most_s < 0 else 0


class ClockSkew:
    """The last measurement; told once when it is more than half of what is tolerated."""

    def __init__(self) -> None:
        self.ahead_s = 0
        """0 too while nothing has been measured."""
        self.tolerated_s = float("inf")
        """As the config says, once it does."""
        self._is_told = False

    def answered(self, date: str | None, asked_s: float, answered_s: float) -> None:
        """An answer with this ``Date``; times are ours, Unix times in seconds."""
        ahead_s = measured_s(date, asked_s, answered_s)
        if ahead_s is None:
            return
        self.ahead_s = ahead_s
        is_much = abs(ahead_s) > self.tolerated_s / 2
        if is_much and not self._is_told:
            way = "ahead of" if ahead_s > 0 else "behind"
            _log.warning(
                "Magic's clock is %d s %s ours: identity.clock_skew tolerates %d s ahead",
                abs(ahead_s),
                way,
                self.tolerated_s,
            )
        self._is_told = is_much

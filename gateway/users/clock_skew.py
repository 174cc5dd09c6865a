"""Clock skew between Magic and us, measured by the ``Date`` of its responses."""

import logging
from datetime import UTC, datetime
from typing import Final

_log = logging.getLogger(__name__)

_IMF_FIXDATE: Final = "%a, %d %b %Y %H:%M:%S GMT"  # RFC 9110 section 5.6.7


def measured_s(date: str | None, asked_s: float, answered_s: float) -> int | None:
    """
    Compute the least lead of Magic's clock, in whole seconds; negative where it is behind.

    ``date`` is truncated to the second, and was written between ``asked_s`` and ``answered_s``. The
    skew is 0 where the clocks may agree, and None where ``date`` is malformed.
    """
    try:
        date_s = datetime.strptime(date or "", _IMF_FIXDATE).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
    least_s, most_s = date_s - answered_s, date_s + 1 - asked_s
    if least_s > 0:
        return int(least_s)
    return int(most_s) if most_s < 0 else 0


class ClockSkew:
    """Keeps the last measurement, and logs once when it is more than half of the tolerance."""

    def __init__(self) -> None:
        self.ahead_s = 0
        """The skew; 0 also before the first measurement."""
        self.tolerated_s = float("inf")
        """The configured tolerance, set when a config becomes active."""
        self._is_logged = False

    def answered(self, date: str | None, asked_s: float, answered_s: float) -> None:
        """Measure by the ``Date`` of a response; times are ours, Unix times in seconds."""
        ahead_s = measured_s(date, asked_s, answered_s)
        if ahead_s is None:
            return
        self.ahead_s = ahead_s
        is_large = abs(ahead_s) > self.tolerated_s / 2
        if is_large and not self._is_logged:
            way = "ahead of" if ahead_s > 0 else "behind"
            _log.warning(
                "Magic's clock is %d s %s ours: identity.clock_skew tolerates %d s ahead",
                abs(ahead_s),
                way,
                self.tolerated_s,
            )
        self._is_logged = is_large

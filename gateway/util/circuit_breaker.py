"""A circuit breaker: calls to a service that fails are refused at once, until a trial succeeds."""

from typing import Final

MAX_PAUSE_S: Final = 300.0
"""The longest pause that a ``Retry-After`` can ask for: an hour would keep sign-in closed."""


class CircuitBreaker:
    """
    Decides whether a service that has failed may be called again.

    *Closed*: all calls are let through. After ``failures`` in a row it *opens* for ``pause_s``, or
    at once for as long as a ``Retry-After`` says: calls are refused. After the pause it is
    *half-open*: one call is let through as a trial, and one more after each further pause. The
    first success closes it, but does not cut short what ``Retry-After`` asked for.

    A failure after the pause starts a new one, unless ``reopens`` is False: where calls take much
    longer than the pause, such failures come from calls that were made long before, and must not
    take the next trial away.

    Without ``one_trial`` all calls are let through after the pause: for a service that limits
    rates, and whose calls are few.

    Times are seconds of any clock. One that was set back ends the pause.
    """

    __slots__ = (
        "_failures",
        "_max_pause_s",
        "_must_wait",
        "_one_trial",
        "_pause_s",
        "_paused_for_s",
        "_paused_from_s",
        "_reopens",
        "_threshold",
        "is_closed",
    )

    def __init__(
        self,
        failures: int,
        pause_s: float,
        max_pause_s: float = MAX_PAUSE_S,
        *,
        one_trial: bool = True,
        reopens: bool = True,
    ) -> None:
        self._threshold = failures
        self._pause_s = pause_s
        self._max_pause_s = max_pause_s
        self._one_trial = one_trial
        self._reopens = reopens
        self._failures = 0
        self._paused_from_s = 0.0
        self._paused_for_s = 0.0
        self._must_wait = False
        """Whether a ``Retry-After`` asked for the pause."""
        self.is_closed = True

    def wait_s(self, now_s: float) -> float:
        """Return the seconds left of the pause; 0 where a call may be made now."""
        if self.is_closed:
            return 0.0
        elapsed_s = now_s - self._paused_from_s
        return self._paused_for_s - elapsed_s if 0 <= elapsed_s < self._paused_for_s else 0.0

    def admit(self, now_s: float) -> bool:
        """Let a call through or refuse it; a call let through after a pause is a trial."""
        if self.is_closed:
            return True
        if self.wait_s(now_s):
            return False
        self._must_wait = False
        if self._one_trial:
            self._pause(now_s, self._pause_s)
        return True

    def failed(self, now_s: float, retry_after_s: float | None = None) -> None:
        """Count a failed call; ``retry_after_s`` is what its answer asked for, if anything."""
        self._failures += 1
        left_s = self.wait_s(now_s)
        may_open = self.is_closed or self._reopens
        is_due = may_open and self._failures >= self._threshold
        pause_s = self._pause_s if is_due and not left_s else 0.0
        asked_s = min(retry_after_s or 0.0, self._max_pause_s)
        if asked_s > max(pause_s, left_s):
            self._pause(now_s, asked_s, must_wait=True)
        elif pause_s:
            self._pause(now_s, pause_s)

    def succeeded(self) -> None:
        """Count a successful call, which closes the circuit."""
        self._failures = 0
        self.is_closed = self.is_closed or not self._must_wait

    def _pause(self, now_s: float, length_s: float, *, must_wait: bool = False) -> None:
        self.is_closed = False
        self._paused_from_s = now_s
        self._paused_for_s = length_s
        self._must_wait = must_wait

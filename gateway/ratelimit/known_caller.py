"""What a process knows of one caller of an approximate limit, and what it admits by that."""

from asyncio import Future

from gateway.core.limit import Limit, LimitState

SHARE = 10
"""Part of a limit that a process may admit before the store hears of it: a tenth."""


def share(limit: Limit) -> int:
    """Return how many requests a process may admit before the store hears of them."""
    return max(1, limit.capacity // SHARE)


class KnownCaller:
    """
    What is left of a limit for a caller, and what was admitted since the store said so.

    What is admitted and not charged never exceeds `share`, except by a single cost that does.
    """

    __slots__ = (
        "_last",
        "_left",
        "_until_s",
        "_was_asked",
        "budget",
        "caller",
        "limit",
        "spent",
        "tag",
        "told",
        "waiting",
    )

    def __init__(self, limit: Limit, caller: str) -> None:
        self.limit = limit
        self.caller = caller
        self.tag = caller.encode(errors="backslashreplace").decode()
        """The caller as a part of keys: characters that cannot be encoded are escaped."""
        self.budget = 0
        """How many more may be admitted before the next reply."""
        self.spent = 0
        """What was admitted, and is not told to the store; below 0 where too much was told."""
        self.told = 0
        """What the run under way tells."""
        self.waiting: list[tuple[Future[LimitState], int]] = []
        """Requests that wait for the store, with their costs, in order of arrival."""
        self._left = 0
        """What is left of the limit, without what was admitted since the last reply."""
        self._last = LimitState(limit, True, 0, 0.0, 0.0)
        """By the last reply: the answer to a further request, where nothing was left."""
        self._until_s = 0.0
        """How long that is the answer."""
        self._was_asked = True

    def is_idle(self) -> bool:
        """Return whether there was no request since this was asked last, and nothing to tell."""
        was_asked, self._was_asked = self._was_asked, False
        return not (was_asked or self.spent > 0 or self.told or self.waiting)

    def take(self, cost: int, now_s: float) -> LimitState | None:
        """Admit a request, or refuse it by the last reply; None where it has to wait."""
        self._was_asked = True
        if cost <= self.budget and not self.waiting:
            return self._admit(cost)
        if not self._last.allowed and now_s < self._until_s:
            return self._last
        return None

    def _admit(self, cost: int) -> LimitState:
        self.budget -= cost
        self.spent += cost
        self._left -= cost
        return LimitState(self.limit, True, max(0, self._left), self._last.reset_s, 0.0)

    def give_back(self, cost: int) -> None:
        """Undo the admission of a request."""
        self.budget += cost
        self.spent -= cost
        self._left += cost

    def settle(self, cost: int) -> bool:
        """Count a later cost; return False, and do nothing, where the store must give back."""
        if self.spent + cost < 0:
            return False
        self.budget = max(0, self.budget - cost)
        self.spent += cost
        self._left -= cost
        return True

    def begin_run(self) -> None:
        """Hand what was admitted to the run that tells it."""
        self.told = max(0, self.spent)
        self.spent -= self.told

    def hear(self, left: int, last: LimitState, until_s: float) -> None:
        """Take in what was left when what was told had been charged; answer those that wait."""
        self.told = 0
        self._left = left - self.spent
        self.budget = max(0, min(share(self.limit) - max(0, self.spent), self._left))
        self._last, self._until_s = last, until_s
        for place, (answer, cost) in enumerate(self.waiting):
            state = self._decide(cost)
            if state is None:
                self.waiting = self.waiting[place:]
                return
            if answer.done():  # its client has left
                self.give_back(cost if state.allowed else 0)
            else:
                answer.set_result(state)
        self.waiting = []

    def _decide(self, cost: int) -> LimitState | None:
        """Answer a request that waits; None where the store must first hear of others."""
        last = self._last
        if not last.allowed:
            return last
        if cost <= self.budget or (self.spent <= 0 and cost <= self._left):
            return self._admit(cost)
        if self.spent > 0:
            return None
        return LimitState(self.limit, False, max(0, self._left), last.reset_s, last.reset_s)

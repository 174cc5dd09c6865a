"""Callers over their limit: they are refused without asking the store, until there is room."""

from itertools import islice

from gateway.core.limit import Limit, LimitState
from gateway.ratelimit.charge import CallerKey

_EVICTED = 64
"""A part of the blocks is evicted at a time: to find the first takes longer than to drop it."""


class Block:
    """The refusal of a caller, for each request that costs as much or more."""

    __slots__ = ("cost", "ends_s", "limit", "state", "told_s")

    def __init__(self, limit: Limit, cost: int, state: LimitState, now_s: float) -> None:
        self.limit = limit
        """Held with the key, so that its identity is not that of another limit."""
        self.cost = cost
        self.state = state
        self.told_s = now_s
        """The time at which ``state`` is right."""
        self.ends_s = now_s + state.retry_after_s


class Blocks:
    """
    Keeps callers over their limit until the time at which they were told to come again.

    Counts do not fall before that, unless they are set back or given back: then `forget` has to be
    called. ``max_callers`` are kept, those blocked last. What a caller is told is at most
    ``fresh_s`` old.
    """

    def __init__(self, fresh_s: float, max_callers: int) -> None:
        self._fresh_s = fresh_s
        self._max_callers = max_callers
        self.by_key: dict[CallerKey, Block] = {}
        """What is not in it is not refused."""
        self.ids: dict[str, set[int]] = {}
        """Identities of limits that block callers, or did, by the name of the limit."""

    def __len__(self) -> int:
        return len(self.by_key)

    def put(self, key: CallerKey, limit: Limit, cost: int, state: LimitState, now_s: float) -> None:
        """Refuse requests of ``cost``, and dearer ones, until there is room for one."""
        self.by_key.pop(key, None)  # what is added again is the last
        self.by_key[key] = Block(limit, cost, state, now_s)
        self._note_id(key[0], limit.name)
        if len(self.by_key) > self._max_callers:
            for old in list(islice(self.by_key, 1 + self._max_callers // _EVICTED)):
                del self.by_key[old]

    def find(self, key: CallerKey, cost: int, now_s: float) -> LimitState | None:
        """Return the refusal of a request; None where the store has to be asked."""
        block = self.by_key.get(key)
        if block is None or cost < block.cost:
            return None
        age_s = now_s - block.told_s
        if age_s < 0 or now_s >= block.ends_s:  # the clock was set back, or it is over
            del self.by_key[key]
            return None
        if age_s >= self._fresh_s:
            block.state = _later(block.state, age_s)
            block.told_s = now_s
        return block.state

    def drop(self, key: CallerKey) -> None:
        """Ask the store for the next request of a caller."""
        self.by_key.pop(key, None)

    def forget(self, rule: str, caller: str) -> None:
        """Do the same for all limits of the name ``rule``."""
        for limit_id in self.ids.get(rule, ()):
            self.by_key.pop((limit_id, caller), None)

    def clear(self) -> None:
        """Drop everything."""
        self.by_key.clear()
        self.ids.clear()

    def _note_id(self, limit_id: int, name: str) -> None:
        ids = self.ids.setdefault(name, set())
        ids.add(limit_id)
        if len(ids) > 2 * self._max_callers:  # limits with rates of single callers come and go
            blocking = self.by_key.items()
            self.ids[name] = {key[0] for key, block in blocking if block.limit.name == name}


def _later(state: LimitState, after_s: float) -> LimitState:
    """Return what is told of a refusal ``after_s`` later; the next window resets in its turn."""
    reset_s = state.reset_s - after_s
    if reset_s <= 0:
        reset_s %= state.limit.window_s
    return state._replace(reset_s=reset_s, retry_after_s=state.retry_after_s - after_s)

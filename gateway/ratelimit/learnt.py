"""What the store has told of callers, while that answers their next requests."""

from gateway.ratelimit.charge import CallerKey, Charge


class Learnt:
    """
    Keeps charges that were answered, for ``fresh_s`` at least, and some longer.

    Two generations: the older one is dropped as a whole once nothing in it is fresh. Where
    ``max_callers`` are learnt in less time, what was learnt longest ago is dropped earlier: new
    callers end no other's.
    """

    def __init__(self, fresh_s: float, max_callers: int) -> None:
        self._fresh_s = fresh_s
        self._max_each = max_callers // 2
        self._young: dict[CallerKey, Charge] = {}
        self._old: dict[CallerKey, Charge] = {}
        self._begun_s = 0.0
        """When the young generation began."""

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def find(self, key: CallerKey) -> Charge | None:
        """Return what was learnt last of a caller; ``until_s`` says how long that holds."""
        return self._young.get(key) or self._old.get(key)

    def open(self, now_s: float) -> dict[CallerKey, Charge]:
        """Return the generation to which what is learnt at ``now_s`` is added, at once."""
        young = self._young
        if len(young) >= self._max_each or not 0 <= now_s - self._begun_s < self._fresh_s:
            self._old, self._begun_s = young, now_s
            young = self._young = {}
        return young

    def forget(self, key: CallerKey) -> None:
        """Drop what is known of a caller."""
        self._young.pop(key, None)
        self._old.pop(key, None)

    def forget_caller(self, rule: str, caller: str) -> None:
        """Drop what is known of a caller by all limits of the name ``rule``."""
        for generation in (self._young, self._old):
            for key in [key for key in generation if key[1] == caller]:
                if generation[key].limit.name == rule:
                    del generation[key]

    def clear(self) -> None:
        """Drop everything."""
        self._young.clear()
        self._old.clear()

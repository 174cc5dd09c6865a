"""What a process knows of callers: what the store told of them, and what it has not been told."""

from asyncio import Future
from collections.abc import Sequence

from gateway.core.limit import Limit, LimitState, Spend
from gateway.core.ports import Clock
from gateway.ratelimit.algorithm import ALGORITHMS
from gateway.ratelimit.blocks import Blocks
from gateway.ratelimit.census import Census
from gateway.ratelimit.charge import CallerKey, Charge
from gateway.ratelimit.learnt import Learnt
from gateway.ratelimit.local import LocalLimiter

FRESH_S = 0.1
"""How long a reply is cached; a caller that comes again later waits for a new one."""
MIN_RATE = 20
"""Limits below this rate, such as those of sign-in, are exact over all gateways."""
MAX_CALLERS = 10_000
"""Callers of which a reply is cached at a time: some 5 MB. As many are known to be blocked."""
AHEAD_SHARE = 40
"""
All processes together admit at most this part of a limit ahead of its charge.

Of a token bucket, which may be spent twice in a window and a little more, they exceed what is spent
by two such parts of it.
"""


class Ledger:
    """The knowledge of one limiter; its owner charges what is ``pending``."""

    def __init__(self, local: LocalLimiter, clock: Clock, census: Census | None) -> None:
        self.local = local
        self.clock = clock
        self.census = census
        self.clock_offset_ms = 0
        """How far the store's clock is ahead of ours."""
        self.heard_at_ms = 0
        """The store's time at its last reply."""
        self.pending: dict[CallerKey, Charge] = {}
        self.bundled: dict[CallerKey, int] = {}
        """What the requests cost that wait for the next run with several charges."""
        self.learnt = Learnt(FRESH_S, MAX_CALLERS)
        self.blocks = Blocks(FRESH_S, MAX_CALLERS)

    def now_ms(self) -> int:
        return int(self.clock() * 1000)

    def estimate_ms(self) -> int:
        """Return the store's time, by its last reply."""
        return int(self.clock() * 1000) + self.clock_offset_ms

    def hear_time(self, now_ms: int) -> float:
        """Keep the store's time, which it has just replied; return ours."""
        now_s = self.clock()
        self.heard_at_ms = now_ms
        self.clock_offset_ms = now_ms - int(now_s * 1000) - 1  # never early: both rounded down
        return now_s

    def pending_charge(self, key: CallerKey, limit: Limit) -> Charge:
        charge = self.pending.get(key)
        if charge is None:
            charge = self.pending[key] = Charge(key, limit)
        return charge

    def take_pending(self) -> list[Charge]:
        """Return all charges that the store has not been asked for; they are not pending then."""
        charges, self.pending = list(self.pending.values()), {}
        if self.bundled:
            self.bundled = {}
        return charges

    def take_room(self, key: CallerKey, cost: int) -> None:
        """Admit so many requests less ahead: they wait, or go with others."""
        self.bundled[key] = self.bundled.get(key, 0) + cost
        known = self.learnt.find(key)
        if known is not None:
            known.room -= cost

    def taken(self, key: CallerKey) -> int:
        """Return what has come since the store was asked, and is not counted yet."""
        charge = self.pending.get(key)
        return self.bundled.get(key, 0) + (0 if charge is None else charge.asked)

    def most_ahead(self, limit: Limit, now_s: float) -> int:
        """
        Return how many requests of ``limit`` may be ahead of their charge; -1 if that is unknown.

        Without a census, this process is alone and never exceeds a limit: it knows of each request.
        One that was alone when it was counted may not be by now: others charge at once.
        """
        if always_waits(limit):
            return 0
        if self.census is None:
            return limit.capacity
        processes = self.census.processes(now_s, FRESH_S)
        return limit.capacity // (AHEAD_SHARE * processes) if processes else -1

    def note(
        self, charge: Charge, counts: Sequence[int], now_ms: int, now_s: float, most: int
    ) -> None:
        """Keep what the store has counted of a caller, as far as it answers further requests."""
        limit, key = charge.limit, charge.key
        algorithm = ALGORITHMS[limit.algorithm]
        left = algorithm.left(limit, counts, now_ms)
        if not left:
            self.learnt.forget(key)
            refused = algorithm.answer(limit, counts, 1, now_ms, is_allowed=False)
            self.blocks.put(key, limit, 1, refused, now_s)
            return
        self.blocks.drop(key)
        room = min(left - limit.capacity // 2, most)
        if not room or left <= limit.capacity // 2:
            self.learnt.forget(key)
            return
        charge.room = room - self.taken(key)
        charge.state = algorithm.answer(limit, counts, 1, now_ms, is_allowed=True)
        charge.until_s = now_s + FRESH_S
        self.learnt.open(now_s)[key] = charge

    def count_here(self, charge: Charge, waiting: list[Future[LimitState]]) -> None:
        """Count the requests of ``charge`` in this process, and answer those that wait."""
        limit, caller, now_ms = charge.limit, charge.key[1], self.late_ms()
        one = self.for_all(Spend(limit, caller))
        if charge.ahead:
            self.local.add_all([one._replace(cost=one.cost * charge.ahead)], now_ms)
        if one.cost == 1 and waiting:
            resolve(waiting, self.local.charge(limit, caller, len(waiting), now_ms))
            return
        for answer in waiting:
            resolve([answer], self.local.charge_all([one], now_ms))

    def for_all(self, spend: Spend) -> Spend:
        """
        Return what to charge for ``spend`` while each process counts for itself.

        As many processes let requests pass, each counts its own as often as there are processes: so
        what the store said was left is divided among them. One request passes where any was left.
        """
        processes = self.census.last_heard if self.census is not None else 1
        most = max(spend.cost, spend.limit.capacity)
        return spend._replace(cost=min(spend.cost * processes, most))

    def give_back_here(self, spends: Sequence[Spend]) -> None:
        """Give back what this process has counted while the store failed."""
        local = [spend for spend in spends if spend.limit.on_store_failure == "local"]
        self.local.add_all(local, self.late_ms())

    def late_ms(self) -> int:
        """Return the store's time; not before its last reply, which may be in another window."""
        return max(self.estimate_ms(), self.heard_at_ms)  # the estimate may be early by 1 ms

    def forget_all(self) -> None:
        """Keep nothing that answers requests."""
        self.learnt.clear()
        self.blocks.clear()


def always_waits(limit: Limit) -> bool:
    """Return whether no request of ``limit`` is admitted ahead of its charge."""
    return limit.rate < MIN_RATE or limit.on_store_failure == "closed"


def resolve(answers: list[Future[LimitState]], heard: list[LimitState]) -> None:
    """Give each of ``answers`` its part of what was ``heard``."""
    for answer, state in zip(answers, heard, strict=True):
        if not answer.done():
            answer.set_result(state)

"""Parts of a run: what one call of a script charges."""

from asyncio import Future
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Protocol, Self

from gateway.core.errors import StoreUnavailable
from gateway.core.limit import LimitState
from gateway.core.ports import Script, Store, TaggedKeys
from gateway.core.replies import are_counts
from gateway.ratelimit.algorithm import ALGORITHMS, LimitAlgorithm
from gateway.ratelimit.charge import Group
from gateway.ratelimit.ledger import FRESH_S, Ledger, resolve

WRONG_WINDOW = -1
"""Replied by a script in place of a count if our clock is too far from the store's."""


class RunPart(Protocol):
    """What one call of a script charges; each is asked for, and then heard or failed."""

    def ask(self, store: Store, estimate_ms: int) -> Awaitable[object]:
        """Call the script; ``estimate_ms`` is the store's time, as far as we know."""

    def hear(self, numbers: Sequence[int], ledger: Ledger) -> Self | None:
        """Answer by a reply; return what was not charged because the estimate was wrong."""

    def count_without_store(self, ledger: Ledger, reason: str) -> None:
        """Answer as each limit says for a store that fails."""

    def leave_none(self) -> None:
        """Refuse those that still wait: a mistake of ours must not let a request wait for ever."""


class ChargePart:
    """Charges of one algorithm, each for itself: requests that cost one of one limit."""

    __slots__ = ("_groups", "_name")

    def __init__(self, name: str, groups: list[Group]) -> None:
        """``name`` is that of the algorithm of all groups."""
        self._name = name
        self._groups = groups

    def ask(self, store: Store, estimate_ms: int) -> Awaitable[object]:
        algorithm = ALGORITHMS[self._name]
        keys: list[tuple[tuple[str, ...], Sequence[str]]] = []
        args: list[int] = []
        count = 0
        for limit, charges in self._groups:
            count += len(charges)
            tags = tags_of([charge.key[1] for charge in charges])
            asked = [charge.ahead + len(charge.waiting) for charge in charges]
            keys.append((algorithm.names(limit, estimate_ms), tags))
            args += algorithm.args(limit, asked, estimate_ms)
        is_reply = partial(are_counts, 1 + (1 + algorithm.width) * count)
        script = Script(algorithm.name, algorithm.script, is_reply)
        return store.run(script, TaggedKeys(keys), args)

    def hear(self, numbers: Sequence[int], ledger: Ledger) -> "ChargePart | None":
        algorithm = ALGORITHMS[self._name]
        now_ms = numbers[0]
        now_s = ledger.hear_time(now_ms)
        uncharged = []
        step, start = 1 + algorithm.width, 1
        for group in self._groups:
            end = start + step * len(group.charges)
            allowed = numbers[start:end:step]
            columns = (numbers[first:end:step] for first in range(start + 1, start + step))
            counts = list(zip(*columns, strict=True))
            start = end
            if allowed[0] == WRONG_WINDOW:
                uncharged.append(group)
                continue
            if group.limit.on_store_failure == "local":
                callers = [charge.key[1] for charge in group.charges]
                ledger.local.learn(group.limit, callers, counts, now_ms)
            _deliver(algorithm, group, allowed, counts, now_ms, now_s, ledger)
        return ChargePart(self._name, uncharged) if uncharged else None

    def count_without_store(self, ledger: Ledger, reason: str) -> None:
        for limit, charges in self._groups:
            for charge in charges:
                waiting = [answer for answer in charge.waiting if not answer.done()]
                match limit.on_store_failure:
                    case "open":
                        passed = ALGORITHMS[limit.algorithm].uncounted(limit, ledger.now_ms())
                        resolve(waiting, [passed] * len(waiting))
                    case "closed":
                        _fail(waiting, reason)
                    case _ if waiting or charge.ahead:
                        ledger.count_here(charge, waiting)

    def leave_none(self) -> None:
        for group in self._groups:
            for charge in group.charges:
                _fail([answer for answer in charge.waiting if not answer.done()], "not answered")


def _deliver(
    algorithm: LimitAlgorithm,
    group: Group,
    allowed: Sequence[int],
    counts: list[tuple[int, ...]],
    now_ms: int,
    now_s: float,
    ledger: Ledger,
) -> None:
    """Resolve the futures of ``group``, of each of whose charges so many were ``allowed``."""
    limit, charges = group
    lasts = algorithm.last_states(limit, counts, now_ms)
    is_closed = limit.on_store_failure == "closed"
    half, most = limit.capacity // 2, 0 if is_closed else ledger.most_ahead(limit, now_s)
    has_more = bool(ledger.pending or ledger.bundled)
    learnt, fresh_until_s = ledger.learnt.open(now_s), now_s + FRESH_S
    for charge, number, heard, state in zip(charges, allowed, counts, lasts, strict=True):
        waiting, last, key = charge.waiting, state, charge.key
        if len(waiting) == 1 and number > charge.ahead:
            if not waiting[0].done():
                waiting[0].set_result(last)
        elif waiting:
            own = max(0, number - charge.ahead)
            answers = algorithm.states(limit, heard, own, len(waiting), now_ms)
            resolve(waiting, answers)
            last = answers[-1]
        if not last.remaining:
            ledger.note(charge, heard, now_ms, now_s, most)
            continue
        room = last.remaining - half
        if room <= 0 or not most:
            ledger.learnt.forget(key)
            continue
        room = min(room, most)
        if has_more:
            room -= ledger.taken(key)
        charge.until_s, charge.room, charge.state = fresh_until_s, room, last
        waiting.clear()
        learnt[key] = charge


def tags_of(callers: list[str]) -> list[str]:
    """Return ``callers`` as parts of keys: characters that cannot be encoded are escaped."""
    if "".join(callers).isascii():
        return callers
    return [caller.encode(errors="backslashreplace").decode() for caller in callers]


def _fail(answers: list[Future[LimitState]], reason: str) -> None:
    for answer in answers:
        answer.set_exception(StoreUnavailable(reason))

"""Bundles: charges of one request against several limits, or of any cost, that belong together."""

from asyncio import Future
from collections import defaultdict
from collections.abc import Awaitable, Sequence
from enum import IntEnum
from functools import partial

from gateway.core.errors import StoreUnavailable
from gateway.core.limit import Limit, LimitState, Spend
from gateway.core.ports import Script, Store, TaggedKeys
from gateway.core.replies import are_counts
from gateway.ratelimit.algorithm import ALGORITHMS
from gateway.ratelimit.charge import Charge
from gateway.ratelimit.ledger import Ledger
from gateway.ratelimit.lua import charge_all
from gateway.ratelimit.run_part import WRONG_WINDOW, tags_of

NAME = "charge_all"
SOURCE = charge_all(algorithm.name for algorithm in ALGORITHMS.values())
_PLACES = {name: place for place, name in enumerate(ALGORITHMS, start=1)}
_WIDTH = 3
"""Numbers of the reply for each charge: whether there is room, and two counts."""


class How(IntEnum):
    """How the script charges a bundle."""

    ALL_OR_NONE = 0
    WHATEVER_IS_LEFT = 1
    IN_ITS_WINDOW = 2
    """The same, in the window of the time that the bundle names, though it may be over."""


class Bundle:
    """Charges that belong together, each of another limit or caller, and the future of them."""

    __slots__ = ("answer", "at_ms", "how", "spends")

    def __init__(
        self,
        spends: Sequence[Spend],
        how: How,
        answer: Future[list[LimitState]],
        at_ms: int | None = None,
    ) -> None:
        self.spends = spends
        self.how = how
        self.answer = answer
        self.at_ms = at_ms
        """The store's time at which it was charged, or at which it shall have been."""


class BundlePart:
    """Bundles whose keys a script may touch together."""

    def __init__(self, bundles: list[Bundle]) -> None:
        self._bundles = bundles

    def ask(self, store: Store, estimate_ms: int) -> Awaitable[object]:
        keys: list[tuple[tuple[str, ...], Sequence[str]]] = []
        args: list[int] = []
        for bundle in self._bundles:
            at_ms = estimate_ms if bundle.at_ms is None else bundle.at_ms
            args += bundle.how, len(bundle.spends)
            for limit, caller, cost in bundle.spends:
                algorithm = ALGORITHMS[limit.algorithm]
                keys.append((algorithm.names(limit, at_ms), tags_of([caller])))
                numbers = algorithm.args(limit, [cost], at_ms)
                args += _PLACES[limit.algorithm], *numbers[:3], cost
        is_reply = partial(are_counts, 1 + _WIDTH * len(keys))
        return store.run(Script(NAME, SOURCE, is_reply), TaggedKeys(keys), args)

    def hear(self, numbers: Sequence[int], ledger: Ledger) -> "BundlePart | None":
        now_s, start = ledger.hear_time(numbers[0]), 1
        uncharged = []
        for bundle in self._bundles:
            end = start + _WIDTH * len(bundle.spends)
            own = [numbers[at : at + _WIDTH] for at in range(start, end, _WIDTH)]
            start = end
            if any(verdict == WRONG_WINDOW for verdict, *_ in own):
                uncharged.append(bundle)
            else:
                _deliver(bundle, own, numbers[0], now_s, ledger)
        return BundlePart(uncharged) if uncharged else None

    def count_without_store(self, ledger: Ledger, reason: str) -> None:
        for bundle in self._bundles:
            if bundle.answer.done():
                continue
            if bundle.how is not How.ALL_OR_NONE:
                ledger.local.add_all(_local(bundle.spends, ledger), ledger.late_ms())
                bundle.answer.set_result([])
            elif any(limit.on_store_failure == "closed" for limit, *_ in bundle.spends):
                bundle.answer.set_exception(StoreUnavailable(reason))
            else:
                bundle.answer.set_result(_counted_here(bundle.spends, ledger))

    def leave_none(self) -> None:
        for bundle in self._bundles:
            if not bundle.answer.done():
                bundle.answer.set_exception(StoreUnavailable("not answered"))


def _deliver(
    bundle: Bundle, replies: Sequence[Sequence[int]], now_ms: int, now_s: float, ledger: Ledger
) -> None:
    """Resolve the future of ``bundle``, and keep what was counted of its callers."""
    bundle.at_ms = now_ms
    states = []
    for (limit, caller, cost), (verdict, *two) in zip(bundle.spends, replies, strict=True):
        algorithm = ALGORITHMS[limit.algorithm]
        counts = tuple(two[: algorithm.width])
        key = id(limit), caller
        is_allowed = verdict == 1 or bundle.how is not How.ALL_OR_NONE
        state = algorithm.answer(limit, counts, cost, now_ms, is_allowed=is_allowed)
        states.append(state)
        if bundle.how is How.IN_ITS_WINDOW:  # the counts may be those of a past one
            ledger.blocks.drop(key)
            continue
        if limit.on_store_failure == "local":
            ledger.local.learn(limit, [caller], [counts], now_ms)
        most = ledger.most_ahead(limit, now_s)
        ledger.note(Charge(key, limit), counts, now_ms, now_s, most)
        if not is_allowed and state.remaining:
            ledger.blocks.put(key, limit, cost, state, now_s)
    if not bundle.answer.done():
        bundle.answer.set_result(states)


def _counted_here(spends: Sequence[Spend], ledger: Ledger) -> list[LimitState]:
    """Charge the limits that count in this process, all or none; the others let pass."""
    counted = iter(ledger.local.charge_all(_local(spends, ledger), ledger.late_ms()))
    return [
        next(counted) if limit.on_store_failure == "local" else unknown(limit, ledger.now_ms())
        for limit, *_ in spends
    ]


def _local(spends: Sequence[Spend], ledger: Ledger) -> list[Spend]:
    local = (spend for spend in spends if spend.limit.on_store_failure == "local")
    return list(map(ledger.for_all, local))


def unknown(limit: Limit, now_ms: int) -> LimitState:
    """Return what is said of a limit whose count is not known: that of another is the reason."""
    return ALGORITHMS[limit.algorithm].uncounted(limit, now_ms)


def by_slot(store: Store, spends: Sequence[Spend]) -> list[list[Spend]]:
    """Group ``spends`` by the slots of their keys, in order."""
    groups: defaultdict[int, list[Spend]] = defaultdict(list)
    for spend in spends:
        groups[slot_of(store, spend.caller)].append(spend)
    return [*groups.values()]


def slot_of(store: Store, caller: str) -> int:
    """Return the slot of the keys of ``caller``, whose hash tag it is."""
    [tag] = tags_of([caller])
    return store.slot_of(f"{{{tag}}}")

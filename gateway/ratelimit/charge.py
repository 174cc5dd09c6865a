"""Charges: requests of callers against limits, and what the last reply told of each."""

from asyncio import Future
from collections.abc import Sequence
from typing import NamedTuple

from gateway.core.limit import Limit, LimitState, Spend

CallerKey = tuple[int, str]
"""The identity of a limit, and the caller."""


class Charge:
    """
    Requests of one caller against one limit: the futures of those that wait, and others.

    After the reply it holds what was learnt, as long as that answers further requests.
    """

    __slots__ = ("ahead", "key", "limit", "room", "state", "until_s", "waiting")

    state: LimitState
    """The last one that was heard."""
    room: int
    """How many more requests may be admitted ahead, where ``state`` allows any."""
    until_s: float
    """When both end."""

    def __init__(self, key: CallerKey, limit: Limit) -> None:
        self.key = key
        self.limit = limit
        """Held with the key, so that its identity is not that of another limit."""
        self.waiting: list[Future[LimitState]] = []
        self.ahead = 0
        """Number of requests that were admitted without waiting, before those that wait."""

    @property
    def asked(self) -> int:
        """Number of requests to charge."""
        return self.ahead + len(self.waiting)


class Group(NamedTuple):
    """Charges of one limit, which share its arguments."""

    limit: Limit
    charges: list[Charge]


def by_algorithm(charges: list[Charge]) -> dict[str, list[Group]]:
    """Group charges by limit, and these by algorithm: each has a script of its own."""
    if len(charges) == 1:
        limit = charges[0].limit
        return {limit.algorithm: [Group(limit, charges)]}
    groups: dict[int, list[Charge]] = {}
    for charge in charges:
        limit_id = charge.key[0]
        if limit_id in groups:
            groups[limit_id].append(charge)
        else:
            groups[limit_id] = [charge]
    parts: dict[str, list[Group]] = {}
    for group in groups.values():
        limit = group[0].limit
        parts.setdefault(limit.algorithm, []).append(Group(limit, group))
    return parts


def merged(spends: Sequence[Spend]) -> tuple[Sequence[Spend], Sequence[int]]:
    """Return ``spends`` with one for each limit and caller, and the place of each there."""
    places: dict[tuple[int, str], int] = {}
    order = [places.setdefault((id(limit), caller), len(places)) for limit, caller, _ in spends]
    if len(places) == len(spends):
        return spends, order
    costs = [0] * len(places)
    for place, spend in zip(order, spends, strict=True):
        costs[place] += spend.cost
    first = [spends[order.index(place)] for place in range(len(places))]
    return [spend._replace(cost=cost) for spend, cost in zip(first, costs, strict=True)], order

"""
The limits of a route, in two stages: before authentication, and after it.

A stage charges all of its limits or none. Before authentication it counts by what the request
itself tells, so that guessing credentials is limited, too; after it, by the caller. Limits on the
requests that are under way come last.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from gateway.core.errors import RateLimited
from gateway.core.identity import Identity, User
from gateway.core.limit import BY_ADDRESS, UNCHARGED, AnswerLimits, Limit, LimitState, Spend
from gateway.core.ports import Leases, Limiter
from gateway.core.problem import in_seconds, told_limit
from gateway.core.record import RequestRecord
from gateway.core.request import Client, Reply, RequestHead
from gateway.core.route import Route
from gateway.headers.fields import serialise
from gateway.ratelimit.caller import caller_of
from gateway.ratelimit.lists import LimitLists
from gateway.ratelimit.tightest import refusal_of, tightest

_ONE = 1
"""What most requests cost."""


@dataclass(frozen=True, slots=True)
class RouteLimits:
    """Charges the limits of routes, and says what answers tell of them."""

    limiter: Limiter
    leases: Leases
    tells_always: bool = False
    """Whether every answer tells of the limits, not only a refusal by one."""
    lists: LimitLists = field(default_factory=LimitLists)

    def charge_now(
        self, head: RequestHead, route: Route, client: Client, record: RequestRecord
    ) -> bool:
        """
        Charge the limits before authentication, if that needs no wait; return whether it is done.

        Raises `DeniedByLimit` or `RateLimited`.
        """
        limits = self._counted(route, client) if self.lists.in_use else route.limits
        if not limits:
            return True
        if len(limits) > 1 or route.cost != _ONE:
            states = self.limiter.spend_all_now(
                _spends(limits, route.cost, head, route, client, None)
            )
            if states is None:
                return False
            self._judge(states, record)
            return True
        [limit] = limits
        is_usual = limit.per == BY_ADDRESS
        caller = client.limit_key if is_usual else caller_of(limit, head, route.name, client, None)
        state = self.limiter.spend_now(limit, caller)
        if state is None:
            return False
        if not state.allowed:  # `_judge` would raise it, too, but takes four times as long
            raise RateLimited(state)
        if self.tells_always or limit.is_shadow:
            self._judge((state,), record)
        return True

    async def charge(
        self, head: RequestHead, route: Route, client: Client, record: RequestRecord
    ) -> None:
        """
        Charge the limits before authentication.

        Raises `DeniedByLimit` or `RateLimited`, or `StoreUnavailable` for limits that fail closed.
        """
        limits = self._counted(route, client)
        if limits:
            await self._charge(_spends(limits, route.cost, head, route, client, None), record)

    async def charge_preflight(
        self, head: RequestHead, route: Route, client: Client, record: RequestRecord
    ) -> None:
        """Charge the limits before authentication one request. Raises what `charge` raises."""
        limits = self._counted(route, client)
        if limits:
            await self._charge(_spends(limits, _ONE, head, route, client, None), record)

    async def charge_identity(
        self,
        head: RequestHead,
        route: Route,
        client: Client,
        identity: Identity | None,
        record: RequestRecord,
    ) -> None:
        """Charge the limits after authentication. Raises what `charge` raises."""
        limits = self._counted_after(route.identity_limits, client, identity)
        if limits:
            await self._charge(_spends(limits, route.cost, head, route, client, identity), record)

    async def take_leases(
        self,
        head: RequestHead,
        route: Route,
        client: Client,
        identity: Identity | None,
        record: RequestRecord,
    ) -> None:
        """
        Count the request among those under way, until its response or its tunnel has ended.

        Runs last: what another stage refuses takes no place. Raises `RateLimited`, or
        `StoreUnavailable` for limits that fail closed.
        """
        for limit in self._counted_after(route.concurrency, client, identity):
            caller = caller_of(limit, head, route.name, client, identity)
            lease = await self.leases.take(limit, caller)
            self._judge((lease.state,), record)
            record.on_end += (lease.release,)

    def refuse_denied(self, route: Route, user: User) -> None:
        """Raise `DeniedByLimit` for a user on the deny list of a limit, before that is charged."""
        if self.lists.in_use:
            self.lists.refuse_user(_all(route), user)

    def _counted(self, route: Route, client: Client) -> tuple[Limit, ...]:
        """Return the limits before authentication that count ``client``."""
        self.lists.refuse_address(_all(route), client.address)
        return self.lists.counted(route.limits, client.address)

    def _counted_after(
        self, limits: tuple[Limit, ...], client: Client, identity: Identity | None
    ) -> tuple[Limit, ...]:
        """Return those of the limits after authentication that count the caller."""
        user = None if identity is None else identity.user
        return self.lists.counted(limits, client.address, user)

    async def _charge(self, spends: Sequence[Spend], record: RequestRecord) -> None:
        [(limit, caller, cost), *others] = spends
        if others or cost != _ONE:
            states = await self.limiter.spend_all(spends)
        else:
            states = [await self.limiter.spend(limit, caller)]
        self._judge(states, record)

    def _judge(self, states: Sequence[LimitState], record: RequestRecord) -> None:
        """Raise `RateLimited` for the longest wait; record the tightest limit otherwise."""
        refusal = refusal_of(states)
        if refusal is not None:
            raise RateLimited(refusal)
        told = [state for state in states if not state.limit.is_shadow]
        if len(told) < len(states):
            record.uncharged += tuple(s.limit.name for s in states if s.remaining == UNCHARGED)
        if self.tells_always and told:
            earlier = () if record.limit is None else (record.limit,)
            record.limit = tightest((*earlier, *told))

    # --- what answers tell ---------------------------------------------------------------------

    def of_answer(
        self,
        head: RequestHead,
        route: Route,
        client: Client,
        identity: Identity | None,
        record: RequestRecord,
    ) -> AnswerLimits:
        """Return what the app's answer has to do with limits."""
        state = record.limit
        spends: tuple[Spend, ...] = ()
        if route.tells_cost:
            before = self.lists.counted(route.limits, client.address)
            limits = before + self._counted_after(route.identity_limits, client, identity)
            charged = tuple(limit for limit in limits if limit.name not in record.uncharged)
            spends = _spends(charged, route.cost, head, route, client, identity)
        return AnswerLimits(b"" if state is None else _lines(in_seconds(state)), spends)

    def told_by(self, reply: Reply, record: RequestRecord) -> Reply:
        """Return ``reply`` with the fields about limits, where every answer has them."""
        if record.limit is None:
            return reply
        return reply._replace(fields=reply.fields + told_limit(record.limit))


def _all(route: Route) -> tuple[Limit, ...]:
    return route.limits + route.identity_limits + route.concurrency


def _spends(
    limits: tuple[Limit, ...],
    cost: int,
    head: RequestHead,
    route: Route,
    client: Client,
    identity: Identity | None,
) -> tuple[Spend, ...]:
    """Return the charges of a request to ``limits``."""
    name, address, make = route.name, client.limit_key, tuple.__new__
    spends = []
    for limit in limits:
        is_usual = limit.per == BY_ADDRESS
        caller = address if is_usual else caller_of(limit, head, name, client, identity)
        spends.append(make(Spend, (limit, caller, cost)))  # half the time of a call of the class
    return tuple(spends)


@lru_cache(1024)
def _lines(state: LimitState) -> bytes:
    """Serialise the fields once for each second of a window, and what is left: they are few."""
    return serialise(told_limit(state))

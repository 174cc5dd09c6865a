"""
The stages with a tracing recorder: each does what it always does, and takes down what it found.

The pipeline of an explanation is `gateway.pipeline.request.RequestPipeline` itself. It is handed
these in place of the stages of live requests, which hold no code for it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from gateway.authz.authoriser import Authoriser
from gateway.authz.cors import asked_method
from gateway.authz.rules import matcher_results
from gateway.core.errors import MethodNotAllowed, NoRoute, Refusal
from gateway.core.identity import Identity, User
from gateway.core.limit import UNCHARGED, Limit, LimitState, Spend
from gateway.core.ports import Leases, Limiter, RequestLease
from gateway.core.record import RequestRecord
from gateway.core.request import Client, RequestHead
from gateway.core.route import Route, Rule
from gateway.explain.candidates import candidates
from gateway.explain.hops import HopRecorder
from gateway.explain.trace import Details, Trace
from gateway.pipeline.limits import RouteLimits
from gateway.pipeline.stages import Stages
from gateway.routing.client_address import ClientIp, network_text
from gateway.routing.resolver import ResolvedRoute
from gateway.routing.target import canonical_target, parse_authority, split_absolute

_FIELDS = {ClientIp.X_FORWARDED_FOR: "X-Forwarded-For", ClientIp.FORWARDED: "Forwarded"}


@dataclass(frozen=True)
class TracedStages(Stages):
    """The stages of one explanation."""

    trace: Trace = field(default_factory=Trace)
    hops: HopRecorder = field(default_factory=lambda: HopRecorder(()))
    """Stands for the trusted proxies of ``clients``."""
    routes: tuple[Route, ...] = ()
    """All routes, those of the gateway's own pages first."""
    is_assumed: bool = False
    """Whether the identity was named by an operator, and not proven by a credential."""

    def find_client(self, head: RequestHead, record: RequestRecord) -> Client:
        self.hops.hops.clear()
        client = super().find_client(head, record)
        source = self.clients.client_ip
        name = _FIELDS.get(source, "")
        self.trace.passed(
            "client",
            peer=head.peer.text,
            client=client.text,
            read_from=name or source.value,
            lines=list(head.headers.getall(name, ())) if name else [],
            hops=[
                {"address": hop.text, "trusted_by": hop.network and network_text(hop.network)}
                for hop in self.hops.hops
            ],
        )
        return client

    def resolve(self, head: RequestHead, record: RequestRecord) -> ResolvedRoute:
        try:
            return super().resolve(head, record)
        except (NoRoute, MethodNotAllowed) as refusal:
            host, path = _place_of(head)
            self.trace.passed("target", raw=head.target, canonical=path, host=host)
            found = candidates(self.routes, host, path, head.method, None)
            self.trace.refused("route", refusal, candidates=[each.as_json() for each in found])
            raise
        except Refusal as refusal:
            self.trace.refused("target", refusal, raw=head.target)
            raise

    def note_route(self, head: RequestHead, resolved: ResolvedRoute, record: RequestRecord) -> None:
        super().note_route(head, resolved, record)
        host, target, route, forwarded = resolved
        asked = asked_method(head) if head.method == "OPTIONS" and route.cors is not None else None
        found = candidates(self.routes, host, target.path, asked or head.method, route)
        self.trace.passed("target", raw=head.target, canonical=target.wire, host=host)
        details: Details = {"candidates": [each.as_json() for each in found]}
        if asked is not None:
            details["preflight_for"] = asked
        if forwarded.path != target.path:
            details["forwarded_path"] = forwarded.path
        self.trace.passed("route", route=route.name, **details)

    def enforce_upgrades(self, head: RequestHead, route: Route) -> None:
        if not head.upgrade:
            return
        with self.trace.stage("upgrade") as details:
            details |= {"asked": head.upgrade, "listed": sorted(route.upgrades)}
            super().enforce_upgrades(head, route)

    def check_origin(self, head: RequestHead, route: Route, identity: Identity) -> None:
        with self.trace.stage("origin") as details:
            sent = {name: head.headers.getall(name, []) for name in ("Origin", "Sec-Fetch-Site")}
            is_sent = identity.method.is_sent_automatically
            details |= {"sent_automatically": is_sent, "origin": sent["Origin"]}
            details["sec_fetch_site"] = sent["Sec-Fetch-Site"]
            if self.is_assumed and not any(sent.values()):
                details["note"] = "not checked: taken for a request of this site's own pages"
                return
            super().check_origin(head, route, identity)


def _place_of(head: RequestHead) -> tuple[str, str]:
    """Return host and canonical path of a target that no route took."""
    _, origin_form = split_absolute(head.target)
    host = head.headers.get("Host", "")
    return parse_authority(host).host if host else "", canonical_target(origin_form).path


# --- limits ------------------------------------------------------------------------------------


@dataclass(slots=True)
class ChargeRecorder:
    """Takes down what limits have answered, until a stage collects it."""

    _found: list[Details] = field(default_factory=list)

    def note(self, spend: Spend, state: LimitState) -> None:
        """Note the answer of one limit; ``state`` may be of a variant with another rate."""
        limit = state.limit
        is_over = state.remaining == UNCHARGED or not state.allowed
        self._found.append(
            {
                "limit": limit.name,
                "caller": spend.caller,
                "rate": limit.rate,
                "window_s": limit.window_s,
                "cost": spend.cost,
                "known": state.reset_s >= 0,
                "allowed": state.allowed,
                "would_refuse": is_over,
                "remaining": max(0, state.remaining),
                "retry_after_s": round(state.retry_after_s, 3),
                "shadow": limit.is_shadow,
            }
        )

    def collect(self) -> list[Details]:
        """Return what was noted since the last call."""
        found, self._found = self._found, []
        return found


class RecordingLimiter:
    """The port `Limiter` in front of another one, whose answers it takes down."""

    def __init__(self, inner: Limiter, charges: ChargeRecorder) -> None:
        self._inner = inner
        self._charges = charges

    def spend_now(self, limit: Limit, caller: str) -> LimitState | None:  # noqa: ARG002 (of the port)
        return None

    async def spend(self, limit: Limit, caller: str) -> LimitState:
        state = await self._inner.spend(limit, caller)
        self._charges.note(Spend(limit, caller), state)
        return state

    def spend_all_now(self, spends: Sequence[Spend]) -> list[LimitState] | None:  # noqa: ARG002 (of the port)
        return None

    async def spend_all(self, spends: Sequence[Spend]) -> list[LimitState]:
        states = await self._inner.spend_all(spends)
        by_limit = {spend.limit.name: spend for spend in spends}
        for state in states:  # a refusal may tell of those alone that refuse
            self._charges.note(by_limit[state.limit.name], state)
        return states

    async def settle(self, spend: Spend) -> None:
        await self._inner.settle(spend)


class RecordingLeases:
    """The port `Leases` in front of another one, whose answers it takes down."""

    def __init__(self, inner: Leases, charges: ChargeRecorder) -> None:
        self._inner = inner
        self._charges = charges

    async def take(self, limit: Limit, caller: str) -> RequestLease:
        lease = await self._inner.take(limit, caller)
        self._charges.note(Spend(limit, caller), lease.state)
        return lease


@dataclass(frozen=True)
class TracedLimits(RouteLimits):
    """The limits of one explanation: they are looked at, and nothing is charged."""

    trace: Trace = field(default_factory=Trace)
    charges: ChargeRecorder = field(default_factory=ChargeRecorder)

    def charge_now(
        self, head: RequestHead, route: Route, client: Client, record: RequestRecord
    ) -> bool:
        if route.limits:
            return False  # they are looked at by `charge`
        with self.trace.stage("limits") as details:
            details["limits"] = []
            return super().charge_now(head, route, client, record)

    async def charge(
        self, head: RequestHead, route: Route, client: Client, record: RequestRecord
    ) -> None:
        with self._stage("limits"):
            await super().charge(head, route, client, record)

    async def charge_preflight(
        self, head: RequestHead, route: Route, client: Client, record: RequestRecord
    ) -> None:
        with self._stage("limits"):
            await super().charge_preflight(head, route, client, record)

    async def charge_identity(
        self,
        head: RequestHead,
        route: Route,
        client: Client,
        identity: Identity | None,
        record: RequestRecord,
    ) -> None:
        with self._stage("identity_limits"):
            await super().charge_identity(head, route, client, identity, record)

    async def take_leases(
        self,
        head: RequestHead,
        route: Route,
        client: Client,
        identity: Identity | None,
        record: RequestRecord,
    ) -> None:
        with self._stage("concurrency"):
            await super().take_leases(head, route, client, identity, record)

    def refuse_denied(self, route: Route, user: User) -> None:
        try:
            super().refuse_denied(route, user)
        except Refusal as refusal:
            self.trace.refused("deny_lists", refusal)
            raise

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """Note a stage with the limits that it looks at."""
        with self.trace.stage(name) as details:
            try:
                yield
            finally:
                details["limits"] = self.charges.collect()


# --- authorisation -----------------------------------------------------------------------------


@dataclass(frozen=True)
class TracedAuthoriser(Authoriser):
    """The authorisation of one explanation."""

    trace: Trace = field(default_factory=Trace)

    async def with_roles(self, identity: Identity, route: Route) -> Identity:
        with self.trace.stage("roles") as details:
            found = await super().with_roles(identity, route)
            details |= {"roles": _listed(found.roles), "permissions": _listed(found.permissions)}
            return found

    def enforce(self, route: Route, identity: Identity | None, client: Client, method: str) -> None:
        with self.trace.stage("rules") as details:
            details["rules"] = [
                _rule_report(kind, number, rule, identity, client, method)
                for kind, rules in (("deny", route.deny), ("allow", route.allow))
                for number, rule in enumerate(rules, 1)
            ]
            super().enforce(route, identity, client, method)


def _listed(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)


def _rule_report(
    kind: str, number: int, rule: Rule, identity: Identity | None, client: Client, method: str
) -> Details:
    """Say of each matcher of a rule whether it holds, and what it names."""
    results = matcher_results(rule, identity, client, method, doubtful=kind == "deny")
    matchers = [
        {"matcher": name, "values": _values(getattr(rule, name)), "holds": holds}
        for name, holds in results.items()
    ]
    return {"rule": kind, "number": number, "holds": all(results.values()), "matchers": matchers}


def _values(matcher: Any) -> list[str]:
    return sorted(
        network_text(each) if isinstance(each, (IPv4Network, IPv6Network)) else str(each)
        for each in matcher
    )


_: tuple[type[Limiter], type[Leases]] = RecordingLimiter, RecordingLeases

"""
The stages of a request, from its head to what is sent upstream. Start reading here.

    client → route → limits → authenticate → check origin → limits of the caller → authorise
           → leases → header fields

Each stage is handed what the earlier ones returned, so that a wrong order does not type-check. A
stage refuses by raising a `Refusal`. Only the head is looked at; bodies are streamed afterwards.

Stages that need no wait run at once, as far as the first that does: a request that one of them
refuses takes no task. So a flood of requests without a credential costs little.

Two kinds of requests leave this way early: a CORS preflight (`gateway.pipeline.preflight`) and the
question of a proxy whether a request may pass (forward-auth, `gateway.pipeline.check`).
"""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from gateway.authn.credentials import Credentials
from gateway.authz.cors import replaces_cors
from gateway.core.errors import AmbiguousCredentials, Refusal
from gateway.core.identity import Identity
from gateway.core.record import RequestRecord
from gateway.core.request import Client, Outbound, Reply, RequestHead
from gateway.headers.fields import serialise
from gateway.pipeline.check import CheckPipeline
from gateway.pipeline.preflight import PreflightPipeline
from gateway.pipeline.stages import Stages
from gateway.routing.resolver import ResolvedRoute


@dataclass(frozen=True, slots=True)
class RequestPipeline:
    """Runs the stages of requests by one config."""

    stages: Stages
    preflight: PreflightPipeline = field(init=False)
    check: CheckPipeline = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "preflight", PreflightPipeline(self.stages))
        object.__setattr__(self, "check", CheckPipeline(self.stages))

    def admit(
        self, head: RequestHead, record: RequestRecord
    ) -> Coroutine[Any, Any, Outbound | Reply]:
        """
        Run the first stages, and return the rest: what to send upstream, or the gateway's answer.

        Either raises the `Refusal` of the first stage that refuses. ``record`` is filled in on the
        way, for the access log.
        """
        stages = self.stages
        client = stages.find_client(head, record)
        if head.method == "OPTIONS" and (asked := self.preflight.resolve(head)) is not None:
            return self.preflight.admit(head, asked, client, record)
        resolved = stages.resolve(head, record)
        route = resolved.route
        if head.upgrade and route.ignores_upgrade(head.upgrade):
            head = head._replace(upgrade="")
        if not route.upstream:
            return self.check.admit(head, route, record)
        is_charged, sent = stages.limits.charge_now(head, route, client, record), None
        if is_charged:
            if head.upgrade:
                stages.enforce_upgrades(head, route)
            sent = self._read_now(head, resolved)
            if sent == () and (missing := stages.authenticator.refusal_without(route, client)):
                raise self._or_login(missing, head, resolved)
        return self._admit_later(head, resolved, client, record, is_charged, sent)

    def _read_now(self, head: RequestHead, resolved: ResolvedRoute) -> Credentials | None:
        """
        Return the credentials of a request; None where that needs a wait.

        Raises a `Refusal` where they are ambiguous.
        """
        try:
            return self.stages.authenticator.read_now(head, resolved.route)
        except AmbiguousCredentials as refusal:
            raise self._refusal_or_login(refusal, head, resolved) from None

    async def _admit_later(
        self,
        head: RequestHead,
        resolved: ResolvedRoute,
        client: Client,
        record: RequestRecord,
        is_charged: bool,
        sent: Credentials | None,
    ) -> Outbound:
        """Run the stages that may have to wait; ``is_charged``: the first limits did not."""
        stages, route = self.stages, resolved.route
        if not is_charged:
            await stages.limits.charge(head, route, client, record)
            stages.enforce_upgrades(head, route)
        try:
            identity = await stages.identify(head, route, client, record, sent)
        except Refusal as refusal:
            raise self._refusal_or_login(refusal, head, resolved) from None
        if route.concurrency:
            await stages.limits.take_leases(head, route, client, identity, record)
        return self._outbound(head, resolved, client, identity, record)

    def _outbound(
        self,
        head: RequestHead,
        resolved: ResolvedRoute,
        client: Client,
        identity: Identity | None,
        record: RequestRecord,
    ) -> Outbound:
        """Write the header fields for the app: strip first, write second."""
        (_, _, route, target), stages = resolved, self.stages
        fields = stages.fields.rewrite(head, route, client, record.scheme, identity)
        if stages.assertions is not None:
            fields += stages.assertion_line(identity, head, route, target)
        cors = serialise(record.fields) if record.fields and replaces_cors(route) else b""
        limits = None
        if route.tells_cost or record.limit is not None:
            limits = stages.limits.of_answer(head, route, client, identity, record)
        outbound = (route, head.method, target, fields, identity, client, cors, limits)
        return tuple.__new__(Outbound, outbound)  # half the time of a call of the class

    def _refusal_or_login(
        self, refusal: Refusal, head: RequestHead, resolved: ResolvedRoute
    ) -> Refusal:
        """Return ``refusal``, or the redirect to the login page where signing in helps."""
        return self._or_login(
            self.stages.with_cleared_cookies(refusal, head, resolved), head, resolved
        )

    def _or_login(self, refusal: Refusal, head: RequestHead, resolved: ResolvedRoute) -> Refusal:
        """Return ``refusal``, or the redirect to the login page; neither clears cookies."""
        login = self.stages.login
        if login is None:
            return refusal
        _, target, route, _ = resolved
        return login.refusal_or_login(refusal, head, route, target)

"""
The stages of a request, from its head to what is sent upstream. Start reading here.

    client → route → limits → authenticate → check origin → authorise → header fields

Each stage is handed what the earlier ones returned, so that a wrong order does not type-check. A
stage refuses by raising a `Refusal`. Only the head is looked at; bodies are streamed afterwards.

Two kinds of requests leave this way early: a CORS preflight (`gateway.pipeline.preflight`) and the
question of a proxy whether a request may pass (forward-auth, `gateway.pipeline.check`).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway.authz.cors import replaces_cors
from gateway.core.errors import Refusal
from gateway.core.identity import Identity
from gateway.core.record import RequestRecord
from gateway.core.request import Client, Outbound, Reply, RequestHead
from gateway.headers.fields import serialise
from gateway.pipeline.check import CheckPipeline
from gateway.pipeline.preflight import PreflightPipeline
from gateway.pipeline.stages import Stages
from gateway.routing.resolver import ResolvedRoute

Admit = Callable[[RequestHead, RequestRecord], Awaitable[Outbound | Reply]]
"""What to send upstream, or the gateway's own answer to a preflight or a check."""


@dataclass(frozen=True, slots=True)
class RequestPipeline:
    """Runs the stages of requests by one config."""

    stages: Stages
    preflight: PreflightPipeline = field(init=False)
    check: CheckPipeline = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "preflight", PreflightPipeline(self.stages))
        object.__setattr__(self, "check", CheckPipeline(self.stages))

    async def admit(self, head: RequestHead, record: RequestRecord) -> Outbound | Reply:
        """
        Decide about ``head``: return what to send upstream, or the gateway's own answer.

        Raises the `Refusal` of the first stage that refuses. ``record`` is filled in on the way,
        for the access log.
        """
        stages = self.stages
        client = stages.find_client(head, record)
        if head.method == "OPTIONS" and (asked := self.preflight.resolve(head)) is not None:
            return await self.preflight.admit(head, asked, client, record)
        resolved = stages.resolve(head, record)
        route = resolved.route
        if head.upgrade and route.ignores_upgrade(head.upgrade):
            head = head._replace(upgrade="")
        if not route.upstream:
            return await self.check.admit(head, route, record)
        await stages.enforce_limits(head, route, client)
        try:
            identity = await stages.identify(head, route, client, record)
        except Refusal as refusal:
            raise self._refusal_or_login(refusal, head, resolved) from None
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
        scheme = stages.clients.scheme_of(head)
        fields = stages.fields.rewrite(head, route, client, scheme, identity)
        if stages.assertions is not None:
            fields += stages.assertion_line(identity, head, route, target)
        cors = serialise(record.fields) if record.fields and replaces_cors(route) else b""
        outbound = (route, head.method, target, fields, identity, client, cors)
        return tuple.__new__(Outbound, outbound)  # half the time of a call of the class

    def _refusal_or_login(
        self, refusal: Refusal, head: RequestHead, resolved: ResolvedRoute
    ) -> Refusal:
        """Return ``refusal``, or the redirect to the login page where signing in helps."""
        refusal = self.stages.with_cleared_cookies(refusal, head, resolved)
        if self.stages.login is None:
            return refusal
        return self.stages.login.refusal_or_login(refusal, head, resolved.route, resolved.target)

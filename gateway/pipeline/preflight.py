"""
The stages of a CORS preflight (Fetch standard, section 3.3.5), which carries no credentials.

A browser asks with OPTIONS, and without cookies, whether a page of another origin may send a
request. The route of *that* request decides.
"""

from dataclasses import dataclass, replace

from gateway.authz.cors import asked_method, preflight_answer
from gateway.authz.rules import enforce_preflight
from gateway.core.errors import MethodNotAllowed, NoRoute, UnsupportedMethod
from gateway.core.record import RequestRecord
from gateway.core.request import Client, Outbound, Reply, RequestHead
from gateway.core.route import Auth
from gateway.pipeline.stages import Stages
from gateway.routing.resolver import ResolvedRoute


@dataclass(frozen=True, slots=True)
class PreflightPipeline:
    """Answers preflights, or passes them on to apps that answer for themselves."""

    stages: Stages

    def resolve(self, head: RequestHead) -> ResolvedRoute | None:
        """Resolve the route of the request that ``head`` asks about; None if it is no preflight."""
        method = asked_method(head)
        if method is None:
            return None
        try:
            resolved = self.stages.resolver.resolve(head._replace(method=method))
        except (NoRoute, MethodNotAllowed, UnsupportedMethod):
            return None
        return resolved if resolved.route.cors is not None else None

    async def admit(
        self, head: RequestHead, asked: ResolvedRoute, client: Client, record: RequestRecord
    ) -> Outbound | Reply:
        """
        Answer the preflight ``head``, or return what to send to the app.

        The app gets neither identity nor credentials. It counts as one request, whatever those of
        the route cost, and not for limits that need to know the caller. Raises what
        `RouteLimits.charge` raises, and `Forbidden` by rules that need no identity.
        """
        route = asked.route
        self.stages.note_route(head, asked, record)
        if not route.upstream:
            raise NoRoute("the route has no upstream")
        await self.stages.limits.charge_preflight(head, route, client, record)
        if route.cors is not None and not route.cors.passes_preflights:
            answer = preflight_answer(route.cors, head.headers)
            return self.stages.limits.told_by(answer, record)
        enforce_preflight(route, client, head.method)
        anonymous = replace(route, auth=Auth.NONE, forward_credentials=False, tells_cost=False)
        fields = self.stages.fields.rewrite(head, anonymous, client, record.scheme, None)
        if record.limit is None:
            return Outbound(anonymous, head.method, asked.forwarded, fields, None, client)
        told = self.stages.limits.of_answer(head, anonymous, client, None, record)
        return Outbound(anonymous, head.method, asked.forwarded, fields, None, client, b"", told)

"""
The stages of a forward-auth check: a proxy in front asks whether a request may pass.

nginx, Traefik, Caddy, Envoy and HAProxy forward by themselves. The request that such a proxy
describes passes the stages that it would pass if it had come here; the answer is 200 with the
identity fields for the app, or the refusal.
"""

from dataclasses import dataclass

from gateway.core.errors import NoRoute, Refusal, SignInByProxy, SignInFirst, UntrustedPeer
from gateway.core.record import RequestRecord
from gateway.core.request import Reply, RequestHead
from gateway.core.route import Route
from gateway.pipeline.checked_request import allowed_reply, checked_request, takes_redirect
from gateway.pipeline.stages import Stages
from gateway.routing.resolver import ResolvedRoute


@dataclass(frozen=True, slots=True)
class CheckPipeline:
    """Runs the stages for the requests that trusted proxies describe."""

    stages: Stages

    async def admit(self, head: RequestHead, route: Route, record: RequestRecord) -> Reply:
        """
        Answer the check ``head``, which came in at ``route``.

        Raises `NoRoute` where checks are not answered, `UntrustedPeer` for a peer that is no
        trusted proxy, `BadOriginal` for a description that is incomplete or contradicts itself,
        and the `Refusal` of the described request.
        """
        if not route.is_internal:
            raise NoRoute("the route has no upstream")
        if not self.stages.clients.is_trusted(head.peer):
            raise UntrustedPeer
        checked = checked_request(head, route.path.removesuffix("/*"))
        record.checked = checked.method
        try:
            return await self._decide(checked, record)
        except SignInFirst as refusal:
            if takes_redirect(head):
                raise
            raise SignInByProxy(refusal.reason, refusal.location) from None

    async def _decide(self, checked: RequestHead, record: RequestRecord) -> Reply:
        """Run the stages for the described request, as for any other."""
        stages = self.stages
        client = stages.find_client(checked, record)
        resolved = stages.resolve(checked, record)
        if resolved.route.is_internal:
            raise NoRoute("the gateway's own pages are behind no other proxy")
        await stages.limits.charge(checked, resolved.route, client, record)
        stages.enforce_upgrades(checked, resolved.route)
        try:
            identity = await stages.identify(checked, resolved.route, client, record)
        except Refusal as refusal:
            raise self._refusal_or_login(refusal, checked, resolved) from None
        lines = stages.fields.identity_lines(identity)
        asserted = stages.assertion_line(identity, checked, resolved.route, resolved.forwarded)
        reply = allowed_reply(stages.fields.identity_names, lines, asserted)
        return stages.limits.told_by(reply, record)

    def _refusal_or_login(
        self, refusal: Refusal, checked: RequestHead, resolved: ResolvedRoute
    ) -> Refusal:
        """Return ``refusal``, or the redirect to the login page where signing in helps."""
        refusal = self.stages.with_cleared_cookies(refusal, checked, resolved)
        login = self.stages.login
        if login is None:
            return refusal
        return login.refusal_or_login_by_proxy(refusal, checked, resolved.route, resolved.target)

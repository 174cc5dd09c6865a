"""``POST /api/audit``: lines of commands that run on other machines than the audit file."""

import time

from aiohttp import web

from gateway.admin.access import Denial
from gateway.admin.access_control import AccessControl, peer_of
from gateway.admin.guard import refusal
from gateway.admin.problems import denied, problem_response, refuse_other_than_json
from gateway.audit.switch import AuditSwitch
from gateway.core.errors import AuditUnavailable


class AuditApi:
    """Takes lines that are sealed with ``audit.key``: to reach the listener is not enough."""

    def __init__(self, trail: AuditSwitch, control: AccessControl) -> None:
        self._trail = trail
        self._control = control

    def routes(self) -> list[web.RouteDef]:
        """List the routes of the API."""
        return [web.post("/api/audit", self.write)]

    async def write(self, request: web.Request) -> web.Response:
        """Write a line: 204 when it is in the file, 404 where the gateway has none."""
        refused = refusal(request.headers, self._control.access.known_hosts)
        if refused is not None:
            return self._denied(request, Denial(403, "forbidden", refused))
        if (not_json := refuse_other_than_json(request)) is not None:
            return not_json
        now_ms = int(time.time() * 1000)
        try:
            is_written = await self._trail.receive(await request.read(), peer_of(request), now_ms)
        except ValueError as error:
            return self._denied(request, Denial(400, "bad_request", str(error)))
        except AuditUnavailable as error:
            return problem_response(503, "audit_unavailable", error.reason)
        if not is_written:
            return problem_response(404, "no_audit_file", "the gateway has no audit file")
        return web.Response(status=204, headers={"Cache-Control": "no-store"})

    def _denied(self, request: web.Request, denial: Denial) -> web.Response:
        self._control.record(request, denial)
        return denied(denial)

"""The API of the private listener: JSON under ``/api/``."""

from typing import Any, Protocol

import orjson
from aiohttp import web

from gateway.admin.guard import is_json, refusal
from gateway.core.errors import Refusal, StoreUnavailable
from gateway.core.problem import problem
from gateway.revocation.revoke import Revoked
from gateway.util.rfc3339 import rfc3339


class AdminActions(Protocol):
    """Carries out what the API is asked for: in this process, or in one of several workers."""

    async def revoke(self, issuer: str) -> Revoked:
        """Revoke everything that ``issuer`` has proven. Raises ValueError or `StoreUnavailable`."""


class Api:
    """``POST /api/revocations`` with ``{"issuer": …}``."""

    def __init__(self, actions: AdminActions, known_hosts: frozenset[str]) -> None:
        self._actions = actions
        self._known_hosts = known_hosts

    def routes(self) -> list[web.RouteDef]:
        """List the routes of the API."""
        return [web.post("/api/revocations", self.revoke)]

    async def revoke(self, request: web.Request) -> web.Response:
        """Revoke an issuer: 200 with the result; 503 where the store did not confirm it."""
        refused = refusal(request.headers, self._known_hosts)
        if refused is not None:
            return problem_response(403, "forbidden", refused)
        if not is_json(request.headers.get("Content-Type", "")):
            return problem_response(415, "not_json", "Content-Type is not application/json")
        try:
            revoked = await self._actions.revoke(_issuer(await request.read()))
        except ValueError as error:
            return problem_response(400, "bad_request", str(error))
        except StoreUnavailable as error:
            return _unavailable(error)
        return _json(
            200,
            {
                "issuer": revoked.issuer,
                "revoked_at": rfc3339(revoked.epoch_ms),
                "sessions_ended": revoked.sessions,
            },
        )


def _issuer(body: bytes) -> str:
    try:
        match orjson.loads(body):
            case {"issuer": str(issuer), **more} if not more:
                return issuer
    except orjson.JSONDecodeError:
        pass
    raise ValueError('expected {"issuer": "did:ethr:0x…"}')


def problem_response(status: int, code: str, detail: str) -> web.Response:
    """Make a problem document (RFC 9457) with a code and a detail for operators."""
    return _json(
        status,
        {"type": "about:blank", "status": status, "code": code, "detail": detail},
        "application/problem+json",
    )


def _unavailable(error: Refusal) -> web.Response:
    _, reply = problem(error, "")
    return web.Response(status=reply.status, headers=dict(reply.fields), body=reply.body)


def _json(status: int, value: dict[str, Any], kind: str = "application/json") -> web.Response:
    fields = {"Content-Type": kind, "Cache-Control": "no-store"}
    return web.Response(status=status, body=orjson.dumps(value), headers=fields)

"""The API of the private listener: JSON under ``/api/``."""

from typing import Any, Protocol

import orjson
from aiohttp import web

from gateway.admin.guard import is_json, refusal
from gateway.core.errors import MagicUnavailable, Refusal, StoreUnavailable
from gateway.core.problem import problem
from gateway.revocation.name import RevocationRefused, UnknownEmail
from gateway.revocation.revoke import Revocation
from gateway.util.rfc3339 import rfc3339


class AdminActions(Protocol):
    """Carries out what the API is asked for: in this process, or in one of several workers."""

    async def revoke(self, name: str) -> Revocation:
        """
        Revoke everything that the issuer ``name`` has proven, or all issuers of that email address.

        Raises `RevocationRefused`, `StoreUnavailable` or `MagicUnavailable`.
        """


class Api:
    """``POST /api/revocations`` with ``{"issuer": …}``, which may be an email address."""

    def __init__(self, actions: AdminActions, known_hosts: frozenset[str]) -> None:
        self._actions = actions
        self._known_hosts = known_hosts

    def routes(self) -> list[web.RouteDef]:
        """List the routes of the API."""
        return [web.post("/api/revocations", self.revoke)]

    async def revoke(self, request: web.Request) -> web.Response:
        """
        Revoke an issuer, or those of an email address: 200 with the result.

        503 where the store did not confirm it, or Magic was needed and did not answer.
        """
        refused = refusal(request.headers, self._known_hosts)
        if refused is not None:
            return problem_response(403, "forbidden", refused)
        if not is_json(request.headers.get("Content-Type", "")):
            return problem_response(415, "not_json", "Content-Type is not application/json")
        try:
            revocation = await self._actions.revoke(_issuer(await request.read()))
        except RevocationRefused as error:
            return problem_response(_STATUSES.get(type(error), 400), error.code, str(error))
        except (StoreUnavailable, MagicUnavailable) as error:
            return _unavailable(error)
        return _json(200, _described(revocation))


_STATUSES: dict[type[RevocationRefused], int] = {UnknownEmail: 404}


def _described(revocation: Revocation) -> dict[str, Any]:
    """Describe the one issuer that was named, or all issuers of an email address."""
    described = [
        {
            "issuer": each.issuer,
            "revoked_at": rfc3339(each.epoch_ms),
            "sessions_ended": each.sessions,
        }
        for each in revocation.revoked
    ]
    if revocation.email is None:
        return described[0]
    return {
        "email": revocation.email,
        "revoked": described,
        "is_complete": revocation.is_complete,
    }


def _issuer(body: bytes) -> str:
    try:
        match orjson.loads(body):
            case {"issuer": str(issuer), **more} if not more:
                return issuer
    except orjson.JSONDecodeError:
        pass
    raise RevocationRefused('expected {"issuer": "did:ethr:0x…"}, or an email address in its place')


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

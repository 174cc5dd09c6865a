"""The API of the private listener: JSON under ``/api/``."""

from collections.abc import Mapping
from typing import Any, Protocol

import orjson
from aiohttp import web

from gateway.admin.access import Operator
from gateway.admin.access_control import operator_of
from gateway.admin.problems import json_response, problem_response, refuse_other_than_json
from gateway.admin.promotion import NoCandidate, Promoted
from gateway.audit.switch import NO_AUDIT
from gateway.core.audit import AuditDetail, AuditEntry, AuditEvent
from gateway.core.errors import GatewayError, MagicUnavailable, Refusal, StoreUnavailable
from gateway.core.ports import AuditTrail
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

    async def explain(self, document: object) -> Mapping[str, Any]:
        """
        Explain the request that ``document`` describes; see `gateway.explain.question`.

        Raises `ValueError` for a description that is none, and `StoreUnavailable` or
        `MagicUnavailable` where the caller that it names cannot be looked up.
        """

    async def promote(self) -> Promoted:
        """
        Put the candidate of ``gateway run --shadow`` in use.

        Raises `NoCandidate`, or `ConfigError` or `StartError` where it cannot be used: then nothing
        has changed.
        """


class Api:
    """
    ``POST /api/revocations`` with ``{"issuer": …}``, which may be an email address.

    ``POST /api/explain`` with ``{"method": …, "url": …, "headers": …, "peer": …, "as": …}``.

    ``POST /api/promote`` with ``{}``.
    """

    def __init__(
        self,
        actions: AdminActions,
        trail: AuditTrail = NO_AUDIT,
    ) -> None:
        self._actions = actions
        self._trail = trail

    def routes(self) -> list[web.RouteDef]:
        """List the routes of the API."""
        return [
            web.post("/api/revocations", self.revoke),
            web.post("/api/explain", self.explain),
            web.post("/api/promote", self.promote),
        ]

    async def revoke(self, request: web.Request) -> web.Response:
        """
        Revoke an issuer, or those of an email address: 200 with the result.

        503 where the store did not confirm it, or Magic was needed and did not answer.
        """
        if (refused := refuse_other_than_json(request)) is not None:
            return refused
        try:
            revocation = await self._actions.revoke(_issuer(await request.read()))
        except RevocationRefused as error:
            return problem_response(_STATUSES.get(type(error), 400), error.code, str(error))
        except (StoreUnavailable, MagicUnavailable) as error:
            return _unavailable(error)
        await self._record(revocation, operator_of(request))
        return json_response(_described(revocation))

    async def _record(self, revocation: Revocation, operator: Operator) -> None:
        for each in revocation.revoked:
            details: dict[str, AuditDetail] = {
                "sessions_ended": each.sessions,
                "revoked_at": rfc3339(each.epoch_ms),
            }
            entry = AuditEntry(AuditEvent.ISSUER_REVOKED, "", each.issuer, details=details)
            await self._trail.write(operator.sign(entry))

    async def explain(self, request: web.Request) -> web.Response:
        """Explain a request: 200 whatever the verdict is; 400 for a description that is none."""
        if (refused := refuse_other_than_json(request)) is not None:
            return refused
        try:
            found = await self._actions.explain(orjson.loads(await request.read()))
        except ValueError as error:
            return problem_response(400, "bad_request", str(error))
        except (StoreUnavailable, MagicUnavailable) as error:
            return _unavailable(error)
        return json_response(found)

    async def promote(self, request: web.Request) -> web.Response:
        """Put the candidate in use: 200 with its file; 409 where there is none, or it cannot be."""
        if (refused := refuse_other_than_json(request)) is not None:
            return refused
        operator, entry = operator_of(request), AuditEntry(AuditEvent.CONFIG_RELOADED, "")
        try:
            promoted = await self._actions.promote()
        except NoCandidate as error:
            return problem_response(409, "no_candidate", str(error))
        except GatewayError as error:
            entry = entry._replace(result="refused", reason="not_promoted")
            await self._trail.write(operator.sign(entry))
            return problem_response(409, "not_promoted", str(error))
        details: dict[str, AuditDetail] = {"sha256": promoted.sha256}
        entry = entry._replace(subject=promoted.config, reason="promoted", details=details)
        await self._trail.write(operator.sign(entry))
        return json_response(promoted._asdict())


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


def _unavailable(error: Refusal) -> web.Response:
    _, reply = problem(error, "")
    return web.Response(status=reply.status, headers=dict(reply.fields), body=reply.body)

"""The API of the dashboard: look-ups and actions, beside those of `gateway.admin.api`."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import orjson
from aiohttp import web

from gateway.admin.access import Operator
from gateway.admin.access_control import operator_of
from gateway.admin.problems import json_response, problem_response, refuse_other_than_json
from gateway.core.errors import GatewayError, MagicUnavailable, StoreUnavailable

OperationAnswer = Mapping[str, Any]


class NotPossible(GatewayError):
    """Raised for what cannot be done here, such as a reload without a config file."""


class Operations(Protocol):
    """
    Looks up and does what the dashboard asks for.

    Each raises `ValueError` for a malformed request, `NotPossible`, and `StoreUnavailable` or
    `MagicUnavailable`. Actions are given the operator, for the audit file.
    """

    async def config(self) -> OperationAnswer:
        """Return the file in use, the findings in it, and the last reloads."""

    async def hooks(self) -> OperationAnswer:
        """Return the endpoints, and the dead letters that came first."""

    async def callers(self, limit: str) -> OperationAnswer:
        """Return the callers who have used most of a limit."""

    async def people(self, wanted: str, more: str) -> OperationAnswer:
        """Return a page of people who are signed in; ``more`` of one page leads to the next."""

    async def sessions(self, issuer: str) -> OperationAnswer:
        """Return the sessions and roles of an issuer."""

    async def end_session(self, document: OperationAnswer, operator: Operator) -> OperationAnswer:
        """End one session: ``{issuer, session}``."""

    async def reset_limit(self, document: OperationAnswer, operator: Operator) -> OperationAnswer:
        """Forget what a caller has used of a limit: ``{limit, caller}``."""

    async def replay(self, document: OperationAnswer, operator: Operator) -> OperationAnswer:
        """Queue dead letters again: ``{endpoint}`` or ``{endpoint, event_id}``."""

    async def reload(self, document: OperationAnswer, operator: Operator) -> OperationAnswer:
        """Read the config again."""

    async def drain(self, document: OperationAnswer, operator: Operator) -> OperationAnswer:
        """Take no more connections, and end when those under way are done."""


class OperationsApi:
    """Look-ups by ``GET``, and actions by ``POST /api/actions/{action}``."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._actions: Mapping[
            str, Callable[[OperationAnswer, Operator], Awaitable[OperationAnswer]]
        ] = {
            "drain": operations.drain,
            "end-session": operations.end_session,
            "reload": operations.reload,
            "replay": operations.replay,
            "reset-limit": operations.reset_limit,
        }

    def routes(self) -> list[web.RouteDef]:
        """List the routes of the API."""
        known = "|".join(self._actions)
        return [
            web.get("/api/config", self.config),
            web.get("/api/hooks", self.hooks),
            web.get("/api/limits/callers", self.callers),
            web.get("/api/people", self.people),
            web.get("/api/people/sessions", self.sessions),
            web.post(f"/api/actions/{{action:{known}}}", self.act),
            web.post("/api/actions/{unknown}", self.act),
        ]

    async def config(self, _: web.Request) -> web.Response:
        """Answer with the config in use."""
        return await _answer(self._operations.config)

    async def hooks(self, _: web.Request) -> web.Response:
        """Answer with the endpoints."""
        return await _answer(self._operations.hooks)

    async def callers(self, request: web.Request) -> web.Response:
        """Answer with the callers who have used most of ``?limit=``."""
        limit = request.query.get("limit", "")
        return await _answer(lambda: self._operations.callers(limit))

    async def people(self, request: web.Request) -> web.Response:
        """Answer with a page of people: ``?q=`` searches, ``?more=`` goes on."""
        wanted, more = (request.query.get(name, "") for name in ("q", "more"))
        return await _answer(lambda: self._operations.people(wanted, more))

    async def sessions(self, request: web.Request) -> web.Response:
        """Answer with the sessions of ``?issuer=``."""
        issuer = request.query.get("issuer", "")
        return await _answer(lambda: self._operations.sessions(issuer))

    async def act(self, request: web.Request) -> web.Response:
        """Do what the path names."""
        action = self._actions.get(request.match_info.get("action", ""))
        if action is None:
            return problem_response(404, "not_found", "there is no such action")
        if (refused := refuse_other_than_json(request)) is not None:
            return refused

        async def done() -> OperationAnswer:
            document = orjson.loads(await request.read())
            if not isinstance(document, dict):
                raise ValueError("expected an object")  # noqa: TRY004 (of what was sent)
            return await action(document, operator_of(request))

        return await _answer(done)


async def _answer(work: Callable[[], Awaitable[OperationAnswer]]) -> web.Response:
    try:
        return json_response(await work())
    except ValueError as error:
        return problem_response(400, "bad_request", str(error))
    except NotPossible as error:
        return problem_response(409, "not_possible", str(error))
    except StoreUnavailable as error:
        return problem_response(503, "store_unavailable", _away("The store", error))
    except MagicUnavailable as error:
        return problem_response(503, "magic_unavailable", _away("Magic", error))


def _away(what: str, error: StoreUnavailable | MagicUnavailable) -> str:
    """Return a sentence; a reason alone, such as ``TimeoutError``, says little."""
    return f"{what} does not answer ({error.reason})."

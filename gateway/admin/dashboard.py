"""
The dashboard: one page, its files, and the events that keep it up to date.

The page holds no data: what it shows is asked for with the token, and put into the document as
text, so that what clients have sent cannot become a part of the page.
"""

import asyncio
from contextlib import aclosing
from typing import Final
from urllib.parse import parse_qs

from aiohttp import hdrs, web

from gateway.admin.access import COOKIE, SIGNED_IN_S, TOKEN_REQUIRED, Denial
from gateway.admin.access_control import AccessControl, operator_of
from gateway.admin.assets import assets
from gateway.admin.feed import Feed, TooManyPages
from gateway.admin.problems import denied, problem_response
from gateway.util.static_files import FOREVER

_STUCK_S: Final = 30.0
"""Time after which a page that takes no byte is considered gone."""
_ROUTE_S: Final = 300.0
"""
Time for which events are sent to a person. Then the page asks again, and the pipeline decides again
whether the person may see them.
"""

_PAGE_FIELDS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none';"
        " require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # without any, forms would say that their origin is null
    "X-Content-Type-Options": "nosniff",
}
_PAGE_FIELDS_BELOW: Final = {
    **_PAGE_FIELDS,
    "Content-Security-Policy": _PAGE_FIELDS["Content-Security-Policy"].replace(
        "base-uri 'none'", "base-uri 'self'"
    ),
}
"""Fields of a page below a path; it names that path as its base."""
_ASSET_FIELDS: Final = {
    "Cache-Control": FOREVER,
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Dashboard:
    """``GET /``, its files, its events, and the form that takes the token."""

    def __init__(self, feed: Feed, control: AccessControl, route_s: float = _ROUTE_S) -> None:
        self._feed = feed
        self._control = control
        self._route_s = route_s

    def routes(self) -> list[web.RouteDef]:
        """List the routes of the dashboard."""
        return [
            web.get("/", self.page),
            web.get("/assets/{version}/{name:.+}", self.asset),
            web.get("/api/events", self.events, allow_head=False),
        ]

    def sign_in_routes(self) -> list[web.RouteDef]:
        """List the routes of the form for the token."""
        return [web.post("/sign-in", self.sign_in), web.post("/sign-out", self.sign_out)]

    async def page(self, request: web.Request) -> web.Response:
        """Answer with the page; with the form for the token where that is needed first."""
        denial = self._control.denial(request)
        if denial is None:
            return self._found(request)
        self._control.record(request, denial)
        if denial.code == TOKEN_REQUIRED:
            return assets().page("sign-in.html").response(request, _PAGE_FIELDS, 401)
        return _denied(request, denial)

    def _found(self, request: web.Request) -> web.Response:
        prefix = request.headers.get("X-Forwarded-Prefix", "")
        if not prefix or not self._control.access.is_route:
            return assets().page("dashboard.html").response(request, _PAGE_FIELDS)
        return assets().page_below("dashboard.html", prefix).response(request, _PAGE_FIELDS_BELOW)

    async def asset(self, request: web.Request) -> web.Response:
        """Answer with a file; it holds no secret, and is cached for good."""
        found = assets().files.get(request.match_info["name"])
        if found is None or request.match_info["version"] != assets().version:
            return problem_response(404, "not_found", "there is no such file")
        return found.response(request, _ASSET_FIELDS)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream the figures, once a second (`EventSource`)."""
        answer = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", **_PAGE_FIELDS, "X-Accel-Buffering": "no"}
        )
        reader = operator_of(request).reader
        try:
            async with aclosing(self._feed.events(self._hello(request), reader)) as events:  # type: ignore[type-var]
                first = await anext(events)
                await answer.prepare(request)
                await _write(answer, first)
                began_s = self._control.clock()
                async for each in events:
                    if not self._may_go_on(request, began_s):
                        break
                    await _write(answer, each)
                    if self._is_waited_for():
                        break
        except TooManyPages as error:
            return problem_response(503, "too_many_pages", str(error))
        except ConnectionError:
            pass  # the page was closed
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()  # closing it would wait until all was read
        return answer

    def _may_go_on(self, request: web.Request, began_s: float) -> bool:
        """Whether events are sent on; after a clock was set back, the pipeline decides again."""
        passed_s = self._control.clock() - began_s
        if self._control.access.is_route and not 0 <= passed_s < self._route_s:
            return False
        return self._control.denial(request) is None

    def _is_waited_for(self) -> bool:
        """Whether the gateway drains, and does not end before what comes by the route does."""
        return self._control.access.is_route and self._feed.is_draining

    def _hello(self, request: web.Request) -> dict[str, object]:
        access = self._control.access
        return {
            "version": assets().version,
            "is_read_only": access.is_read_only,
            "has_token": bool(access.token) and not access.is_route,
            "email": operator_of(request).email,
        }

    async def sign_in(self, request: web.Request) -> web.Response:
        """Take the token from the form, and give a cookie for it."""
        access = self._control.access
        refused = access.foreign(request.headers)
        if refused is not None:
            foreign = Denial(403, "forbidden", refused)
            self._control.record(request, foreign)
            return denied(foreign)
        body = (await request.read()).decode("utf-8", "replace")
        [token, *_] = parse_qs(body).get("token") or [""]
        denial = self._control.token_denial(request, token.strip())
        if denial is not None:
            self._control.record(request, denial)
            return _not_signed_in(request, denial)
        answer = _back()
        answer.set_cookie(
            COOKIE,
            access.cookie(self._control.clock()),
            max_age=SIGNED_IN_S,
            httponly=True,
            samesite="Strict",
            secure=request.secure or request.headers.get("Origin", "").startswith("https:"),
        )
        return answer

    async def sign_out(self, _: web.Request) -> web.Response:
        """Take the cookie away."""
        answer = _back()
        answer.del_cookie(COOKIE, httponly=True, samesite="Strict")
        return answer


async def _write(answer: web.StreamResponse, data: bytes) -> None:
    """Send a part of an answer. Raises `TimeoutError` where the client takes no more."""
    async with asyncio.timeout(_STUCK_S):
        await answer.write(data)


def _not_signed_in(request: web.Request, denial: Denial) -> web.Response:
    """Show the form again; after too many wrong tokens, say so."""
    if denial.retry_after_s:
        return _denied(request, denial)
    page = assets().page("sign-in.html", shows_alert=True)
    return page.response(request, _PAGE_FIELDS, 401)


def _denied(request: web.Request, denial: Denial) -> web.Response:
    """Say why, as a page to a browser that wants one."""
    answer = denied(denial)
    if "text/html" not in request.headers.get(hdrs.ACCEPT, ""):
        return answer
    page = assets().denied(denial.detail).response(request, _PAGE_FIELDS, denial.status)
    if "Retry-After" in answer.headers:
        page.headers["Retry-After"] = answer.headers["Retry-After"]
    return page


def _back() -> web.Response:
    return web.Response(status=303, headers={"Location": "./", "Cache-Control": "no-store"})

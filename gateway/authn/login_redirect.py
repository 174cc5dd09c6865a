"""Redirects to the login page in place of 401: for browsers that navigate, not for scripts."""

from functools import lru_cache
from http import HTTPStatus
from urllib.parse import quote

from multidict import CIMultiDictProxy, istr

from gateway.authn.credentials import is_bearer
from gateway.authn.return_to import HOME, ReturnTo
from gateway.core.errors import PROBLEM_TYPES, Refusal, SignInFirst
from gateway.core.identity import AuthMethod
from gateway.core.request import RequestHead, Target
from gateway.core.route import Route
from gateway.routing.target import parse_authority
from gateway.util.weighted import by_weight

_UNAUTHORIZED, _SESSION = HTTPStatus.UNAUTHORIZED, AuthMethod.SESSION
_AUTHORIZATION, _ACCEPT = istr("Authorization"), istr("Accept")
_FETCH_MODE, _REQUESTED_WITH = istr("Sec-Fetch-Mode"), istr("X-Requested-With")
_QUOTED = str.maketrans({chr(code): quote(chr(code)) for code in range(128)})
"""Quotes ASCII as `quote` does, for a third of the time."""
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_LONGEST = 256
"""Characters of ``Accept`` that are read; browsers name HTML before."""


class LoginPage:
    """Redirects browsers to the login page of one config in place of a 401 response."""

    def __init__(self, public_origin: str, prefix: str, return_to: ReturnTo) -> None:
        self._path = f"{prefix}/login"
        self._url = public_origin + self._path
        self._scheme, _, self._authority = public_origin.partition("//")
        self._return_to = return_to

    def refusal_or_login(
        self, refusal: Refusal, head: RequestHead, route: Route, target: Target
    ) -> Refusal:
        """
        Return ``refusal``, or `SignInFirst` for a navigation that can sign in.

        Signing in leads back to ``target``. A script cannot use a page, so its 401 names the URL of
        the page. A route that accepts no session would redirect in a loop, so it keeps its refusal.
        """
        if not _may_sign_in(refusal, route):
            return refusal
        if not is_navigation(head):
            return self._with_login_url(refusal)
        return self._redirect(refusal, self._path, self._return_to.checked(target.wire), route)

    def refusal_or_login_by_proxy(
        self, refusal: Refusal, head: RequestHead, route: Route, target: Target
    ) -> Refusal:
        """
        Return the same as `refusal_or_login`, for a forward-auth check.

        The proxy in front redirects the browser. It may serve any port, and hosts to which browsers
        do not send the session cookie: on those, signing in would redirect in a loop.
        """
        if not _may_sign_in(refusal, route):
            return refusal
        host = head.headers.get("Host", "")
        gets_cookie = self._gets_cookie(host)
        if not gets_cookie and shows_page(head.headers):  # a page has nothing to offer there
            return refusal
        if not gets_cookie or not is_navigation(head):
            return self._with_login_url(refusal)
        way_back = self._return_to.checked(f"{self._scheme}//{host}{target.wire}")
        return self._redirect(refusal, self._url, way_back, route)

    def _gets_cookie(self, host: str) -> bool:
        return parse_authority(host).host == parse_authority(self._authority).host

    def _redirect(self, refusal: Refusal, page: str, way_back: str, route: Route) -> Refusal:
        if route.is_internal and way_back == HOME:  # from the login page to itself
            return self._with_login_url(refusal)
        code = PROBLEM_TYPES[type(refusal)].code
        reason = f"{code}: {refusal.reason}" if refusal.reason else code
        quoted = way_back.translate(_QUOTED) if way_back.isascii() else quote(way_back)
        return SignInFirst(reason, f"{page}?return_to={quoted}")

    def _with_login_url(self, refusal: Refusal) -> Refusal:
        refusal.login_url = self._url
        return refusal


def _may_sign_in(refusal: Refusal, route: Route) -> bool:
    is_unauthorized = PROBLEM_TYPES[type(refusal)].status is _UNAUTHORIZED
    return is_unauthorized and _SESSION in route.accept


def is_navigation(head: RequestHead) -> bool:
    """
    Whether the request is a browser's navigation, so that a user waits for a page.

    Browsers say so in ``Sec-Fetch-Mode`` (W3C Fetch Metadata). Older ones prefer HTML in
    ``Accept``, and their scripts send ``X-Requested-With``. A client that sends a bearer token is a
    program.
    """
    return head.method in ("GET", "HEAD") and not head.upgrade and shows_page(head.headers)


def shows_page(headers: CIMultiDictProxy[str]) -> bool:
    """Whether the answer is shown to a person: to a navigation, by a form too."""
    modes = headers.getall(_FETCH_MODE, None)
    if modes is not None:
        is_page = modes == ["navigate"]
    else:
        is_page = _prefers_page(headers.get(_ACCEPT, "")[:_LONGEST])
        is_page = is_page and _REQUESTED_WITH not in headers
    return is_page and not any(map(is_bearer, headers.getall(_AUTHORIZATION, ())))


@lru_cache(512)
def _prefers_page(accepted: str) -> bool:
    """Whether what ``Accept`` asks for rather than all else is a page."""
    return bool(_PAGES.intersection(by_weight(accepted)[:1]))

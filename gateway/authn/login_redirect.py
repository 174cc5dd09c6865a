"""Who is sent to the login page: people who navigate, never programs that fetch."""

from http import HTTPStatus
from urllib.parse import quote

from gateway.authn.return_to import HOME, ReturnTo
from gateway.core.errors import PROBLEM_TYPES, Refusal, SignInFirst
from gateway.core.identity import AuthMethod
from gateway.core.request import RequestHead, Target
from gateway.core.route import Route
from gateway.routing.target import parse_authority

_PAGES = frozenset({"text/html", "application/xhtml+xml"})


class LoginPage:
    """The login page of one config, for those who would be answered 401."""

    def __init__(self, public_origin: str, prefix: str, return_to: ReturnTo) -> None:
        self._path = f"{prefix}/login"
        self._url = public_origin + self._path
        self._scheme, _, self._authority = public_origin.partition("//")
        self._return_to = return_to

    def instead_of(
        self,
        refusal: Refusal,
        head: RequestHead,
        route: Route,
        target: Target,
        *,
        is_check: bool = False,
    ) -> Refusal:
        """
        What to refuse ``head`` with where nobody was proven and ``refusal`` says why.

        A person who navigates gets `SignInFirst`, which leads back to ``target`` in the end. A
        script could do nothing with a page of another kind: it hears where the login page is.
        Where the route takes no session, signing in would lead here again, and round in circles;
        so it would on another host, to which no browser sends the cookie, in ``is_check``: there it
        is a proxy in front that leads to the page, from any host and port.
        """
        is_helped = PROBLEM_TYPES[type(refusal)].status is HTTPStatus.UNAUTHORIZED
        if not is_helped or AuthMethod.SESSION not in route.accept:
            return refusal
        location = self._location(head, route, target, is_check) if is_navigation(head) else None
        if location is None:
            refusal.login_url = self._url
            return refusal
        code = PROBLEM_TYPES[type(refusal)].code
        return SignInFirst(f"{code}: {refusal.reason}" if refusal.reason else code, location)

    def _location(
        self, head: RequestHead, route: Route, target: Target, is_check: bool
    ) -> str | None:
        """Where whoever navigates to ``target`` is led; None if it would be in circles."""
        origin = ""
        if is_check:
            host = head.headers.get("Host", "")
            origin = f"{self._scheme}//{host}"
            if parse_authority(host).host != parse_authority(self._authority).host:
                return None
        back = self._return_to.checked(origin + target.wire)
        if route.is_internal and back == HOME:
            return None
        return f"{self._url if is_check else self._path}?return_to={quote(back)}"


def is_navigation(head: RequestHead) -> bool:
    """
    Whether a person waits for a page.

    Browsers say so in ``Sec-Fetch-Mode`` (W3C Fetch Metadata); older ones ask for HTML first, and
    so did scripts that named themselves in ``X-Requested-With``. Whoever sends a bearer token is a
    program.
    """
    if head.method not in ("GET", "HEAD") or head.upgrade:
        return False
    if any(_is_bearer(field) for field in head.headers.getall("Authorization", ())):
        return False
    modes = head.headers.getall("Sec-Fetch-Mode", None)
    if modes is not None:
        return modes == ["navigate"]
    if "X-Requested-With" in head.headers:
        return False
    first = head.headers.get("Accept", "").partition(",")[0].partition(";")[0]
    return first.strip().lower() in _PAGES


def _is_bearer(authorization: str) -> bool:
    return authorization.lstrip()[:6].lower() == "bearer"

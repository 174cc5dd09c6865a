"""CSRF protection: pages of other sites must not act with a user's cookie."""

from collections.abc import Sequence

from multidict import istr

from gateway.core.errors import CrossSite
from gateway.core.identity import AuthMethod, Identity
from gateway.core.reasons import CrossSiteReason
from gateway.core.request import RequestHeaders

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 section 9.2.1; TRACE is refused
_ORIGIN, _SITE = istr("Origin"), istr("Sec-Fetch-Site")  # half the time of a look-up by str


def refuse_cross_site(
    method: str,
    headers: RequestHeaders,
    identity: Identity,
    public_origin: str,
    listed: frozenset[str] = frozenset(),
) -> None:
    """
    Refuse a state-changing request of a page of another site with the session cookie (CSRF).

    Browsers attach the cookie to forms of any page, and name the page's origin in ``Origin`` (RFC
    6454 section 7) or ``Sec-Fetch-Site`` (W3C Fetch Metadata). One of them must be present, and
    whichever is present must name our origin, or one that is ``listed``: the route trusts its pages
    with the cookie (CORS with credentials). The same holds for a JWT in a cookie or field that
    browsers send by themselves. They never attach a bearer token. They attach client certificates,
    but most of those belong to programs, which send neither field: both may be absent then.

    Raises `CrossSite`.
    """
    if not identity.method.is_sent_automatically or method in _SAFE_METHODS:
        return
    origins, sites = headers.getall(_ORIGIN, ()), headers.getall(_SITE, ())
    if listed and len(origins) == 1 and origins[0] in listed:
        return
    if not origins and not sites and identity.method != AuthMethod.CLIENT_CERTIFICATE:
        raise CrossSite(CrossSiteReason.ORIGIN_MISSING)
    _refuse_foreign(origins, sites, public_origin)


def refuse_foreign_upgrade(headers: RequestHeaders, identity: Identity, public_origin: str) -> None:
    """
    Refuse a WebSocket that a page of another site opens with the session cookie (CSWSH).

    Browsers let any page open one to any site, with GET and with the cookie, and always name the
    page's origin in ``Origin`` (RFC 6455 section 10.2). Other fields differ between browsers.

    Raises `CrossSite`.
    """
    origins = headers.getall(_ORIGIN, [])
    if identity.method == AuthMethod.CLIENT_CERTIFICATE and not origins:
        return
    if identity.method.is_sent_automatically and origins != [public_origin]:
        raise CrossSite(CrossSiteReason.UPGRADE_FOREIGN)


def refuse_foreign_page(headers: RequestHeaders, public_origin: str) -> None:
    """
    Refuse a request of a page of another site; requests of programs, without origin, pass.

    Raises `CrossSite`.
    """
    _refuse_foreign(headers.getall(_ORIGIN, ()), headers.getall(_SITE, ()), public_origin)


def _refuse_foreign(origins: Sequence[str], sites: Sequence[str], public_origin: str) -> None:
    """Raise `CrossSite` if one of ``origins`` or ``sites`` is not ours."""
    if origins.count(public_origin) < len(origins):
        raise CrossSite(CrossSiteReason.ORIGIN_FOREIGN)
    if sites.count("same-origin") < len(sites):
        raise CrossSite(CrossSiteReason.SITE_FOREIGN)

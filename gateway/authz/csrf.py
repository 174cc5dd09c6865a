"""May a page of another site use somebody's cookie?"""

from gateway.core.errors import CrossSite
from gateway.core.identity import AuthMethod, Identity
from gateway.core.reasons import CrossSiteReason
from gateway.core.request import RequestHeaders

_SENT_AUTOMATICALLY = frozenset({AuthMethod.SESSION, AuthMethod.CLIENT_CERTIFICATE})
"""What browsers send by themselves."""
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 section 9.2.1; TRACE is refused


def refuse_cross_site(
    method: str,
    headers: RequestHeaders,
    identity: Identity,
    public_origin: str,
    listed: frozenset[str] = frozenset(),
) -> None:
    """
    Refuse a state-changing request that a page of another site made with our cookie.

    Browsers send the cookie whoever wrote the form, and say who did in ``Origin`` (RFC 6454
    section 7) or ``Sec-Fetch-Site`` (W3C Fetch Metadata). One of them must be there, and whatever
    is there must speak of us, or of an origin that is ``listed``: whose pages the route trusts with
    it (CORS with credentials). A bearer token is never sent by a browser on its own. A certificate
    is, but mostly it is a program's, which says nothing of pages: it need not be ours, only not
    foreign.

    Raises `CrossSite`.
    """
    if identity.method not in _SENT_AUTOMATICALLY or method in _SAFE_METHODS:
        return
    if listed and len(headers.getall("Origin", ())) == 1 and headers["Origin"] in listed:
        return
    says_nothing = "Origin" not in headers and "Sec-Fetch-Site" not in headers
    if says_nothing and identity.method is AuthMethod.SESSION:
        raise CrossSite(CrossSiteReason.ORIGIN_MISSING)
    refuse_foreign_page(headers, public_origin)


def refuse_foreign_upgrade(headers: RequestHeaders, identity: Identity, public_origin: str) -> None:
    """
    Refuse a WebSocket that a page of another site opens with our cookie.

    Browsers let any page open one to any site, with GET and with the cookie, and always say in
    ``Origin`` which page did (RFC 6455 section 10.2). What else they say differs between them.

    Raises `CrossSite`.
    """
    origins = headers.getall("Origin", [])
    if identity.method is AuthMethod.CLIENT_CERTIFICATE and not origins:
        return
    if identity.method in _SENT_AUTOMATICALLY and origins != [public_origin]:
        raise CrossSite(CrossSiteReason.UPGRADE_FOREIGN)


def refuse_foreign_page(headers: RequestHeaders, public_origin: str) -> None:
    """
    Refuse what a page of another site sent; programs, which say nothing of a page, pass.

    Raises `CrossSite`.
    """
    if any(origin != public_origin for origin in headers.getall("Origin", ())):
        raise CrossSite(CrossSiteReason.ORIGIN_FOREIGN)
    if any(site != "same-origin" for site in headers.getall("Sec-Fetch-Site", ())):
        raise CrossSite(CrossSiteReason.SITE_FOREIGN)

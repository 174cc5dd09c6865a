"""May this caller use this route? For now: may a page of another site use somebody's cookie?"""

from multidict import CIMultiDictProxy

from gateway.errors import CrossSite
from gateway.messages import AuthMethod, Identity

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 section 9.2.1; TRACE is refused


def refuse_cross_site(
    method: str, headers: CIMultiDictProxy[str], identity: Identity, public_origin: str
) -> None:
    """
    Refuse a state-changing request that a page of another site made with our cookie.

    Browsers send the cookie whoever wrote the form, and say who did in ``Origin`` (RFC 6454
    section 7) or ``Sec-Fetch-Site`` (W3C Fetch Metadata). One of them must be there, and whatever
    is there must speak of us. A bearer token is never sent by a browser on its own.

    Raises `CrossSite`.
    """
    if identity.method is not AuthMethod.SESSION or method in _SAFE_METHODS:
        return
    origins = headers.getall("Origin", ())
    sites = headers.getall("Sec-Fetch-Site", ())
    if not origins and not sites:
        raise CrossSite("neither Origin nor Sec-Fetch-Site")
    if any(origin != public_origin for origin in origins):
        raise CrossSite("Origin is another site")
    if any(site != "same-origin" for site in sites):
        raise CrossSite("Sec-Fetch-Site is not same-origin")

"""Own pages under a name other than ``server.public_url``, where signing in cannot work."""

import logging
import time
from ipaddress import ip_address

from aiohttp import hdrs, web

from gateway.authz.csrf import refuse_foreign_page
from gateway.config.schema import Settings
from gateway.core.errors import BadHost, CrossSite
from gateway.core.ports import Clock
from gateway.routing.target import Authority, parse_authority

MOVED = "moved"
"""Parameter of a redirect to the public origin: behind a proxy that rewrites Host, no loop."""

_WARN_EVERY_S = 60.0
_DEFAULT_PORTS = {"http": 80, "https": 443}

_log = logging.getLogger(__name__)


class OwnOrigin:
    """
    The origin of the pages by one config.

    A page that was opened by another name of the gateway, such as ``127.0.0.1`` for ``localhost``,
    is another site to browsers and to the check of ``Origin``.
    """

    def __init__(self, settings: Settings, clock: Clock = time.monotonic) -> None:
        self._origin = settings.server.public_url
        self._is_development = settings.magic.mode == "development"
        self._clock = clock
        self._warned_s = float("-inf")

    def redirect(self, request: web.Request) -> web.Response | None:
        """
        Redirect a navigation to the public origin, in development mode and between loopback names.

        Open redirect: the origin is that of the config, and the path is the one that was asked for.
        """
        if not self._is_development or not _is_navigation(request) or MOVED in request.query:
            return None
        if not _is_other_loopback(request.host, self._origin):
            return None
        mark = "&" if request.query_string else "?"
        place = f"{self._origin}{request.raw_path}{mark}{MOVED}=1"
        return web.Response(status=303, headers={hdrs.LOCATION: place})

    def refuse_foreign_page(self, request: web.Request) -> None:
        """
        Refuse a request of a page of another site; see `gateway.authz.csrf.refuse_foreign_page`.

        If that page is our own by another name, the log says so: the config is to blame. Raises
        `CrossSite`.
        """
        try:
            refuse_foreign_page(request.headers, self._origin)
        except CrossSite:
            page = _own_page(request)
            if page is not None and self._clock() - self._warned_s >= _WARN_EVERY_S:
                self._warned_s = self._clock()
                _log.warning(
                    "signing in was refused: the page was opened at %s, and server.public_url is"
                    " %s; open that, or set server.public_url to the origin that browsers use",
                    page,
                    self._origin,
                )
            raise


def _is_navigation(request: web.Request) -> bool:
    modes = request.headers.getall("Sec-Fetch-Mode", ["navigate"])
    return request.method in ("GET", "HEAD") and modes == ["navigate"]


def _is_other_loopback(host: str, origin: str) -> bool:
    """
    Whether ``host`` and ``origin`` are two names of this machine.

    Another port alone is not enough: nothing may listen on that of the origin.
    """
    scheme, _, public = origin.partition("://")
    here, there = _authority(host, scheme), _authority(public, scheme)
    if here is None or there is None or here.host == there.host:
        return False
    return _is_loopback(here.host) and _is_loopback(there.host)


def _authority(text: str, scheme: str) -> Authority | None:
    try:
        found = parse_authority(text)
    except BadHost:
        return None
    return found if found.port else Authority(found.host, _DEFAULT_PORTS[scheme])


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")  # RFC 6761 section 6.3


def _own_page(request: web.Request) -> str | None:
    """Return the origin of the page that sent the request, if it is at the host it was sent to."""
    origin = request.headers.get(hdrs.ORIGIN, "")
    scheme, _, page = origin.partition("://")
    if scheme not in _DEFAULT_PORTS:
        return None
    here, there = _authority(request.host, scheme), _authority(page, scheme)
    return origin if here is not None and here == there else None

"""The files of the gateway's own pages: read once, named by their contents, cached for good."""

from collections.abc import Mapping
from functools import cache

from aiohttp import hdrs, web

from gateway.core.errors import NoRoute
from gateway.util.static_files import FOREVER, StaticFile, read_static, static_file, version_of

_SECURITY_FIELDS = {
    "X-Content-Type-Options": "nosniff",
    # For an SVG that is opened as a page of its own: it may hold scripts.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Assets:
    """All files of one config, under one version that changes with any of them."""

    def __init__(self, made: Mapping[str, bytes]) -> None:
        """``made`` are the files made from the config, by name, in addition to those on disk."""
        contents = {**packaged(), **made}
        self.version = version_of(contents)
        self._assets = {name: asset(name, body) for name, body in contents.items()}

    def serve(self, request: web.Request) -> web.Response:
        """
        Serve the file that the path names; for another version, without caching.

        A page asks for another version if it was made before a reload, or by another gateway of a
        rolling update. Raises `NoRoute`.
        """
        found = self._assets.get(request.match_info["name"])
        if found is None:
            raise NoRoute
        is_current = request.match_info["version"] == self.version
        return _answer(request, found, FOREVER if is_current else "no-store")

    def serve_renewal(self, request: web.Request) -> web.Response:
        """Serve the module that apps include by a name that never changes."""
        module = f'import "./{self.version}/renew.js";\n'.encode()
        return _answer(request, asset("renew.js", module), "no-cache")


@cache
def packaged() -> Mapping[str, bytes]:
    """Files of the package, by their path below ``static``."""
    return read_static("gateway.pages")


@cache
def asset(name: str, body: bytes) -> StaticFile:
    """Prepare the file ``name`` to be sent; cached across reloads."""
    return static_file(name, body)


def _answer(request: web.Request, found: StaticFile, cache_control: str) -> web.Response:
    return found.response(request, {**_SECURITY_FIELDS, hdrs.CACHE_CONTROL: cache_control})

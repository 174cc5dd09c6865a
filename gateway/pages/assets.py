"""The files of the gateway's own pages: read once, named by their contents, cached for good."""

import gzip
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from aiohttp import hdrs, web

from gateway.core.errors import NoRoute

_IMMUTABLE = "public, max-age=31536000, immutable"
_TYPES = {
    "css": "text/css; charset=utf-8",
    "jpeg": "image/jpeg",
    "js": "text/javascript; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "webp": "image/webp",
}
_NOT_SERVED = ("json", "LICENSE")
"""Endings of files that come with the package only."""

_SECURITY_FIELDS = {
    "X-Content-Type-Options": "nosniff",
    # For an SVG that is opened as a page of its own: it may hold scripts.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Asset(NamedTuple):
    """One file, ready to be sent."""

    body: bytes
    gzipped: bytes
    """``body`` as gzip; empty where that is not shorter."""
    content_type: str


class Assets:
    """
    All files of one config, under one version that changes with any of them.

    One version for all lets modules import each other by relative names.
    """

    def __init__(self, made: Mapping[str, bytes]) -> None:
        """``made`` are the files made from the config, by name, in addition to those on disk."""
        contents = {**packaged(), **made}
        digest = hashlib.sha256()
        for name in sorted(contents):
            digest.update(name.encode() + b"\0" + hashlib.sha256(contents[name]).digest())
        self.version = digest.hexdigest()[:16]
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
        return _answer(request, found, _IMMUTABLE if is_current else "no-store")

    def serve_renewal(self, request: web.Request) -> web.Response:
        """Serve the module that apps include by a name that never changes."""
        module = f'import "./{self.version}/renew.js";\n'.encode()
        return _answer(request, asset("renew.js", module), "no-cache")


@cache
def packaged() -> Mapping[str, bytes]:
    """Files of the package, by their path below ``static``."""
    return dict(_files_below(files("gateway.pages").joinpath("static"), ""))


def _files_below(folder: Traversable, path: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _files_below(entry, f"{path}{entry.name}/")
        elif not entry.name.endswith(_NOT_SERVED):
            found.append((path + entry.name, entry.read_bytes()))
    return found


@cache
def asset(name: str, body: bytes) -> Asset:
    """Prepare the file ``name`` to be sent; cached across reloads."""
    gzipped = gzip.compress(body, mtime=0)
    return Asset(
        body,
        gzipped if len(gzipped) < len(body) else b"",
        _TYPES[name.rpartition(".")[2]],
    )


def _answer(request: web.Request, found: Asset, cache_control: str) -> web.Response:
    fields = {
        **_SECURITY_FIELDS,
        hdrs.CONTENT_TYPE: found.content_type,
        hdrs.CACHE_CONTROL: cache_control,
    }
    if not found.gzipped:
        return web.Response(body=found.body, headers=fields)
    fields[hdrs.VARY] = hdrs.ACCEPT_ENCODING
    if "gzip" not in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        return web.Response(body=found.body, headers=fields)
    fields[hdrs.CONTENT_ENCODING] = "gzip"
    return web.Response(body=found.gzipped, headers=fields)

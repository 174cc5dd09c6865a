"""The files of the gateway's own pages: read once, named by what is in them, kept for good."""

import gzip
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from aiohttp import hdrs, web

from gateway.core.errors import NoRoute

_FOR_GOOD = "public, max-age=31536000, immutable"
_TYPES = {
    "css": "text/css; charset=utf-8",
    "jpeg": "image/jpeg",
    "js": "text/javascript; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "webp": "image/webp",
}
_LEFT_OUT = ("json", "LICENSE")
"""They come with the package, not with the pages."""

_SAFE = {
    "X-Content-Type-Options": "nosniff",
    # For an SVG that somebody opens by itself: it may hold scripts.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Asset(NamedTuple):
    """One file."""

    body: bytes
    packed: bytes
    """``body`` as gzip; empty where that is not shorter."""
    content_type: str


class Assets:
    """
    All files of one config, under a name that changes with any of them.

    One name for all of them lets modules import each other by relative names.
    """

    def __init__(self, made: Mapping[str, bytes]) -> None:
        """``made`` are the files that follow from the config, by name, beside those on disk."""
        contents = {**packaged(), **made}
        seen = hashlib.sha256()
        for name in sorted(contents):
            seen.update(name.encode() + b"\0" + hashlib.sha256(contents[name]).digest())
        self.version = seen.hexdigest()[:16]
        self._assets = {name: asset(name, body) for name, body in contents.items()}

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """The files, and the one module that apps include by a name that stays."""
        return [
            web.get(f"{prefix}/static/renew.js", self._renewal),
            web.get(prefix + "/static/{version}/{name:.+}", self._serve),
        ]

    async def _serve(self, request: web.Request) -> web.Response:
        """
        The file by its name; for a page of another version it is not to be kept.

        Such pages were made before a reload, or by another gateway while versions change.
        """
        found = self._assets.get(request.match_info["name"])
        if found is None:
            raise NoRoute
        is_current = request.match_info["version"] == self.version
        return _answer(request, found, _FOR_GOOD if is_current else "no-store")

    async def _renewal(self, request: web.Request) -> web.Response:
        module = f'import "./{self.version}/renew.js";\n'.encode()
        return _answer(request, asset("renew.js", module), "no-cache")


@cache
def packaged() -> Mapping[str, bytes]:
    """The files that the package brings, by their path below ``static``."""
    return dict(_below(files("gateway.pages").joinpath("static"), ""))


def _below(folder: Traversable, path: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _below(entry, f"{path}{entry.name}/")
        elif not entry.name.endswith(_LEFT_OUT):
            found.append((path + entry.name, entry.read_bytes()))
    return found


@cache
def asset(name: str, body: bytes) -> Asset:
    """The file ``name``, ready to be sent; made once in a process, whatever is reloaded."""
    packed = gzip.compress(body, mtime=0)
    return Asset(
        body,
        packed if len(packed) < len(body) else b"",
        _TYPES[name.rpartition(".")[2]],
    )


def _answer(request: web.Request, found: Asset, cache_control: str) -> web.Response:
    fields = {**_SAFE, hdrs.CONTENT_TYPE: found.content_type, hdrs.CACHE_CONTROL: cache_control}
    if not found.packed:
        return web.Response(body=found.body, headers=fields)
    fields[hdrs.VARY] = hdrs.ACCEPT_ENCODING
    if "gzip" not in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        return web.Response(body=found.body, headers=fields)
    fields[hdrs.CONTENT_ENCODING] = "gzip"
    return web.Response(body=found.packed, headers=fields)

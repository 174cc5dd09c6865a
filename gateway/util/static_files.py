"""Static files of a package: read once, named by their contents, and compressed for browsers."""

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

from aiohttp import hdrs, web

FOREVER: Final = "public, max-age=31536000, immutable"
"""``Cache-Control`` of a file whose address has the version of its contents (RFC 8246)."""
_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "jpeg": "image/jpeg",
    "js": "text/javascript; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "webp": "image/webp",
}
_NOT_SERVED: Final = ("json", "LICENSE")
"""Endings of files that come with the package only."""


class StaticFile(NamedTuple):
    """One file, ready to be sent."""

    body: bytes
    gzipped: bytes
    """``body`` as gzip; empty where that is not shorter."""
    content_type: str

    def response(
        self, request: web.Request, fields: Mapping[str, str], status: int = 200
    ) -> web.Response:
        """Return the answer that has the file, as gzip where that is shorter and accepted."""
        headers = {**fields, hdrs.CONTENT_TYPE: self.content_type}
        if not self.gzipped:
            return web.Response(status=status, body=self.body, headers=headers)
        headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
        if "gzip" not in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
            return web.Response(status=status, body=self.body, headers=headers)
        headers[hdrs.CONTENT_ENCODING] = "gzip"
        return web.Response(status=status, body=self.gzipped, headers=headers)


def static_file(name: str, body: bytes) -> StaticFile:
    """Prepare the file ``name`` to be sent; its ending says what it holds."""
    gzipped = gzip.compress(body, mtime=0)
    content_type = _TYPES[name.rpartition(".")[2]]
    return StaticFile(body, gzipped if len(gzipped) < len(body) else b"", content_type)


def read_static(package: str) -> dict[str, bytes]:
    """Read the files in the folder ``static`` of a package, by their path below it."""
    return dict(_below(files(package).joinpath("static"), ""))


def version_of(contents: Mapping[str, bytes]) -> str:
    """
    Name files by their contents: the name changes with any of them.

    One version for all lets modules import each other by relative names.
    """
    digest = hashlib.sha256()
    for name in sorted(contents):
        digest.update(name.encode() + b"\0" + hashlib.sha256(contents[name]).digest())
    return digest.hexdigest()[:16]


def _below(folder: Traversable, path: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _below(entry, f"{path}{entry.name}/")
        elif not entry.name.endswith(_NOT_SERVED):
            yield path + entry.name, entry.read_bytes()

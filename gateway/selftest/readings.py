"""How apps read a target: each lenient reading of a path, by what an app does to get it."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import parse_qs, unquote

_EXTENSION: Final = re.compile(r"\.(?:json|html|xml|css|js|action|do)(?=/|$)")
_SCRIPT: Final = re.compile(r"(.*?/[^/]+\.(?:php\d?|cgi|pl|py|asp|aspx|jsp|cfm))/.*")
_TRAILING: Final = re.compile(r"(?:\.|%20|%2E| )+(?=/|$)", re.IGNORECASE)
_PARAMETERS: Final = re.compile(r";[^/]*")


class Reading(NamedTuple):
    """What an app may take a request for."""

    way: str
    """What the app does; a finding's code ends in it."""
    method: str
    path: str


def readings(method: str, target: str) -> Iterator[Reading]:
    """Yield all readings of a request line, the plain one first."""
    path, _, query = target.partition("?")
    plain = unquote(path.replace("%2F", "%252F").replace("%5C", "%255C"))
    yield Reading("", method, plain)
    overriding = parse_qs(query).get("_method", ())
    if method == "POST" and overriding:
        yield Reading("method-override", overriding[0].upper(), plain)
    for way, read in _ways(path, plain):
        tidy = _tidied(read)
        if tidy != plain:
            yield Reading(way, method, tidy)


def _ways(path: str, plain: str) -> Iterator[tuple[str, str]]:
    yield "dot-segments", plain
    yield "encoded-slash", unquote(path.replace("%5C", "%255C"))
    yield "backslash", unquote(path).replace("\\", "/")
    yield "double-decoding", unquote(unquote(path))
    yield "parameters", _PARAMETERS.sub("", plain)
    yield "case", plain.lower()
    yield "unicode-folding", unicodedata.normalize("NFKC", plain)
    yield "suffix", _EXTENSION.sub("", plain)
    yield "trailing-dot", _TRAILING.sub("", plain)
    if script := _SCRIPT.fullmatch(plain):
        yield "path-info", script[1]


def _tidied(path: str) -> str:
    """Resolve dot segments and empty segments, as apps do."""
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    end = "/" if path.endswith("/") and kept else ""
    return "/" + "/".join(kept) + end

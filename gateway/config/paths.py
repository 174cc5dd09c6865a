"""
Parsers of paths. They accept canonical paths only, because requests are compared in that form.

Other paths are refused instead of corrected: a route that never matches, or that matches other
requests than intended, is a security hole.
"""

from typing import Annotated

from pydantic import WithJsonSchema

from gateway.config.units import of_text
from gateway.core.errors import BadTarget
from gateway.routing.target import canonical_target


def path(text: str) -> str:
    """Check an exact, canonical path. Raises `ValueError`."""
    if not text.startswith("/"):
        raise ValueError("expected a path that starts with /")
    if set("?#*") & set(text):
        raise ValueError("expected a path without ? and #, and with * only as its last segment")
    try:
        canonical = canonical_target(text).path
    except BadTarget as refusal:
        raise ValueError(f"no request can have this path: {refusal.reason}") from None
    if canonical != text:
        raise ValueError("expected a path that escapes only what it must, as %XX in upper case")
    return text


def route_path(text: str) -> str:
    """Check an exact path, or a prefix that ends in ``/*``. Raises `ValueError`."""
    path(text.removesuffix("*") if text.endswith("/*") else text)
    return text


def prefix(text: str) -> str:
    """Check a path without a slash at its end. Raises `ValueError`."""
    if path(text).endswith("/"):
        raise ValueError("expected a path such as /_gateway, without / at its end")
    return text


def path_start(text: str) -> str:
    """Parse the beginning of a path like `prefix`; ``/`` becomes empty. Raises `ValueError`."""
    return prefix(text) if text != "/" else ""


def is_under(route: str, pages: str) -> bool:
    """Whether all paths that ``route`` matches lie under the prefix ``pages``."""
    return f"{route.removesuffix('/*')}/".startswith(f"{pages}/")


RoutePath = Annotated[
    str,
    of_text(route_path),
    WithJsonSchema({"type": "string", "pattern": "^/", "examples": ["/healthz", "/assets/*"]}),
]
"""An exact path, or a prefix that ends in ``/*``."""

Prefix = Annotated[str, of_text(prefix), WithJsonSchema({"type": "string", "pattern": "^/."})]
"""A path without a slash at its end."""

CanonicalPath = Annotated[str, of_text(path), WithJsonSchema({"type": "string", "pattern": "^/"})]
"""One exact path."""

PathStart = Annotated[str, of_text(path_start), WithJsonSchema({"type": "string", "pattern": "^/"})]
"""A path without a slash at its end; empty for ``/``."""

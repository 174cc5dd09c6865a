"""
Paths in the config: they are compared with canonical ones, so they must be canonical themselves.

A route whose path can never be matched, or is matched by something else than its author meant, is
a hole; such a path is refused, not repaired.
"""

from typing import Annotated

from pydantic import WithJsonSchema

from gateway.config.units import of_text
from gateway.core.errors import BadTarget
from gateway.routing.target import canonical_target


def path(text: str) -> str:
    """An exact, canonical path. Raises `ValueError`."""
    if not text.startswith("/"):
        raise ValueError("expected a path that starts with /")
    if set("?#*") & set(text):
        raise ValueError("expected a path without ? and #, and with * only as its last segment")
    try:
        canonical = canonical_target(text).path
    except BadTarget as refusal:
        raise ValueError(f"no request can have this path: {refusal.reason}") from None
    if canonical != text:
        raise ValueError("expected a path that escapes only what must be, as %XX in upper case")
    return text


def route_path(text: str) -> str:
    """An exact path, or one that ends in ``/*`` for everything below. Raises `ValueError`."""
    path(text.removesuffix("*") if text.endswith("/*") else text)
    return text


def prefix(text: str) -> str:
    """Where the gateway's own pages are. Raises `ValueError`."""
    if path(text).endswith("/"):
        raise ValueError("expected a path such as /_gateway, without / at its end")
    return text


def path_start(text: str) -> str:
    """What a path may begin with: like `prefix`, and empty for ``/``. Raises `ValueError`."""
    return prefix(text) if text != "/" else ""


def is_under(route: str, pages: str) -> bool:
    """Whether all that ``route`` matches belongs to the pages at the prefix ``pages``."""
    return f"{route.removesuffix('/*')}/".startswith(f"{pages}/")


RoutePath = Annotated[
    str,
    of_text(route_path),
    WithJsonSchema({"type": "string", "pattern": "^/", "examples": ["/healthz", "/assets/*"]}),
]
"""An exact path, or a prefix that ends in ``/*``."""

Prefix = Annotated[str, of_text(prefix), WithJsonSchema({"type": "string", "pattern": "^/."})]
"""A path without slash at its end."""

CanonicalPath = Annotated[str, of_text(path), WithJsonSchema({"type": "string", "pattern": "^/"})]
"""One path."""

PathStart = Annotated[str, of_text(path_start), WithJsonSchema({"type": "string", "pattern": "^/"})]
"""A path without slash at its end; empty for ``/``."""

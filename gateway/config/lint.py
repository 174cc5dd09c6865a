"""What is allowed, and probably not meant."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from gateway.config.addresses import is_loopback, is_loopback_http
from gateway.config.schema import RouteSettings, Settings
from gateway.messages import Auth


class Finding(NamedTuple):
    """A warning. ``code`` is stable: programs may know it."""

    code: str
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message} [{self.code}]"


Found = Iterator[tuple[str, str]]
"""Keys, and what is odd about them."""


def _routes(settings: Settings) -> Iterator[tuple[str, RouteSettings]]:
    return (
        (f"routes[{place}] ({route.name})", route) for place, route in enumerate(settings.routes)
    )


def _public_with_credentials(settings: Settings) -> Found:
    for key, route in _routes(settings):
        if route.auth is Auth.NONE and route.forward_credentials:
            yield key, "a public route passes on credentials that nobody has checked"


def _checked_without_limit(settings: Settings) -> Found:
    for key, route in _routes(settings):
        limited = route.limits or (route.limits is None and "default" in settings.limits)
        if route.auth is not Auth.NONE and not limited:
            yield key, "without a limit anyone may have signatures checked as fast as they can send"


def _public_by_default(settings: Settings) -> Found:
    for key, route in _routes(settings):
        if route.auth is Auth.NONE and route.match.path == "/*":
            yield key, "whatever no other route names is public, pages of tomorrow included"


def _secrets_in_the_clear(settings: Settings) -> Found:
    if settings.magic.mode == "live" and settings.server.public_url.startswith("http:"):
        yield "server.public_url", "over http, cookies and tokens can be read on the way"
    api_url = settings.magic.api_url or "https:"
    if api_url.startswith("http:") and not is_loopback_http(api_url):
        yield "magic.api_url", "over http, the secret key can be read on the way"


def _admin_for_everybody(settings: Settings) -> Found:
    if settings.admin and not is_loopback(settings.admin.listen.host):
        yield "admin.listen", "not on loopback: see that only your own machines can reach it"


LINTS: tuple[tuple[str, Callable[[Settings], Found]], ...] = (
    ("public-with-credentials", _public_with_credentials),
    ("checked-without-limit", _checked_without_limit),
    ("public-by-default", _public_by_default),
    ("secrets-in-the-clear", _secrets_in_the_clear),
    ("admin-for-everybody", _admin_for_everybody),
)


def lint(settings: Settings) -> tuple[Finding, ...]:
    """What an operator should look at twice."""
    return tuple(
        Finding(code, key, message) for code, look in LINTS for key, message in look(settings)
    )

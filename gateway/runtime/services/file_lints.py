"""
Lints of the files that a config names: they are opened, as a start would.

Files that cannot be used are errors, which `gateway.runtime.services.files` reports.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509

from gateway.config.lint_rules import LintFindings, routes
from gateway.config.problems import KeyPath
from gateway.config.schema import Settings
from gateway.core.errors import StartError
from gateway.proxy.downstream.tls import names_in
from gateway.runtime.services.listeners import server_files
from gateway.sessions.places import PlaceDatabase

_SOON_S = 30 * 86_400.0

FileLint = Callable[[Settings, float], LintFindings]
"""Takes the time, in seconds since the Unix epoch."""


class _Named(NamedTuple):
    """A file of certificates, and the key that names it."""

    key: KeyPath
    path: str
    is_authority: bool = False
    """Whether it may hold several authorities, of which one that is valid is enough."""


def _named(settings: Settings) -> Iterator[_Named]:
    tls = settings.server.tls
    if tls is not None:
        at = ("server", "tls")
        if tls.certificate is not None:
            yield _Named((*at, "certificate"), tls.certificate)
        for place, pair in enumerate(tls.certificates):
            yield _Named((*at, "certificates", place, "certificate"), pair.certificate)
        if tls.client_ca is not None:
            yield _Named((*at, "client_ca"), tls.client_ca, is_authority=True)
    if settings.admin is not None and settings.admin.tls is not None:
        private = settings.admin.tls
        yield _Named(("admin", "tls", "certificate"), private.certificate)
        yield _Named(("admin", "tls", "client_ca"), private.client_ca or "", is_authority=True)
    sections = [(("upstreams", name, "tls"), app.tls) for name, app in settings.upstreams.items()]
    for key, client in sections:
        yield _Named((*key, "certificate"), client.certificate)
        yield _Named((*key, "ca"), client.ca, is_authority=True)
    if settings.redis.tls is not None:
        yield _Named(("redis", "tls", "certificate"), settings.redis.tls.certificate)
        yield _Named(("redis", "tls", "ca"), settings.redis.tls.ca, is_authority=True)


def _certificates_that_expire(settings: Settings, now_s: float) -> LintFindings:
    for file in _named(settings):
        ends_s = [each.not_valid_after_utc.timestamp() for each in _read(file.path)]
        if not ends_s:
            continue
        end_s = max(ends_s) if file.is_authority else min(ends_s)
        if end_s < now_s + _SOON_S:
            yield file.key, _told(end_s, now_s), "renew it"


def _read(path: str) -> list[x509.Certificate]:
    """Read the certificates of a file; none where it cannot be used, which is an error already."""
    try:
        return x509.load_pem_x509_certificates(Path(path).read_bytes()) if path else []
    except (OSError, ValueError):
        return []


def _told(end_s: float, now_s: float) -> str:
    day = datetime.fromtimestamp(end_s, UTC).date().isoformat()
    if end_s <= now_s:
        return f"has expired, on {day}"
    return f"expires in {int((end_s - now_s) // 86_400)} days, on {day}"


def _hosts_without_a_certificate(settings: Settings, _now_s: float) -> LintFindings:
    files = server_files(settings.server.tls)
    if files is None or settings.server.trusted_proxies:  # a proxy in front may verify no name
        return
    try:
        names = {name for pair in files.pairs for name in names_in(pair.certificate)}
    except StartError:
        return
    for key, route in routes(settings):
        host = route.match.host
        if host is not None and "[" not in host and not _is_named(host, names):
            yield (
                (*key, "match", "host"),
                "no certificate of server.tls has this name, so TLS clients refuse it",
                "add a certificate that names it",
            )


def _is_named(host: str, names: set[str]) -> bool:
    """Whether one of ``names`` is for ``host``, or for a host that such a wildcard matches."""
    if host.startswith("*."):
        return any(name.endswith(host[1:]) for name in names)
    return host in names or f"*.{host.partition('.')[2]}" in names or host.isdecimal()


def _places_without_names(settings: Settings, _now_s: float) -> LintFindings:
    try:
        with PlaceDatabase(settings.pages.places) as places:
            has_names = places.has_names()
    except StartError:  # is told as an unusable file
        return
    if settings.pages.places and not has_names:
        yield (
            ("pages", "places"),
            "names no city and no country, so no session has a place",
            "take a database such as GeoLite2-City",
        )


FILE_LINTS: tuple[tuple[str, FileLint], ...] = (
    ("certificate-expires", _certificates_that_expire),
    ("host-never-comes", _hosts_without_a_certificate),
    ("places-without-names", _places_without_names),
)
"""Codes and functions, in the order of the report."""

"""Open the files that a config names, as a start would: for `gateway check`."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from gateway.config.problems import KeyPath, Problem, dotted
from gateway.config.schema import Settings
from gateway.core.errors import StartError
from gateway.pages.branding import logo
from gateway.pages.error_pages import template_faults
from gateway.proxy.downstream.tls import CertificateFiles, ServerTls, ServerTlsFiles
from gateway.ratelimit.list_file import read_file
from gateway.runtime.services.limits import list_files
from gateway.runtime.services.listeners import admin_files, server_files
from gateway.runtime.services.store import store_options
from gateway.runtime.services.upstreams import client_tls
from gateway.sessions.places import PlaceDatabase
from gateway.store.server import access_of

UNUSABLE = "unusable-file"
"""The code of all that is found here."""

FAULTY = "faulty-template"
"""The code of what is found in templates of pages."""

_TLS, _ADMIN_TLS = ("server", "tls"), ("admin", "tls")


def unusable_files(settings: Settings) -> Iterator[Problem]:
    """Find files with which the gateway would not start: missing, unreadable, or not fitting."""
    yield from _server_tls(settings)
    yield from _admin_tls(settings)
    yield from _upstream_tls(settings)
    yield from _store_files(settings)
    yield from _tried(("login", "logo"), partial(logo, settings.login.logo))
    yield from _tried(("pages", "places"), lambda: PlaceDatabase(settings.pages.places).close())
    for limit, kind, place, path in list_files(settings):
        yield from _tried(("limits", limit, kind.value, place), partial(read_file, path))


def faulty_templates(settings: Settings) -> Iterator[Problem]:
    """Find templates of pages with which the gateway would not start, with file and line."""
    if not settings.pages.templates:
        return
    at = ("pages", "templates")
    for fault in template_faults(settings):
        yield Problem(at, fault.removeprefix(f"{dotted(at)}: "), code=FAULTY)


def unreadable_key_sets(settings: Settings) -> Iterator[Problem]:
    """Find key sets of JWT issuers that cannot be read: their tokens are refused until they can."""
    for place, entry in enumerate(settings.credentials.jwt):
        if entry.jwks_file is not None:
            yield from _readable(("credentials", "jwt", place, "jwks_file"), entry.jwks_file)


def _server_tls(settings: Settings) -> Iterator[Problem]:
    tls, files = settings.server.tls, server_files(settings.server.tls)
    if tls is None or files is None:
        return
    places: list[KeyPath] = [_TLS] if tls.certificate is not None else []
    places += [(*_TLS, "certificates", place) for place, _ in enumerate(tls.certificates)]
    yield from _tls_files(_TLS, places, files)


def _admin_tls(settings: Settings) -> Iterator[Problem]:
    if settings.admin is not None and settings.admin.tls is not None:
        yield from _tls_files(_ADMIN_TLS, [_ADMIN_TLS], admin_files(settings.admin.tls))


def _tls_files(at: KeyPath, places: Sequence[KeyPath], files: ServerTlsFiles) -> Iterator[Problem]:
    """Find problems of the pairs at ``places``, and of the CA below ``at``."""
    found = [
        problem
        for place, pair in zip(places, files.pairs, strict=True)
        for problem in _pair(place, pair)
    ]
    if files.client_ca is not None:
        found += _readable((*at, "client_ca"), files.client_ca)
    yield from found
    if not found:
        yield from _tried((*at, "client_ca"), partial(ServerTls, files))


def _pair(at: KeyPath, pair: CertificateFiles) -> list[Problem]:
    """Problems of a certificate and its key."""
    found = [
        *_readable((*at, "certificate"), pair.certificate),
        *_readable((*at, "key"), pair.key),
    ]
    alone = ServerTlsFiles((pair,), None)
    return found or list(_tried((*at, "certificate"), partial(ServerTls, alone)))


def _upstream_tls(settings: Settings) -> Iterator[Problem]:
    for name, entry in settings.upstreams.items():
        at, tls = ("upstreams", name, "tls"), entry.tls
        named = {"ca": tls.ca, "certificate": tls.certificate, "key": tls.key}
        found = [
            problem
            for key, path in named.items()
            if path
            for problem in _readable((*at, key), path)
        ]
        yield from found or _tried(at, partial(client_tls, entry))


def _store_files(settings: Settings) -> Iterator[Problem]:
    redis = settings.redis
    named: list[tuple[KeyPath, str]] = [
        (("redis", "username_file"), redis.username_file),
        (("redis", "password_file"), redis.password_file),
        (("redis", "sentinel", "username_file"), redis.sentinel.username_file),
        (("redis", "sentinel", "password_file"), redis.sentinel.password_file),
    ]
    if redis.tls is not None:
        files = redis.tls.model_dump(include={"ca", "certificate", "key"})
        named += [(("redis", "tls", key), path) for key, path in files.items()]
    found = [problem for at, path in named if path for problem in _readable(at, path)]
    options = store_options(redis.url.get_secret_value(), settings)
    yield from found or _tried(("redis",), partial(access_of, options))


def _readable(at: KeyPath, path: str) -> Iterator[Problem]:
    try:
        with Path(path).open("rb"):
            return
    except OSError as error:
        yield _unusable(at, f"{path}: {(error.strerror or 'unreadable').lower()}")


def _tried(at: KeyPath, load: Callable[[], object]) -> Iterator[Problem]:
    try:
        load()
    except StartError as error:
        yield _unusable(at, str(error).removeprefix(f"{dotted(at)}: "))


def _unusable(at: KeyPath, message: str) -> Problem:
    return Problem(
        at,
        message,
        code=UNUSABLE,
        default_remedy="name a file that the gateway can read and use",
    )

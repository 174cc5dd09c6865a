"""Header fields: whether a client can write what an app takes for the word of a gateway."""

from collections.abc import Iterator
from typing import Final

from gateway.config.schema import RouteSettings
from gateway.core.route import Auth
from gateway.headers.fields import normalise_name
from gateway.headers.foreign import FOREIGN_ADDRESSES
from gateway.headers.internal import INTERNAL_CLIENT
from gateway.headers.request import AUTH_METHOD, DEFAULT_IDENTITY_NAMES, INTERNAL_IDENTITY
from gateway.runtime.services.authn import credential_cookies, credential_headers
from gateway.selftest.callers import CallerProof, wanted
from gateway.selftest.corpus.lines import FOREIGN_NAMES
from gateway.selftest.trial import ConfigTrial

FORGED: Final = "forged-by-selftest"
_OF_GATEWAY: Final = (AUTH_METHOD, INTERNAL_IDENTITY, INTERNAL_CLIENT)
_OVERRIDES: Final = (
    *("X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-Method-Override"),
    *("X-HTTP-Method", "X-Original-URI", "X-Original-Method", "Proxy"),
)
_AT_ONCE: Final = 12
"""Forged fields in one request: heads are limited in number of fields."""


async def attack_fields(trial: ConfigTrial) -> None:
    """Forge identity fields, and those of other gateways, on every route that can be reached."""
    pairs = zip(trial.settings.routes, trial.lab.settings.routes, strict=True)
    for route, under_test in pairs:
        if route.upstream is None:
            continue
        by = await _let_through(trial, route, under_test)
        names = list(dict.fromkeys(_names(trial)))
        for start in range(0, len(names), _AT_ONCE):
            lines = [f"{name}: {FORGED}" for name in names[start : start + _AT_ONCE]]
            await _forge(trial, route, by, lines)
        if route.auth is Auth.NONE:
            await _unchecked(trial, route)


async def _let_through(
    trial: ConfigTrial, route: RouteSettings, under_test: RouteSettings
) -> CallerProof:
    """Return what gets a request to ``route`` past the gateway, as far as anything does."""
    if route.auth is not Auth.REQUIRED:
        return CallerProof(())
    for caller in wanted(trial.lab.settings, trial.lab.people.emails, under_test):
        for credential in await trial.callers.all_of(caller):
            if (await trial.ask(route, by=credential, method=caller.method)).arrived:
                return credential
    return CallerProof(())


def _names(trial: ConfigTrial) -> Iterator[str]:
    """Yield the names of fields to forge, in the spellings that apps read alike."""
    identity = trial.settings.identity
    own = [*identity.headers.model_dump().values(), *sorted(DEFAULT_IDENTITY_NAMES), *_OF_GATEWAY]
    if identity.assertion is not None:
        own.append(identity.assertion.header)
    for name in own:
        yield from (name, name.replace("-", "_"), name.upper().replace("-", "."), name.lower())
    yield from FOREIGN_NAMES
    yield from sorted(FOREIGN_ADDRESSES)
    yield from _OVERRIDES


async def _forge(
    trial: ConfigTrial, route: RouteSettings, by: CallerProof, lines: list[str]
) -> None:
    own = {normalise_name(name) for name in trial.settings.identity.headers.model_dump().values()}
    own |= {normalise_name(name) for name in (*DEFAULT_IDENTITY_NAMES, *_OF_GATEWAY)}
    done = await trial.ask(route, *lines, by=by)
    for arrived in done.arrived:
        for name, value in arrived.fields:
            if FORGED in value:
                code, what = _kind(normalise_name(name), own)
                message = f"{name}, in which apps read {what}, arrives as the client wrote it"
                trial.found(code, route.name, message, done, arrived)


def _kind(name: str, own: set[str]) -> tuple[str, str]:
    if name in own:
        return "identity-forged", "the identity of the caller"
    if name in FOREIGN_ADDRESSES:
        return "foreign-address-passed", "the address of the client"
    if name in {normalise_name(each) for each in _OVERRIDES}:
        return "override-passed", "another path or method"
    return "foreign-identity-passed", "the identity that another gateway tells"


async def _unchecked(trial: ConfigTrial, route: RouteSettings) -> None:
    """Send credentials that nothing has verified to a public route."""
    settings = trial.lab.settings
    cookies = (settings.session.cookie, *credential_cookies(settings))
    lines = [
        f"Authorization: Bearer {FORGED}",
        f"Cookie: {'; '.join(f'{name}={FORGED}' for name in cookies)}",
        *(f"{name}: {FORGED}" for name in credential_headers(settings)),
    ]
    for line in lines:
        done = await trial.ask(route, line)
        for arrived in done.arrived:
            if any(FORGED in value for _, value in arrived.fields):
                name = line.partition(":")[0]
                message = f"{name} arrives unverified: an app may act by what it says"
                trial.found("credentials-unchecked", route.name, message, done, arrived)

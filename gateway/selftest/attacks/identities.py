"""Identities: whether a stranger can become a person, or gain a role, that rules tell apart."""

from collections.abc import Iterator
from typing import Final

from gateway.config.schema import RouteSettings
from gateway.core.identity import AuthMethod
from gateway.core.route import Auth
from gateway.selftest.callers import CallerProof
from gateway.selftest.lab import Exchanged
from gateway.selftest.trial import ConfigTrial

PUBLIC_MAIL: Final = (
    *("gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "yahoo.com", "icloud.com"),
    *("gmx.de", "gmx.net", "web.de", "proton.me", "aol.com", "mail.ru", "qq.com", "163.com"),
)
"""Domains at which anyone can have an address."""


async def attack_identities(trial: ConfigTrial) -> None:
    """Sign in as strangers that a rule may take for others."""
    for route in trial.forwarding:
        if route.auth is Auth.NONE:
            continue
        await _public_mail(trial, route)
        await _other_addresses(trial, route)
    await _unverified_emails(trial)


async def _public_mail(trial: ConfigTrial, route: RouteSettings) -> None:
    """Be anyone with an address of a free mail service, where a rule keeps others out."""
    if route not in trial.closed_to_strangers:
        return
    for domain in PUBLIC_MAIL:
        by = await _person(trial, route, f"stranger-of-selftest@{domain}")
        done = await trial.ask(route, by=by)
        if done.arrived:
            message = f"a rule lets in all of {domain}, where anyone can have an address"
            trial.found("open-to-public-mail", route.name, message, done, done.arrived[0])


async def _other_addresses(trial: ConfigTrial, route: RouteSettings) -> None:
    """Evade a deny rule by another address of the same mailbox."""
    for rule in route.deny or ():
        for email in sorted(rule.emails or ()):
            local, _, domain = email.partition("@")
            if local == "*" or (await _asked_as(trial, route, email)).arrived:
                continue
            done = await _asked_as(trial, route, f"{local}+selftest@{domain}")
            if done.arrived:
                message = f"{email} is refused, and gets in by another address of the mailbox"
                trial.found("deny-evaded", route.name, message, done, done.arrived[0])


async def _asked_as(trial: ConfigTrial, route: RouteSettings, email: str) -> Exchanged:
    return await trial.ask(route, by=await _person(trial, route, email))


async def _person(trial: ConfigTrial, route: RouteSettings, email: str) -> CallerProof:
    """Sign in as ``email``, in the way that ``route`` takes."""
    if AuthMethod.DID_TOKEN in route.accept:
        return trial.callers.bearer(email)
    return await trial.callers.cookie(email)


async def _unverified_emails(trial: ConfigTrial) -> None:
    """Gain a role by an address of which the issuer of a JWT does not say that it was verified."""
    emails = list(_emails_with_roles(trial))
    route = _takes_jwts(trial)
    if route is None:
        return
    for place, issuer in enumerate(trial.settings.credentials.jwt):
        for email in emails if issuer.claims.email else ():
            by = trial.callers.jwt(place, {issuer.claims.email: email})
            done = await trial.ask(route, by=by)
            for arrived in done.arrived:
                if arrived.values(trial.settings.identity.headers.roles):
                    message = f"{issuer.issuer} need not say that {email} was verified"
                    trial.found("role-by-unverified-email", route.name, message, done, arrived)


def _emails_with_roles(trial: ConfigTrial) -> Iterator[str]:
    for grant in trial.settings.identity.roles:
        yield from (email.replace("*", "selftest") for email in sorted(grant.emails or ()))
        yield from (
            f"selftest@{domain.replace('*', 'selftest')}" for domain in sorted(grant.domains or ())
        )


def _takes_jwts(trial: ConfigTrial) -> RouteSettings | None:
    """Return a route that takes JWTs of any caller."""
    found = (
        route
        for route in trial.forwarding
        if route.auth is not Auth.NONE and AuthMethod.JWT in route.accept and not route.allow
    )
    return next(found, None)

"""
Enforcement of the ``allow:`` and ``deny:`` rules of routes.

A rule is a conjunction: all of its keys must hold, each for any of its values. A route's ``deny``
wins over its ``allow``. With an ``allow``, a caller that matches none of its rules is refused. The
part of a rule about the caller is evaluated once for each `Identity` object.
"""

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import NamedTuple

from gateway.core.errors import Forbidden, Refusal, Unauthenticated
from gateway.core.identity import Identity, User
from gateway.core.reasons import ForbiddenReason, UnauthenticatedReason
from gateway.core.request import Client
from gateway.core.route import Route, Rule
from gateway.util.by_identity import ByIdentity

_MAX_CACHED = 4096
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_DID = "did:ethr:0x"

# An address without quotes: RFC 5321 section 4.1.2, with the characters of RFC 6531.
_MAILBOX = re.compile(
    r"([^\x00-\x20\x7f-\xa0\"(),:;<>@\[\\\]]{1,256})@((?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*"
    r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)"
)


class Mailbox(NamedTuple):
    """An email address, in lower case."""

    local: str
    domain: str


def lower(text: str) -> str:
    """Lower ASCII letters alone: the Kelvin sign is no ``k``."""
    return text.translate(_LOWER)


def mailbox(email: str) -> Mailbox | None:
    """
    Split ``email`` into its parts; None where they are ambiguous.

    There is exactly one ``@`` (CVE-2026-40574). ASCII case is ignored in both parts: RFC 5321
    section 2.4 lets it count in the local part, but no provider does. Nothing else is normalised:
    ``a+b@`` and ``a@`` are two users to Magic.
    """
    found = _MAILBOX.fullmatch(lower(email))
    return Mailbox(found[1], found[2]) if found else None


def issuer(text: str) -> str:
    """Normalise an issuer: the address in ``did:ethr:0x…`` is case-insensitive."""
    return text.lower() if text.startswith(_DID) else text


def address(text: str) -> str:
    """Normalise a public address: Ethereum's are case-insensitive, others may not be."""
    return text.lower() if text.startswith("0x") else text


class Permissions:
    """Enforces the rules of routes; caches, for each caller and route, which rules apply."""

    def __init__(self) -> None:
        self._known: ByIdentity[_CallerRules] = ByIdentity(_MAX_CACHED)
        """By identity, or None, and route."""

    def enforce(self, route: Route, identity: Identity | None, client: Client, method: str) -> None:
        """
        Return if the request may go on.

        Raises `Forbidden`, or `Unauthenticated` where signing in may help.
        """
        rules = self._known.get((id(identity), id(route)))
        if rules is None:
            rules = self._known.keep(_rules_for_caller(route, identity), identity, route)
        if rules.passes:
            return
        if any(_is_from(rule, client, method) for rule in rules.deny):
            raise Forbidden(ForbiddenReason.DENIED)
        if route.allow and not any(_is_from(rule, client, method) for rule in rules.allow):
            raise _refusal(route.allow, identity, client, method)


class _CallerRules(NamedTuple):
    """The rules that remain to be checked against requests of one caller on one route."""

    deny: tuple[Rule, ...]
    """Rules that match the caller."""
    allow: tuple[Rule, ...]
    passes: bool
    """Whether every request passes, whatever its method and network."""


def _rules_for_caller(route: Route, identity: Identity | None) -> _CallerRules:
    deny = tuple(rule for rule in route.deny if _is_for(rule, identity, doubtful=True))
    allow = tuple(rule for rule in route.allow if _is_for(rule, identity, doubtful=False))
    is_open = not route.allow or any(not rule.networks and not rule.methods for rule in allow)
    return _CallerRules(deny, allow, passes=is_open and not deny)


def holds_for(rule: Rule, identity: Identity) -> bool:
    """Whether ``rule`` matches ``identity`` for certain, so that a role is granted."""
    return _is_for(rule, identity, doubtful=False)


_ANY = Rule()


def matcher_results(
    rule: Rule, identity: Identity | None, client: Client, method: str, *, doubtful: bool
) -> dict[str, bool]:
    """
    Return whether each matcher of ``rule`` holds by itself, by its name, for explanations.

    A rule holds where all of them do; ``doubtful`` is true for a deny rule.
    """
    results = {}
    for matcher in fields(Rule):
        if value := getattr(rule, matcher.name):
            alone = replace(_ANY, **{matcher.name: value})
            results[matcher.name] = _is_for(alone, identity, doubtful=doubtful) and _is_from(
                alone, client, method
            )
    return results


def _is_for(rule: Rule, identity: Identity | None, *, doubtful: bool) -> bool:
    return not any(True for _ in _missing(rule, identity, doubtful=doubtful))


def _missing(rule: Rule, identity: Identity | None, *, doubtful: bool) -> Iterator[ForbiddenReason]:
    """
    Yield the reasons why ``rule`` does not match the caller.

    ``doubtful`` is the result for an ambiguous email and for unknown roles: true for a deny rule,
    false for an allow rule. An absent value is not doubtful.
    """
    if identity is None:
        if rule.is_about_callers:
            yield ForbiddenReason.NOT_LISTED
        return
    if not _is_named(rule, identity.user, doubtful=doubtful):
        yield ForbiddenReason.NOT_LISTED
    if rule.auth_methods and identity.method not in rule.auth_methods:
        yield ForbiddenReason.CREDENTIAL_NOT_ALLOWED
    if rule.roles and not _has_one(rule.roles, identity.roles, doubtful=doubtful):
        yield ForbiddenReason.ROLE_MISSING
    if rule.permissions and not _has_one(rule.permissions, identity.permissions, doubtful=doubtful):
        yield ForbiddenReason.PERMISSION_MISSING
    if rule.scopes and rule.scopes.isdisjoint(identity.scopes):
        yield ForbiddenReason.SCOPE_MISSING


def _has_one(wanted: frozenset[str], words: tuple[str, ...] | None, *, doubtful: bool) -> bool:
    return doubtful if words is None else not wanted.isdisjoint(words)


def _is_named(rule: Rule, user: User, *, doubtful: bool) -> bool:
    if rule.issuers and issuer(user.issuer) not in rule.issuers:
        return False
    if rule.wallets and _wallet(user.issuer) not in rule.wallets:
        return False
    if rule.addresses and address(user.public_address or "") not in rule.addresses:
        return False
    return _has_mail(rule, user.email, doubtful=doubtful)


def _has_mail(rule: Rule, email: str | None, *, doubtful: bool) -> bool:
    if not rule.emails and not rule.domains:
        return True
    if not email:
        return False
    box = mailbox(email)
    if box is None:
        return doubtful
    return _is_mail_of(rule.emails, box) and is_in_one_of(rule.domains, box.domain)


def _wallet(issuer: str) -> str:
    """Return the address of the signing key; empty where the issuer is no Ethereum key."""
    return "0x" + issuer.removeprefix(_DID).lower() if issuer.startswith(_DID) else ""


def _is_mail_of(emails: frozenset[str], box: Mailbox) -> bool:
    if not emails:
        return True
    return f"{box.local}@{box.domain}" in emails or f"*@{box.domain}" in emails


def is_in_one_of(domains: frozenset[str], domain: str) -> bool:
    """
    Whether ``domain`` is one of ``domains``, or ``domains`` is empty.

    ``*.example.com`` covers all below ``example.com``, and neither itself nor notexample.com.
    """
    if not domains or domain in domains:
        return True
    while domain:
        domain = domain.partition(".")[2]
        if f"*.{domain}" in domains:
            return True
    return False


def enforce_preflight(route: Route, client: Client, method: str) -> None:
    """
    Return if a preflight may go to the app of ``route``; it needs no authentication.

    The networks of ``allow`` apply: from elsewhere every caller would be refused. The decision is
    not cached, as preflights cost an attacker nothing. Raises `Forbidden`.
    """
    if any(not rule.is_about_callers and _is_from(rule, client, method) for rule in route.deny):
        raise Forbidden(ForbiddenReason.DENIED)
    if route.allow and not any(_is_within(rule, client) for rule in route.allow):
        raise Forbidden(ForbiddenReason.NETWORK_NOT_ALLOWED)


def _is_from(rule: Rule, client: Client, method: str) -> bool:
    return not any(True for _ in _request_mismatch(rule, client, method))


def _request_mismatch(rule: Rule, client: Client, method: str) -> Iterator[ForbiddenReason]:
    """Yield the reasons why ``rule`` does not match the request."""
    if not _is_within(rule, client):
        yield ForbiddenReason.NETWORK_NOT_ALLOWED
    if rule.methods and method not in rule.methods:
        yield ForbiddenReason.METHOD_NOT_ALLOWED


def _is_within(rule: Rule, client: Client) -> bool:
    return not rule.networks or any(client.address in network for network in rule.networks)


def _refusal(
    allow: tuple[Rule, ...], identity: Identity | None, client: Client, method: str
) -> Refusal:
    """Choose the reason of the rule with the fewest mismatches; the first of several."""
    if identity is None and any(_is_from(rule, client, method) for rule in allow):
        return Unauthenticated(UnauthenticatedReason.TO_BE_JUDGED)
    missing = (
        [*_request_mismatch(rule, client, method), *_missing(rule, identity, doubtful=False)]
        for rule in allow
    )
    return Forbidden(min(missing, key=len)[0])

"""Callers of the selftest: who may use a route, and the credentials by which each is known."""

import time
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway.authz.rules import is_in_one_of
from gateway.config.rules import CallerMatchSettings, RuleSettings
from gateway.config.schema import RouteSettings, Settings
from gateway.core.identity import AuthMethod
from gateway.core.request import Certificate
from gateway.runtime.services.credentials.api_key import api_key_store
from gateway.runtime.services.identity import server_keys
from gateway.selftest.lab import Lab

MEMBER: Final = "member@selftest.invalid"
"""A person that no rule names."""
_KEY_S: Final = 3600.0
_DAY_MS: Final = 86_400_000


class WantedCaller(NamedTuple):
    """A caller that a route may let through, as far as one of its rules says it."""

    email: str = MEMBER
    kinds: frozenset[AuthMethod] = frozenset()
    scopes: frozenset[str] = frozenset()
    owner: str = ""
    """Of an API key."""
    peer: str = ""
    method: str = ""
    roles: frozenset[str] = frozenset()
    """That a JWT names."""


class CallerProof(NamedTuple):
    """What a caller sends, and from where."""

    lines: tuple[str, ...]
    peer: str = ""
    certificate: Certificate | None = None


def wanted(settings: Settings, emails: dict[str, str], route: RouteSettings) -> list[WantedCaller]:
    """Return callers that ``route`` may let through; ``emails`` are those of stand-ins."""
    base = WantedCaller(kinds=frozenset(route.accept))
    if not route.allow:
        return [base]
    return [caller for rule in route.allow for caller in _by_rule(settings, emails, rule, base)]


def _by_rule(
    settings: Settings, emails: dict[str, str], rule: RuleSettings, base: WantedCaller
) -> Iterator[WantedCaller]:
    base = _matching(emails, rule, base)
    if rule.methods:
        base = base._replace(method=min(rule.methods))
    for network in rule.networks or (None,):
        peer = "" if network is None else str(network[min(1, network.num_addresses - 1)])
        yield from _with_roles(settings, emails, rule, base._replace(peer=peer))


def _with_roles(
    settings: Settings, emails: dict[str, str], rule: RuleSettings, base: WantedCaller
) -> Iterator[WantedCaller]:
    """Yield ``base`` as one who has the roles that ``rule`` asks for."""
    roles = set(rule.roles or ())
    for role, permitted in settings.identity.permissions.items():
        if permitted & (rule.permissions or frozenset()):
            roles.add(role)
    if not roles:
        yield base
        return
    for grant in settings.identity.roles:
        if grant.role in roles:
            yield _matching(emails, grant, base)
    yield base._replace(kinds=base.kinds & {AuthMethod.JWT}, roles=frozenset(roles))


def _matching(
    emails: dict[str, str], rule: CallerMatchSettings, base: WantedCaller
) -> WantedCaller:
    """Return ``base`` with what ``rule`` asks of it."""
    if rule.auth_methods:
        base = base._replace(kinds=base.kinds & rule.auth_methods)
    if rule.scopes:
        kinds = base.kinds & {AuthMethod.API_KEY, AuthMethod.JWT}
        base = base._replace(scopes=rule.scopes, kinds=kinds)
    keys = [*(rule.issuers or ()), *(rule.wallets or ()), *(rule.addresses or ())]
    if stand_ins := [emails[key] for key in keys if key in emails]:
        base = base._replace(email=stand_ins[0])
    elif programs := [key for key in rule.issuers or () if key not in emails]:
        base = base._replace(owner=programs[0], kinds=base.kinds & {AuthMethod.API_KEY})
    elif email := _email(rule):
        base = base._replace(email=email)
    return base


def _email(rule: CallerMatchSettings) -> str:
    """Return an address that ``rule`` names; empty where it names none."""
    domains = rule.domains or frozenset()
    for email in sorted(rule.emails or ()):
        if is_in_one_of(domains, email.partition("@")[2]):
            return email.replace("*", "selftest")
    return f"selftest@{min(domains).replace('*', 'selftest')}" if domains else ""


class Callers:
    """Makes credentials, and keeps the sessions that it has signed in."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._sessions: dict[str, str] = {}
        self.labels: dict[str, str] = {}
        """What stands for each secret in a report."""

    def bearer(self, email: str) -> CallerProof:
        """Return a DID token of ``email``."""
        return self._bearer(self._lab.mint(email), f"DID token of {email}")

    async def cookie(self, email: str) -> CallerProof:
        """Return a session of ``email``: the cookie, and the origin that browsers send."""
        server, name = self._lab.settings.server, self._lab.settings.session.cookie
        secret = self._sessions.get(email) or await self._sign_in(email)
        self._sessions[email] = secret
        self.labels[secret] = f"<session of {email}>"
        return CallerProof((f"Cookie: {name}={secret}", f"Origin: {server.public_url}"))

    async def all_of(self, caller: WantedCaller) -> list[CallerProof]:
        """Return a credential of each kind by which ``caller`` may be known."""
        made = []
        if AuthMethod.DID_TOKEN in caller.kinds:
            made.append(self.bearer(caller.email))
        if AuthMethod.SESSION in caller.kinds:
            made.append(await self.cookie(caller.email))
        if AuthMethod.API_KEY in caller.kinds:
            made.append(await self._api_key(caller))
        if AuthMethod.JWT in caller.kinds:
            made += [
                self.jwt(place, _claims(self._lab.settings, place, caller))
                for place, _ in enumerate(self._lab.settings.credentials.jwt)
            ]
        if AuthMethod.CLIENT_CERTIFICATE in caller.kinds:
            made += self._certificates()
        return [each._replace(peer=caller.peer) for each in made]

    def jwt(self, place: int, claims: Mapping[str, object]) -> CallerProof:
        """Return a JWT with ``claims`` of the issuer at ``place`` of the config."""
        return self._bearer(self._lab.jwt_keys.sign(place, "selftest", **claims), "JWT")

    def _bearer(self, text: str, label: str) -> CallerProof:
        self.labels[text] = f"<{label}>"
        return CallerProof((f"Authorization: Bearer {text}",))

    async def _api_key(self, caller: WantedCaller) -> CallerProof:
        settings = self._lab.settings
        keys = server_keys(settings) or (self._lab.made_up_key,)
        owner = caller.owner or "service:selftest"
        text, _ = await api_key_store(self._lab.store, keys).create(
            "selftest",
            owner,
            lifetime_s=_KEY_S,
            scopes=tuple(caller.scopes),
        )
        return self._bearer(text, "API key")

    def _certificates(self) -> list[CallerProof]:
        listed = self._lab.settings.credentials.client_certificates
        begins_ms = int(time.time() * 1000) - _DAY_MS
        return [
            CallerProof(
                (),
                certificate=Certificate(
                    ((_kind(name), name),), "01", begins_ms, begins_ms + 2 * _DAY_MS
                ),
            )
            for pattern in (listed.names if listed is not None else ())
            if (name := pattern.text.replace("*", "selftest"))
        ]

    def sign_in_request(self, email: str) -> bytes:
        """Return the request that exchanges a DID token of ``email`` for a session."""
        settings = self._lab.settings
        return head(
            "POST",
            f"{settings.server.prefix}/session",
            public_host(settings),
            *self.bearer(email).lines,
            f"Origin: {settings.server.public_url}",
            "Content-Length: 0",
        )

    async def _sign_in(self, email: str) -> str:
        """Exchange a DID token for a session; return the secret, or nothing."""
        answer = (await self._lab.send(self.sign_in_request(email))).answer
        start = f"{self._lab.settings.session.cookie}="
        found = [line for line in answer.values("Set-Cookie") if line.startswith(start)]
        return found[0].partition(";")[0].removeprefix(start) if found else ""


def _claims(settings: Settings, place: int, caller: WantedCaller) -> dict[str, object]:
    names = settings.credentials.jwt[place].claims
    said: dict[str, object] = {}
    if names.email:
        said |= {names.email: caller.email, "email_verified": True}
    if names.roles and caller.roles:
        said[names.roles] = sorted(caller.roles)
    if names.scopes and caller.scopes:
        said[names.scopes] = " ".join(sorted(caller.scopes))
    return said


def _kind(name: str) -> str:
    if "://" in name:
        return "uri"
    return "email" if "@" in name else "dns"


def public_host(settings: Settings) -> str:
    """Return the host of the public URL, with its port."""
    return urlsplit(settings.server.public_url).netloc


def host_of(settings: Settings, route: RouteSettings) -> str:
    """Return a host that leads to ``route``."""
    named = route.match.host
    return named.replace("*", "selftest") if named else public_host(settings)


def path_of(route: RouteSettings, below: str = "/selftest") -> str:
    """Return a path that leads to ``route``."""
    path = route.match.path
    return path.removesuffix("/*") + below if path.endswith("/*") else path


def method_of(route: RouteSettings) -> str:
    """Return a method that ``route`` takes: GET where it can be."""
    named = route.match.named_methods
    return "GET" if named is None or "GET" in named else min(named)


def head(method: str, target: str, host: str, *lines: str) -> bytes:
    """Write the head of a request."""
    text = "\r\n".join((f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, "", ""))
    return text.encode("utf-8", "surrogatepass")

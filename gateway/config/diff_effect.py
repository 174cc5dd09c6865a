"""
What a config does with a request, in the parts that `gateway diff` compares.

Each part is a value that is equal exactly where the effect is, and a text for people.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from gateway.authz.rules import Permissions
from gateway.config import compile as compiled
from gateway.config.identity import IdentityHeaders
from gateway.config.schema import Settings
from gateway.core.address import IPAddress
from gateway.core.errors import MethodNotAllowed, NoRoute, Refusal
from gateway.core.identity import AuthMethod
from gateway.core.request import Client, Target
from gateway.core.route import Auth, Cors, Route, Rule
from gateway.routing.client_address import network_text
from gateway.routing.table import RouteTable
from gateway.routing.target import with_prefix_replaced


class Aspect(StrEnum):
    """A part of the effect."""

    AUTH = "auth"
    RULES = "rules"
    APP = "app"
    UPSTREAM = "upstream"
    LIMITS = "limits"
    CORS = "cors"
    FORWARDING = "forwarding"
    NAME = "name"


class EffectPart(NamedTuple):
    """One part of the effect: what is compared, and how it is told."""

    value: object
    text: str


_NOT_OF_AN_APP = frozenset({"servers", "host", "tls"})
"""Keys of an upstream that say where requests go; the others say how."""
_OF_MAGIC = frozenset({AuthMethod.DID_TOKEN, AuthMethod.SESSION})
"""Credentials that begin with Magic, or with development mode in its place."""
_USUAL_NAMES = IdentityHeaders().model_dump()
"""Names of fields that need not be told."""


class Side:
    """One of the two configs: finds routes, and what they do."""

    def __init__(self, settings: Settings, table: RouteTable) -> None:
        self.settings = settings
        self._table = table
        self._parts: dict[str, Mapping[Aspect, EffectPart]] = {}
        self._entries = {entry.name: entry for entry in settings.routes}
        self._permissions = Permissions()
        self._owners: dict[str, set[str]] = {}
        for name, upstream in settings.upstreams.items():
            for server in upstream.servers:
                self._owners.setdefault(str(server), set()).add(name)

    def route(self, host: str, path: str, method: str) -> Route | str:
        """Return the route that takes a request, or why none does."""
        try:
            route = self._table.match(host, path, method)
        except NoRoute:
            return "refused: no route"
        except MethodNotAllowed:
            return "refused: no route of the path has the method"
        return route if route.takes(method) else "refused: a method that is not known"

    def admits_anonymous(self, route: Route | str, method: str, client: IPAddress) -> bool:
        """Whether an app gets such a request of a client without credentials."""
        if isinstance(route, str) or route.is_internal or route.auth is Auth.REQUIRED:
            return False
        if _certificates(self.settings):
            return False
        try:
            self._permissions.enforce(route, None, Client(client, "", ""), method)
        except Refusal:
            return False
        return True

    def passes_preflights(self, route: Route | str) -> bool:
        """Whether an app gets preflights that need no credential, unlike other requests."""
        return (
            not isinstance(route, str)
            and route.auth is Auth.REQUIRED
            and route.cors is not None
            and route.cors.passes_preflights
            and bool(self.servers(route))
        )

    def servers(self, route: Route) -> frozenset[str]:
        """Return the servers of the app that gets the requests of ``route``; none for none."""
        entry = self.settings.upstreams.get(route.upstream)
        return frozenset() if entry is None else frozenset(map(str, entry.servers))

    def is_of_another(self, name: str, servers: frozenset[str]) -> bool:
        """Whether one of ``servers`` is of an upstream of another name."""
        return any(self._owners.get(server, set()) - {name} for server in servers)

    def parts(self, route: Route) -> Mapping[Aspect, EffectPart]:
        """Return the parts of the effect of a route."""
        if route.name not in self._parts:
            self._parts[route.name] = {
                aspect: part(self.settings, route) for aspect, part in _PARTS
            }
        return self._parts[route.name]


def forwarded_path(route: Route, path: str) -> str | None:
    """Return the path as the app sees it; None where it cannot be forwarded."""
    if not (route.prefix or route.new_prefix):
        return path
    try:
        return with_prefix_replaced(Target(path, path, False), route.prefix, route.new_prefix).path
    except Refusal:
        return None


def _certificates(settings: Settings) -> str:
    """Return the file of the CAs whose certificate each client must show; empty for none."""
    tls = settings.server.tls
    return str(tls.client_ca or "") if tls is not None and tls.client_auth == "required" else ""


def _client_addresses(settings: Settings) -> EffectPart:
    """Describe where the address of a client is read."""
    server = settings.server
    if server.client_ip == "peer":
        return EffectPart("peer", "")
    trusted = ", ".join(sorted(map(network_text, server.trusted_proxies)))
    told = f", clients by {server.client_ip} of {trusted}"
    return EffectPart((server.client_ip, frozenset(server.trusted_proxies)), told)


# --- parts -------------------------------------------------------------------------------------


def _auth(settings: Settings, route: Route) -> EffectPart:
    """Describe the credentials that count, with what the config says of their kinds."""
    if route.is_internal:
        return EffectPart("page", "page of the gateway")
    wanted = _certificates(settings)
    shown = f", with a certificate of {wanted}" if wanted else ""
    if route.auth is Auth.NONE:
        return EffectPart((route.auth, wanted), f"auth none{shown}")
    given = settings.credentials
    sections: dict[AuthMethod, object] = {
        AuthMethod.JWT: given.jwt,
        AuthMethod.API_KEY: given.api_keys,
        AuthMethod.CLIENT_CERTIFICATE: given.client_certificates,
    }
    sections |= dict.fromkeys(_OF_MAGIC, settings.magic.mode)
    value = tuple((kind, repr(sections.get(kind))) for kind in sorted(route.accept))
    issuers = ", ".join(entry.issuer for entry in given.jwt)
    told = {kind: str(kind) for kind in route.accept} | {AuthMethod.JWT: f"jwt of {issuers}"}
    texts = ", ".join(told[kind] for kind in sorted(route.accept))
    if settings.magic.mode == "development" and not _OF_MAGIC.isdisjoint(route.accept):
        texts += " of development mode"
    return EffectPart((route.auth, value, wanted), f"auth {route.auth} ({texts}){shown}")


def _rules(settings: Settings, route: Route) -> EffectPart:
    """Describe the rules, with what the config says of the roles and permissions they name."""
    rules = (*route.allow, *route.deny)
    permitted = settings.identity.permissions
    named = frozenset[str]().union(*(rule.roles for rule in rules))
    wanted = frozenset[str]().union(*(rule.permissions for rule in rules))
    roles = named | {role for role, granted in permitted.items() if granted & wanted}
    grants = frozenset(each for each in compiled.grants(settings) if each.role in roles)
    given = frozenset((role, permitted.get(role, frozenset()) & wanted) for role in roles)
    from_store = bool(roles or wanted) and settings.identity.roles_from_store
    has_networks = any(rule.networks for rule in rules)
    clients = _client_addresses(settings).value if has_networks else None
    written = (frozenset(route.allow), frozenset(route.deny))
    value = (written, grants, given, from_store, clients)
    texts = [
        f"{kind} {' or '.join(map(_rule_text, found))}"
        for kind, found in (("allow", route.allow), ("deny", route.deny))
        if found
    ]
    return EffectPart(value, "; ".join(texts) or "no rules")


def _rule_text(rule: Rule) -> str:
    named = ((field.name.replace("_", " "), getattr(rule, field.name)) for field in fields(rule))
    return " and ".join(
        f"{name} {', '.join(sorted(map(_text, values)))}" for name, values in named if values
    )


def _text(value: object) -> str:
    if isinstance(value, (IPv4Network, IPv6Network)):
        return network_text(value)
    return str(value)


def _app(settings: Settings, route: Route) -> EffectPart:
    if route.is_internal:
        return EffectPart("page", "page of the gateway")
    if route.is_dashboard:
        return EffectPart("dashboard", "dashboard of the gateway")
    entry = settings.upstreams.get(route.upstream)
    if entry is None:
        return EffectPart(None, "checked for a proxy")
    servers = ", ".join(sorted(map(str, entry.servers)))
    prefix = f", {route.prefix or '/'} replaced by {route.new_prefix or '/'}"
    moved = prefix if route.prefix or route.new_prefix else ""
    value = (frozenset(map(str, entry.servers)), entry.host, entry.tls, route.hidden_prefix)
    host = ", Host rewritten" if entry.host == "rewrite" else ""
    return EffectPart(value, f"to {route.upstream} ({servers}){moved}{host}")


def _upstream(settings: Settings, route: Route) -> EffectPart:
    entry = settings.upstreams.get(route.upstream)
    if entry is None:
        return EffectPart(None, "none")
    others = set(_NOT_OF_AN_APP)
    given = entry.model_dump(mode="json", by_alias=True, exclude=others)
    told = entry.model_dump(mode="json", by_alias=True, exclude=others, exclude_defaults=True)
    audience = entry.audience or route.upstream if settings.identity.assertion else ""
    return EffectPart(_dumped(given | {"audience": audience}), _keys(told) or "defaults")


def _limits(settings: Settings, route: Route) -> EffectPart:
    names = [each.name for each in (*route.limits, *route.identity_limits, *route.concurrency)]
    if route.is_internal:
        names = []
    limits = {name: settings.limits[name] for name in sorted(names)}
    entries = {name: limit.model_dump(mode="json") for name, limit in limits.items()}
    by_route = route.name if any("route" in limit.per for limit in limits.values()) else ""
    cost = "from-answer" if route.tells_cost else route.cost
    told = ", ".join(
        f"{name} ({_keys(limit.model_dump(mode='json', exclude_defaults=True, by_alias=True))})"
        for name, limit in limits.items()
    )
    has_addresses = any("ip" in limit.per or limit.ip_rate for limit in limits.values())
    clients = _client_addresses(settings) if has_addresses else EffectPart(None, "")
    value = (_dumped(entries), by_route, cost if limits else 1, clients.value)
    return EffectPart(value, (told or "no limits") + _unless_one(cost) + clients.text)


def _unless_one(cost: int | str) -> str:
    return "" if cost == 1 else f", cost {cost}"


def _cors(_: Settings, route: Route) -> EffectPart:
    cors = route.cors
    if cors is None:
        return EffectPart(None, "no other origins")
    value = (
        _sorted(cors.answers), _sorted(cors.preflights), cors.otherwise, cors.credentialed,
        cors.passes_preflights,
    )  # fmt: skip
    return EffectPart(value, _cors_text(cors))


def _cors_text(cors: Cors) -> str:
    origins = ", ".join(sorted(cors.answers)) or "none"
    credentials = f", credentials of {', '.join(sorted(cors.credentialed))}"
    preflights = ", preflights to the app" if cors.passes_preflights else ""
    return f"origins {origins}{credentials if cors.credentialed else ''}{preflights}"


def _forwarding(settings: Settings, route: Route) -> EffectPart:
    value = {
        "forward_credentials": route.forward_credentials,
        "encoded_slashes": "keep" if route.keep_encoded_slashes else "refuse",
        "upgrades": sorted(route.upgrades),
        "timeouts": list(route.timeouts),
        "forwarded": settings.server.forwarded,
    }
    credentials = "forwards credentials" if route.forward_credentials else "drops credentials"
    slashes = f"encoded slashes: {value['encoded_slashes']}"
    upgrades = f"upgrades: {', '.join(sorted(route.upgrades)) or 'none'}"
    timeouts = "time-outs: " + ", ".join(f"{each:g}s" for each in route.timeouts)
    told = EffectPart((), "") if route.is_internal else _told_to_apps(settings)
    text = f"{credentials}; {slashes}; {upgrades}; {timeouts}{told.text}"
    return EffectPart((_dumped(value), told.value), text)


def _told_to_apps(settings: Settings) -> EffectPart:
    """Describe the fields that tell apps of the caller, and the proxies that are believed."""
    identity, server = settings.identity, settings.server
    names = identity.headers.model_dump()
    if identity.assertion is not None:
        names["assertion"] = identity.assertion.header
    unusual = {key: name for key, name in names.items() if name != _USUAL_NAMES.get(key)}
    trusted = sorted(map(network_text, server.trusted_proxies))
    texts = [f"{key} in {name}" for key, name in unusual.items()]
    if trusted:
        texts.append(f"proxies {', '.join(trusted)}")
    value = _dumped([names, trusted, server.client_ip])
    return EffectPart(value, "".join(f"; {text}" for text in texts))


def _name(_: Settings, route: Route) -> EffectPart:
    return EffectPart(route.name, route.name)


def _dumped(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _keys(given: Mapping[str, object]) -> str:
    """Write settings as ``key value``, without sections that are not there."""
    shown = ((key, value) for key, value in given.items() if value not in (None, "", {}, []))
    return ", ".join(f"{key} {_plain(value)}" for key, value in shown)


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return "(" + _keys(value) + ")"
    return "/".join(map(str, value)) if isinstance(value, list) else str(value)


def _sorted(found: Mapping[str, Iterable[object]]) -> tuple[tuple[str, tuple[object, ...]], ...]:
    return tuple((name, tuple(found[name])) for name in sorted(found))


_PARTS: tuple[tuple[Aspect, Callable[[Settings, Route], EffectPart]], ...] = (
    (Aspect.AUTH, _auth),
    (Aspect.RULES, _rules),
    (Aspect.APP, _app),
    (Aspect.UPSTREAM, _upstream),
    (Aspect.LIMITS, _limits),
    (Aspect.CORS, _cors),
    (Aspect.FORWARDING, _forwarding),
    (Aspect.NAME, _name),
)

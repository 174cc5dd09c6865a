"""
The config under test, with what is real about it replaced: servers, store, Magic, keys and files.

Routes, rules, header names, cookie, CORS, proxies and caps stay as the operator wrote them. Rates
of limits are raised: a 429 would hide what the next attack reaches.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel

from gateway.authz.rules import address, issuer
from gateway.config.addresses import ServerAddress
from gateway.config.compile import DASHBOARD
from gateway.config.credentials import CredentialSettings
from gateway.config.hooks import HooksSettings
from gateway.config.identity import IdentitySettings
from gateway.config.limits import LimitSettings, ListPath
from gateway.config.rules import CallerMatchSettings
from gateway.config.schema import MagicSettings, RedisSettings, Settings
from gateway.config.upstreams import UpstreamSettings, UpstreamTlsSettings
from gateway.core.rate import Rate
from gateway.users.development import DevelopmentMagic

Model = TypeVar("Model", bound=BaseModel)

_MANY: Final = 1_000_000
"""Requests in a window of a limit: more than a selftest sends."""


_DRAIN_S: Final = 0.1


class StandIns:
    """People of development mode that stand in for users that the config names by their keys."""

    def __init__(self, magic: DevelopmentMagic) -> None:
        self._magic = magic
        self.emails: dict[str, str] = {}
        """Email addresses of the stand-ins, by the issuer, wallet or address that is theirs."""

    def issuer(self, text: str) -> str:
        """Return the issuer of the stand-in for the issuer ``text``; programs keep their names."""
        if not text.startswith("did:"):
            return text
        return self._named(issuer(self._magic.user_with(_email(text)).issuer), text)

    def wallet(self, text: str) -> str:
        """Return the key of the stand-in for a wallet."""
        return self._named(self.issuer(f"did:ethr:{text}").rpartition(":")[2], text)

    def address(self, text: str) -> str:
        """Return the public address of the stand-in for the one with the address ``text``."""
        return self._named(address(self._magic.user_with(_email(text)).public_address or ""), text)

    def _named(self, name: str, text: str) -> str:
        self.emails[name] = _email(text)
        return name


def _email(text: str) -> str:
    """Return the email address of the stand-in for the key ``text``."""
    return f"{text.rpartition(':')[2].lower()}@named.selftest.invalid"


def with_dashboard_as_app(settings: Settings) -> Settings:
    """Return ``settings`` with an app in place of the dashboard, which attacks can reach as one."""
    admin = settings.admin
    if admin is None or admin.route is None:
        return settings
    app = UpstreamSettings.model_validate({"servers": ["unix:/dashboard.invalid"]})
    return _changed(
        settings,
        admin=_changed(admin, route=None),
        upstreams={**settings.upstreams, DASHBOARD: app},
        routes=tuple(
            _changed(route, upstream=DASHBOARD, strip_prefix=route.match.path.removesuffix("/*"))
            if route.name == admin.route
            else route
            for route in settings.routes
        ),
    )


def isolated(
    settings: Settings, sockets: Mapping[str, Path], key_sets: Mapping[int, Path], people: StandIns
) -> Settings:
    """
    Return ``settings`` with recorders at ``sockets``, by upstream, and all that is real left out.

    ``key_sets`` are files with the keys of JWT issuers, by their place in the config.
    """
    times = _changed(settings.server.timeouts, drain_s=_DRAIN_S, drain_delay_s=None)
    server = _changed(settings.server, tls=None, workers=1, timeouts=times)
    return _changed(
        settings,
        server=server,
        admin=None,
        audit=None,
        redis=RedisSettings.model_validate({"url": "embedded://"}),
        magic=MagicSettings(mode="development"),
        session=_changed(settings.session, keys=(), logout_magic=False, require_attempt=False),
        login=_changed(settings.login, logo=None),
        hooks=HooksSettings(),
        identity=_identity(settings.identity, people),
        credentials=_credentials(settings.credentials, key_sets),
        limits={name: _limit(entry) for name, entry in settings.limits.items()},
        upstreams={
            name: _upstream(entry, sockets[name]) for name, entry in settings.upstreams.items()
        },
        routes=tuple(
            _changed(
                route,
                allow=_rules(route.allow, people),
                deny=_rules(route.deny, people),
            )
            for route in settings.routes
        ),
    )


def _changed(model: Model, **changes: object) -> Model:
    return model.model_copy(update=changes)


def _upstream(entry: UpstreamSettings, socket: Path) -> UpstreamSettings:
    return _changed(
        entry,
        servers=(ServerAddress("unix", "", 0, str(socket)),),
        health=None,
        circuit_breaker=None,
        max_in_flight=None,
        tls=UpstreamTlsSettings(),
    )


def _limit(entry: LimitSettings) -> LimitSettings:
    """Raise the rate, and leave out entries of files, which need not be on this machine."""
    lists = {
        name: tuple(each for each in getattr(entry, name) if not isinstance(each, ListPath))
        for name in ("deny", "allow")
    }
    rate = entry.rate and Rate(_MANY, entry.rate.window_s)
    ip_rate = entry.ip_rate and Rate(_MANY, entry.ip_rate.window_s)
    concurrent = entry.concurrent and _MANY
    return _changed(entry, rate=rate, ip_rate=ip_rate, concurrent=concurrent, burst=None, **lists)


def _identity(entry: IdentitySettings, people: StandIns) -> IdentitySettings:
    assertion = entry.assertion and _changed(entry.assertion, keys=())
    roles = tuple(_rule(role, people) for role in entry.roles)
    return _changed(entry, assertion=assertion, roles=roles)


def _credentials(entry: CredentialSettings, key_sets: Mapping[int, Path]) -> CredentialSettings:
    jwt = tuple(
        _changed(issuer, jwks_url=None, jwks_file=str(key_sets[place]))
        for place, issuer in enumerate(entry.jwt)
    )
    return _changed(entry, jwt=jwt)


Rules = TypeVar("Rules", bound=CallerMatchSettings)


def _rules(rules: tuple[Rules, ...] | None, people: StandIns) -> tuple[Rules, ...] | None:
    return None if rules is None else tuple(_rule(rule, people) for rule in rules)


def _rule(rule: Rules, people: StandIns) -> Rules:
    changes = {
        name: frozenset(map(replace, found))
        for name, replace in (
            ("issuers", people.issuer),
            ("wallets", people.wallet),
            ("addresses", people.address),
        )
        if (found := getattr(rule, name))
    }
    return _changed(rule, **changes)

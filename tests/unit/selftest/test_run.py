"""Whole selftests: good configs pass, and each bad one fails for its own reason."""

import asyncio
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web

from gateway.config.load import parse, read_file
from gateway.config.pages import PagesSettings
from gateway.config.schema import Settings
from gateway.pages.session import SessionPages
from gateway.selftest.attacks.addresses import attack_addresses
from gateway.selftest.run import ATTACKS, Attack, SelftestReport, selftest
from gateway.users.magic_api import SignatureChecker
from tests.unit.selftest.bad_configs import ADMIN, BAD, GOOD, REST, config, public, trusting

ROOT = Path(__file__).parents[3]
ENV = {
    "REDIS_URL": "redis://store.internal:6379",
    "MAGIC_SECRET_KEY": "sk_live_x",
    "MAGIC_PUBLISHABLE_KEY": "pk_live_x",
    "SESSION_KEY": "0" * 44,
    "PUBLIC_URL": "https://app.example.com",
    "PORT": "8080",
    "APP_PORT": "3000",
    "RATE": "30",
}
SHIPPED = [*sorted((ROOT / "config").glob("*.yaml")), ROOT / "gateway/demo/demo.yaml"]
EXAMPLE = re.compile(r"^```yaml\n(server:.*?)^```$", re.DOTALL | re.MULTILINE)
BULK = {"smuggling", "credentials"}
"""Families that depend little on the config, and take the most time."""
QUICK = {name: attack for name, attack in ATTACKS.items() if name not in BULK}
FAMILIES = {
    "destinations": ("admin-", "metadata-", "gateway-", "store-"),
    "identities": ("role-", "open-", "deny-"),
    "header fields": ("foreign-", "credentials-"),
    "addresses": ("address-", "scheme-", "checks-", "network-"),
    "redirects and cookies": ("redirect-", "session-"),
    "markup": ("markup-",),
    "CORS": ("cors-",),
    "paths": ("reached-", "rights-", "check-"),
}
"""How the codes of each family begin."""
WITHIN_S = 100.0
"""More than it ever takes, on a machine that does other work too."""


def settings_of(text: str) -> Settings:
    """A config that starts."""
    return parse(text, "x", ENV, read_file)


async def run(settings: Settings, attacks: Mapping[str, Attack] = QUICK) -> SelftestReport:
    """A report, with no attack left out."""
    report = await selftest(settings, attacks, WITHIN_S)
    assert () == report.gaps
    return report


@pytest.mark.parametrize("text", [pytest.param(path.read_text(), id=path.stem) for path in SHIPPED])
async def test_shipped_configs_pass(text: str) -> None:
    """Nothing protected is reached, and each protected route is shown to let its callers in."""
    settings = settings_of(text)
    report = await run(settings)
    assert () == report.findings
    assert {route.name for route in settings.routes if route.upstream and route.auth != "none"} == (
        report.shown.keys()
    )
    assert report.requests["redirects and cookies"] > 600
    assert report.requests["markup"] > 20


@pytest.mark.parametrize("number", [0, 1])
async def test_rules_that_the_documentation_shows_are_not_evaded(number: int) -> None:
    """No stranger gets in, and those who may do."""
    shown = EXAMPLE.findall((ROOT / "docs/authorisation.md").read_text())[number]
    named = ("accept side", "identities")
    attacks = {name: ATTACKS[name] for name in named}
    report = await run(settings_of('redis: {url: "redis://h"}\n' + shown), attacks)
    assert ((), 2) == (report.findings, len(report.shown))


def test_the_tables_of_attacks_are_replayed() -> None:
    """The reference config passes them, and they are not skipped."""
    text = (ROOT / "config/gateway.yaml").read_text()
    attacks = {name: ATTACKS[name] for name in BULK}
    report = asyncio.run(run(settings_of(text), attacks))
    assert () == report.findings
    assert report.requests["smuggling"] > 1000
    assert report.requests["credentials"] > 200


@pytest.mark.parametrize("name", GOOD)
async def test_good_configs_pass(name: str) -> None:
    """What is close to a bad config passes."""
    assert () == (await run(settings_of(GOOD[name]))).findings


@pytest.mark.parametrize("name", BAD)
async def test_bad_configs_fail(name: str) -> None:
    """Each fails for its own reason, and shows the octets that were sent and what arrived."""
    code, text = BAD[name]
    family = next(family for family, starts in FAMILIES.items() if code.startswith(starts))
    attacks = {each: ATTACKS[each] for each in ("accept side", family)}
    report = await run(settings_of(text), attacks)
    assert code in {found.code for found in report.findings}
    assert all(found.sent and found.arrived and found.message for found in report.findings)


def test_the_reasons_of_bad_configs() -> None:
    """There are many of them, and nearly as many reasons."""
    assert len(BAD) >= 25
    assert len({code for code, _ in BAD.values()}) >= len(BAD) - 1


async def test_a_report_holds_no_credential() -> None:
    """Tokens and sessions of the selftest show as what they are."""
    _, text = BAD["rights-by-a-stripped-prefix"]
    attacks = {each: ATTACKS[each] for each in ("accept side", "paths")}
    (found,) = (await run(settings_of(text), attacks)).findings
    assert "Authorization: Bearer <DID token of member@selftest.invalid>" in found.sent


EVERY_KIND = """
server:
  public_url: https://app.example.com
  trusted_proxies: ["unix:"]
  tls: {certificate: /no.crt, key: /no.key, client_ca: /no.ca, client_auth: optional}
magic: {secret_key: sk_live_x, client_id: x}
session: {keys: ["01234567890123456789012345678901"], cookie: mine, require_attempt: true}
redis: {url: "rediss://store.internal", tls: {ca: /no.pem}}
credentials:
  api_keys: {header: X-API-Key}
  client_certificates: {names: ["spiffe://example.org/*", "*.svc.example.com"]}
  jwt:
    - {issuer: https://a.example, azp: [y], jwks_file: /no.json, algorithms: [ES512],
       claims: {roles: roles}, from: {cookie: __session}}
identity:
  headers: {issuer: X-Me}
  roles:
    - {role: ops, scopes: [ops]}
    - {role: owner, wallets: ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"]}
  permissions: {owner: [pay]}
limits:
  default: {rate: 1/minute, per: route, deny: [{file: /no.txt}]}
  running: {concurrent: 1}
upstreams:
  app: {servers: ["https://app.internal"], tls: {ca: /no.pem}, host: rewrite, max_in_flight: 1}
routes:
  - {name: keys, match: {path: "/keys/*"}, accept: [api-key], allow: {scopes: [a]}, upstream: app}
  - {name: certificates, match: {path: "/c/*"}, accept: [client-certificate], upstream: app}
  - name: jwts
    match: {path: /jwts, methods: [POST]}
    accept: [jwt]
    allow: {roles: [boss]}
    upstream: app
  - {name: cookies, match: {host: "*.example.com", path: /s}, accept: [session], upstream: app}
  - {name: optional, match: {path: "/o/*"}, auth: optional, upstream: app}
  - name: programs
    match: {path: "/p/*"}
    accept: [api-key]
    allow: {issuers: ["service:deploy"]}
    upstream: app
  - {name: ops, match: {path: /ops}, accept: [api-key], allow: {roles: [ops]}, upstream: app}
  - {name: pay, match: {path: /pay}, allow: {permissions: [pay]}, limits: [running], upstream: app}
  - name: networks
    match: {path: "/n/*"}
    deny: {networks: [10.0.0.0/8]}
    allow: {networks: [10.1.0.0/16, 192.0.2.0/24]}
    upstream: app
"""


async def test_every_kind_of_caller_is_shown() -> None:
    """Each kind of credential and rule lets its callers in; files of the config are not needed."""
    attacks = {name: ATTACKS[name] for name in ("accept side", "identities", "addresses")}
    report = await run(settings_of(EVERY_KIND), attacks)
    assert ((), ()) == (report.findings, report.notes)
    assert {
        "keys": "api-key",
        "certificates": "client-certificate",
        "jwts": "jwt",
        "cookies": "session",
        "optional": "did-token",
        "programs": "api-key",
        "ops": "api-key",
        "pay": "did-token",
        "networks": "did-token",
    } == report.shown


async def test_a_route_that_rules_alone_protect_is_protected() -> None:
    """A path for one network is no path for all, by whatever route it is reached."""
    inside = (
        '  - {name: ops, match: {path: "/ops/*"}, auth: optional, upstream: app,'
        " allow: {networks: [10.0.0.0/8]}}\n"
    )
    attacks = {each: ATTACKS[each] for each in ("accept side", "paths")}
    assert () == (await run(settings_of(config(inside + REST)), attacks)).findings
    text = config(inside + public("/pub/*", ", strip_prefix: /pub"))
    (found,) = (await run(settings_of(text), attacks)).findings
    assert ("reached-by-strip-prefix", "ops") == (found.code, found.route)


DASHBOARD = config(
    '  - {name: ops, match: {path: "/ops/*"}, allow: {emails: [ada@example.com]}}\n'
    + public("/pub/*")
    + REST,
    more="admin: {route: ops}\n",
)


async def test_the_route_of_the_dashboard_is_attacked_as_that_of_an_app() -> None:
    """With an app in its place: its operators pass, and no other caller does."""
    report = await run(settings_of(DASHBOARD))
    assert () == report.findings
    assert "did-token" == report.shown["ops"]


async def test_a_field_that_names_the_operator_is_forged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dashboard believes what it says."""
    monkeypatch.setattr("gateway.headers.request._OUR_PREFIXES", ("x-forwarded-",))
    report = await run(settings_of(DASHBOARD), {"header fields": ATTACKS["header fields"]})
    assert ("identity-forged", "ops") in [(each.code, each.route) for each in report.findings]


async def test_leniency_about_a_path_of_fewer_people_is_noted() -> None:
    """A path for some of the people who are signed in is no finding if all others need a login."""
    text = config(
        '  - {name: admin, match: {path: "/admin/*"}, upstream: app,'
        " allow: {emails: [ada@example.com]}}\n" + REST
    )
    attacks = {each: ATTACKS[each] for each in ("accept side", "paths")}
    report = await run(settings_of(text), attacks)
    assert () == report.findings
    (note,) = report.notes
    assert note.startswith("route admin: callers that it refuses reach it if the app is lenient")
    assert "case" in note


async def test_many_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many routes, each is tried in each way in turn; what was left out is noted."""
    monkeypatch.setattr("gateway.selftest.attacks.paths.MOST_REQUESTS", 60)
    monkeypatch.setattr("gateway.selftest.attacks.paths.MOST_PLACES", 4)
    routes = "".join(
        f'  - {{name: r{number}, match: {{path: "/r{number}/*"}}, upstream: app}}\n'
        for number in range(9)
    )
    text = config(public("/assets/*") + routes + public("/old/*", ", rewrite: /r3", "old"))
    report = await run(
        settings_of(text), {name: ATTACKS[name] for name in ("accept side", "paths")}
    )
    assert [("reached-by-rewrite", "r3")] == [(each.code, each.route) for each in report.findings]
    assert (
        "paths: 4 of 9 protected routes were tried",
        "paths: only 60 requests for each caller were made",
    ) == report.notes


# --- a gateway that is broken -------------------------------------------------------------------

PLAIN = config(
    public("/assets/*") + ADMIN + REST, server=trusting('"10.0.0.0/8"', "x-forwarded-for")
)


@pytest.mark.parametrize(
    ("broken", "value", "code"),
    [
        ("gateway.routing.target._refuse_ambiguous_segments", None, "reached-by-dot-segments"),
        ("gateway.routing.resolver._Resolution._check_readings", None, "reached-by-encoded-slash"),
        ("gateway.routing.client_resolver.is_trusted", True, "address-spoofed"),
    ],
)
async def test_a_broken_gateway_is_found(
    monkeypatch: pytest.MonkeyPatch, broken: str, value: object, code: str
) -> None:
    """A selftest fails where the gateway itself does not do what it is there for."""
    monkeypatch.setattr(broken, lambda *_: value)
    assert code in {found.code for found in (await run(settings_of(PLAIN))).findings}


async def test_a_signature_that_is_not_checked_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forged token that makes a caller fails the selftest."""
    monkeypatch.setattr(SignatureChecker, "check", lambda *_: None)
    families = {name: ATTACKS[name] for name in ("accept side", "credentials")}
    (found,) = (await run(settings_of(PLAIN), families)).findings
    assert "credential-forged" == found.code


def _unreadable(_line: str) -> tuple[str, str]:
    raise ValueError("no field")


@pytest.mark.parametrize("family", ["smuggling", "header fields"])
async def test_what_no_server_can_read_is_no_pass(
    monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    """Octets that arrive and are no request are found, or at least are a gap."""
    monkeypatch.setattr("gateway.selftest.recorder._field", _unreadable)
    attacks = {family: ATTACKS[family]}
    report = await selftest(settings_of(PLAIN), attacks, WITHIN_S)
    codes = {found.code for found in report.findings}
    told = any("are no requests to a server" in gap for gap in report.gaps)
    assert told == (not codes)
    assert codes == ({"ambiguous-framing"} if family == "smuggling" else set())


# --- what it leaves alone -----------------------------------------------------------------------


async def test_nothing_of_the_config_is_reached() -> None:
    """No connection is made to the app, to the store or to Magic."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        text = config(
            public("/assets/*") + REST,
            upstreams=f'upstreams: {{app: {{servers: ["http://127.0.0.1:{port}"],'
            " health: {path: /up}}}\n",
        )
        text = text.replace("redis://store.internal:6379", f"redis://127.0.0.1:{port}")
        text = text.replace("client_id: x", f'api_url: "http://127.0.0.1:{port}"')
        assert (await run(settings_of(text))).requests["paths"] > 0
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_what_proves_nothing_is_no_pass() -> None:
    """Where no request of any caller arrives, the report says that the attacks prove nothing."""
    text = config('  - {name: rest, match: {path: "/*"}, upstream: app, allow: {roles: [staff]}}\n')
    report = await selftest(settings_of(text), QUICK, WITHIN_S)
    assert ("route rest: not shown that anyone reaches it",) == report.notes
    assert 1 == len(report.gaps)


@pytest.mark.parametrize("lifetime", ["5m", "1m"])
async def test_credentials_live_as_long_as_the_config_allows(lifetime: str) -> None:
    """So they are believed, and what forged ones lack is not their length."""
    more = (
        f"identity: {{max_token_lifetime: {lifetime}}}\n"
        "credentials: {jwt: [{issuer: https://id.example, audience: a, jwks_file: /k}]}\n"
    )
    routes = public("/assets/*") + (
        '  - {name: rest, match: {path: "/*"}, upstream: app}\n'
        '  - {name: jwt, match: {path: "/jwt/*"}, upstream: app, accept: [jwt]}\n'
    )
    attacks = {"accept side": ATTACKS["accept side"]}
    report = await run(settings_of(config(routes, more=more)), attacks)
    assert {"rest": "did-token", "jwt": "jwt"} == report.shown


async def test_credentials_that_are_not_believed_are_no_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where none of the selftest's own counts, the forged ones prove nothing either."""
    monkeypatch.setattr("gateway.selftest.lab.Lab.mint", lambda *_: "nothing")
    routes = public("/assets/*") + REST
    attacks = {"accept side": ATTACKS["accept side"]}
    report = await selftest(settings_of(config(routes)), attacks, WITHIN_S)
    assert {"route rest: the selftest's own credentials are refused"} == {*report.gaps[1:]}


async def test_time_is_bounded() -> None:
    """Families that are left when the time is over are named."""
    report = await selftest(settings_of(PLAIN), {"addresses": attack_addresses}, 0.0)
    assert ("addresses: not finished after 0 s",) == report.gaps[:1]
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("is_switch", [False, True], ids=["return_to", "the-page-before"])
async def test_an_open_redirect_after_a_logout_is_found(
    monkeypatch: pytest.MonkeyPatch, is_switch: bool
) -> None:
    """By the values that lead people astray after a login."""

    def led(_: SessionPages, request: web.Request) -> str:
        if "switch" in request.query:
            return f"login?return_to={quote(request.headers['Referer'] if is_switch else '/')}"
        return "signed-out" if is_switch else request.query["return_to"]

    attacks = {each: ATTACKS[each] for each in ("accept side", "redirects and cookies")}
    settings = settings_of(config(REST))
    assert () == (await run(settings, attacks)).findings
    monkeypatch.setattr(SessionPages, "_place_after", led)
    (found,) = (await run(settings, attacks)).findings
    assert "redirect-foreign" == found.code
    assert found.message.startswith("after a logout, the gateway redirects to another site: ")
    assert found.sent.startswith("POST /_gateway/logout?")


async def test_a_template_that_shows_markup_is_found(tmp_path: Path) -> None:
    """An operator's own template can leave out the escapes, and the selftest sees it."""
    page, settings = tmp_path / "account.html", settings_of(config(REST))
    own = settings.model_copy(update={"pages": PagesSettings(templates=str(tmp_path))})
    attacks = {"markup": ATTACKS["markup"]}
    page.write_text("{{ user.email }}")
    assert () == (await run(own, attacks)).findings
    page.write_text("{{ user.email|safe }}")
    (found,) = (await run(own, attacks)).findings
    assert "markup-in-page" == found.code
    assert "<script>selftest</script>@selftest.invalid" in found.arrived

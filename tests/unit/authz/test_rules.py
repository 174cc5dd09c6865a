"""Every key of a rule, and how rules are combined."""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authz import rules
from gateway.authz.rules import (
    Mailbox,
    Permissions,
    enforce_preflight,
    holds_for,
    mailbox,
    matcher_results,
)
from gateway.core.errors import Forbidden, Refusal, Unauthenticated
from gateway.core.identity import AuthMethod, Identity, User
from gateway.core.reasons import ForbiddenReason
from gateway.core.route import Route, Rule
from gateway.routing.client_address import client_at

WALLET = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
ISSUER = f"did:ethr:{WALLET}"
OTHER = "0x" + "ab" * 20

ALICE = Identity(
    User(ISSUER, "Alice@Example.com", WALLET),
    AuthMethod.SESSION,
    "tid-1",
    1_800_000_900_000,
    roles=("admin", "staff"),
    scopes=("read", "write"),
    permissions=("billing:read",),
)
CLIENT = client_at(ip_address("10.1.2.3"))

HIT, MISS, ABSENT, MALFORMED = "hit", "miss", "absent", "malformed"


def emailed(email: str | None) -> Identity:
    """Alice, with another email."""
    return replace(ALICE, user=replace(ALICE.user, email=email))


def addressed(address: str | None) -> Identity:
    """Alice with another public address."""
    return replace(ALICE, user=replace(ALICE.user, public_address=address))


def issued(issuer: str) -> Identity:
    """Another user."""
    return replace(ALICE, user=replace(ALICE.user, issuer=issuer))


def rule(**keys: Any) -> Rule:
    """Make a rule from lists."""
    sets: dict[str, Any] = {name: frozenset(values) for name, values in keys.items()}
    if "networks" in keys:
        sets["networks"] = tuple(map(ip_network, keys["networks"]))
    return Rule(**sets)


def verdict(
    route: Route, identity: Identity | None = ALICE, client: str = "10.1.2.3", method: str = "GET"
) -> str:
    """Return ``passes``, or the class and the reason of the refusal."""
    try:
        Permissions().enforce(route, identity, client_at(ip_address(client)), method)
    except Refusal as refusal:
        return f"{type(refusal).__name__} {refusal.reason}"
    return "passes"


def allowing(*rules: Rule) -> Route:
    """Make a route with these allow rules."""
    return Route("a", "/*", "app", allow=rules)


def denying(*rules: Rule) -> Route:
    """Make a route with these deny rules."""
    return Route("a", "/*", "app", deny=rules)


CALLERS = [
    pytest.param(rule(issuers=[ISSUER.lower()]), ALICE, HIT, id="issuer"),
    pytest.param(rule(issuers=[ISSUER.lower()]), issued(ISSUER.lower()), HIT, id="issuer-folded"),
    pytest.param(rule(issuers=["agent:7"]), issued("agent:7"), HIT, id="issuer-of-another-kind"),
    pytest.param(rule(issuers=["agent:7"]), issued("Agent:7"), MISS, id="case-sensitive-issuer"),
    pytest.param(rule(issuers=[f"did:ethr:{OTHER}"]), ALICE, MISS, id="another-issuer"),
    pytest.param(rule(issuers=[ISSUER.lower()]), issued(ISSUER + "0"), MISS, id="longer-issuer"),
    pytest.param(rule(issuers=[ISSUER.lower()]), None, ABSENT, id="no-identity"),
    pytest.param(rule(wallets=[WALLET.lower()]), ALICE, HIT, id="wallet"),
    pytest.param(rule(wallets=[WALLET.lower()]), issued("agent:7"), ABSENT, id="no-wallet"),
    pytest.param(rule(wallets=[WALLET.lower()]), issued(f"did:ethr:{OTHER}"), MISS, id="other-wallet"),
    pytest.param(rule(addresses=[WALLET.lower()]), ALICE, HIT, id="address"),
    pytest.param(rule(addresses=[WALLET.lower()]), addressed(OTHER), MISS, id="another-address"),
    pytest.param(rule(addresses=[WALLET.lower()]), addressed(None), ABSENT, id="no-address"),
    pytest.param(rule(addresses=["9xQeWvG8"]), addressed("9xQeWvG8"), HIT, id="another-chain"),
    pytest.param(rule(addresses=["9xQeWvG8"]), addressed("9xqewvg8"), MISS, id="case-sensitive-address"),
    pytest.param(rule(emails=["alice@example.com"]), ALICE, HIT, id="email"),
    pytest.param(rule(emails=["*@example.com"]), ALICE, HIT, id="all-of-a-domain"),
    pytest.param(rule(emails=["*@example.com"]), emailed("a@EXAMPLE.COM"), HIT, id="domain-case"),
    pytest.param(rule(emails=["alice@example.com"]), emailed("bob@example.com"), MISS, id="other-email"),
    pytest.param(rule(emails=["alice@example.com"]), emailed("alice+x@example.com"), MISS, id="tagged"),
    pytest.param(rule(emails=["*@example.com"]), emailed("a@sub.example.com"), MISS, id="a-subdomain"),
    pytest.param(rule(emails=["*@example.com"]), emailed("a@notexample.com"), MISS, id="a-suffix"),
    pytest.param(rule(emails=["*@example.com"]), emailed("a@example.com.evil.org"), MISS, id="a-prefix"),
    pytest.param(rule(emails=["*@example.com"]), emailed(None), ABSENT, id="no-email"),
    pytest.param(rule(emails=["*@example.com"]), emailed(""), ABSENT, id="empty-email"),
    pytest.param(rule(emails=["*@example.com"]), emailed("a@evil.org@example.com"), MALFORMED, id="two-at"),
    pytest.param(rule(emails=["*@evil.org"]), emailed("a@evil.org@example.com"), MALFORMED, id="two-at-before"),
    pytest.param(rule(emails=["*@example.com"]), emailed('"a@evil.org"@example.com'), MALFORMED, id="quoted-at"),
    pytest.param(rule(emails=["*@example.com"]), emailed("@example.com"), MALFORMED, id="no-local-part"),
    pytest.param(rule(emails=["*@example.com"]), emailed("a@example.com."), MALFORMED, id="final-dot"),
    pytest.param(rule(emails=["*@example.com"]), emailed("a@example.com\n"), MALFORMED, id="line-end"),
    pytest.param(rule(emails=["*@example.com"]), emailed("a @example.com"), MALFORMED, id="space"),
    pytest.param(rule(emails=["*@example.com"]), emailed("a@example。com"), MALFORMED, id="unicode-dot"),
    pytest.param(rule(emails=["k@example.com"]), emailed("\u212a@example.com"), MISS, id="kelvin"),
    pytest.param(rule(domains=["example.com"]), ALICE, HIT, id="domain"),
    pytest.param(rule(domains=["example.com"]), emailed("a@x.example.com"), MISS, id="below-a-domain"),
    pytest.param(rule(domains=["example.com"]), emailed("a@evilexample.com"), MISS, id="no-dot-boundary"),
    pytest.param(rule(domains=["*.example.com"]), emailed("a@x.y.example.com"), HIT, id="all-below"),
    pytest.param(rule(domains=["*.example.com"]), ALICE, MISS, id="below-is-not-itself"),
    pytest.param(rule(domains=["*.example.com"]), emailed("a@evilexample.com"), MISS, id="below-needs-a-dot"),
    pytest.param(rule(domains=["example.com"]), emailed(None), ABSENT, id="no-domain"),
    pytest.param(rule(domains=["example.com"]), emailed("example.com"), MALFORMED, id="a-bare-domain"),
    pytest.param(rule(roles=["admin", "root"]), ALICE, HIT, id="role"),
    pytest.param(rule(roles=["Admin"]), ALICE, MISS, id="case-sensitive-role"),
    pytest.param(rule(roles=["admin"]), replace(ALICE, roles=()), ABSENT, id="no-roles"),
    pytest.param(rule(roles=["admin"]), replace(ALICE, roles=None), MALFORMED, id="unknown-roles"),
    pytest.param(rule(scopes=["write"]), ALICE, HIT, id="scope"),
    pytest.param(rule(scopes=["writ"]), ALICE, MISS, id="another-scope"),
    pytest.param(rule(scopes=["write"]), replace(ALICE, scopes=()), ABSENT, id="no-scopes"),
    pytest.param(rule(auth_methods=[AuthMethod.SESSION]), ALICE, HIT, id="auth-method"),
    pytest.param(rule(auth_methods=[AuthMethod.API_KEY]), ALICE, MISS, id="another-auth-method"),
    pytest.param(rule(auth_methods=[AuthMethod.API_KEY]), None, ABSENT, id="no-identity-by-any-method"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "identity", "fits"), CALLERS)
def test_allow(asked: Rule, identity: Identity | None, fits: str) -> None:
    """An allow rule matches only what is certain."""
    assert (fits == HIT) == (verdict(allowing(asked), identity) == "passes")


@pytest.mark.parametrize(("asked", "identity", "fits"), CALLERS)
def test_deny(asked: Rule, identity: Identity | None, fits: str) -> None:
    """A deny rule matches in doubt too, but not an absent value."""
    expected = "Forbidden denied" if fits in (HIT, MALFORMED) else "passes"
    assert expected == verdict(denying(asked), identity)


@pytest.mark.parametrize(("asked", "identity", "fits"), CALLERS)
def test_a_role_is_granted_only_for_certain(
    asked: Rule, identity: Identity | None, fits: str
) -> None:
    """The rule of a grant matches as an allow rule does."""
    if identity is not None:
        assert (fits == HIT) == holds_for(asked, identity)


REQUESTS = [
    pytest.param(rule(networks=["10.0.0.0/8"]), "10.255.0.1", "GET", HIT, id="network"),
    pytest.param(rule(networks=["10.0.0.0/8"]), "11.0.0.1", "GET", MISS, id="beside-the-network"),
    pytest.param(rule(networks=["10.0.0.0/8"]), "2001:db8::1", "GET", MISS, id="another-version"),
    pytest.param(rule(networks=["10.0.0.0/8", "2001:db8::/32"]), "2001:db8::1", "GET", HIT, id="second-network"),
    pytest.param(rule(methods=["GET", "HEAD"]), "10.0.0.1", "HEAD", HIT, id="method"),
    pytest.param(rule(methods=["GET", "HEAD"]), "10.0.0.1", "POST", MISS, id="another-method"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "client", "method", "fits"), REQUESTS)
def test_rules_about_requests(asked: Rule, client: str, method: str, fits: str) -> None:
    """Network and method are compared beside the caller."""
    assert (fits == HIT) == (verdict(allowing(asked), ALICE, client, method) == "passes")
    assert (fits == HIT) == (verdict(denying(asked), ALICE, client, method) != "passes")


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        pytest.param(Route("a", "/*", "app"), "passes", id="no-rules"),
        pytest.param(
            allowing(rule(roles=["x"]), rule(roles=["admin"])), "passes", id="any-rule-is-enough"
        ),
        pytest.param(
            allowing(rule(roles=["admin"], scopes=["x"])),
            "Forbidden scope_missing",
            id="all-keys-of-a-rule-must-hold",
        ),
        pytest.param(
            Route("a", "/*", "app", allow=(rule(roles=["admin"]),), deny=(rule(roles=["staff"]),)),
            "Forbidden denied",
            id="deny-wins",
        ),
        pytest.param(
            denying(rule(roles=["staff"], methods=["POST"])), "passes", id="deny-needs-all-keys"
        ),
        pytest.param(
            denying(rule(roles=["x"]), rule(roles=["staff"])), "Forbidden denied", id="any-deny"
        ),
        pytest.param(allowing(rule(roles=["x"])), "Forbidden role_missing", id="why-role"),
        pytest.param(
            allowing(rule(permissions=["x"])), "Forbidden permission_missing", id="why-permission"
        ),
        pytest.param(
            allowing(rule(permissions=["billing:read", "x"])), "passes", id="any-permission"
        ),
        pytest.param(
            allowing(rule(permissions=["billing"])),
            "Forbidden permission_missing",
            id="no-part-of-a-permission",
        ),
        pytest.param(
            denying(rule(permissions=["billing:read"])), "Forbidden denied", id="denied-permission"
        ),
        pytest.param(allowing(rule(emails=["b@x.org"])), "Forbidden not_listed", id="why-listed"),
        pytest.param(
            allowing(rule(networks=["11.0.0.0/8"])), "Forbidden network_not_allowed", id="why-net"
        ),
        pytest.param(
            allowing(rule(methods=["POST"])), "Forbidden method_not_allowed", id="why-method"
        ),
        pytest.param(
            allowing(rule(auth_methods=[AuthMethod.JWT])),
            "Forbidden credential_not_allowed",
            id="why-credential",
        ),
        pytest.param(
            allowing(rule(roles=["x"], scopes=["x"]), rule(scopes=["x"])),
            "Forbidden scope_missing",
            id="why-by-the-nearest-rule",
        ),
    ],
)
def test_rules_are_combined(route: Route, expected: str) -> None:
    """Deny goes first; then one rule of allow is enough; the reason is that of the nearest rule."""
    assert expected == verdict(route)


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        pytest.param(
            allowing(rule(roles=["admin"])), "Unauthenticated sign_in_to_be_judged", id="sign-in"
        ),
        pytest.param(allowing(rule(networks=["10.0.0.0/8"])), "passes", id="from-the-office"),
        pytest.param(
            allowing(rule(roles=["admin"], networks=["11.0.0.0/8"])),
            "Forbidden network_not_allowed",
            id="signing-in-would-not-help",
        ),
        pytest.param(denying(rule(roles=["admin"])), "passes", id="no-identity-has-no-role"),
        pytest.param(denying(rule(networks=["10.0.0.0/8"])), "Forbidden denied", id="denied"),
    ],
)
def test_requests_without_identity(route: Route, expected: str) -> None:
    """Where authentication is optional, they are asked to sign in if that may help."""
    assert expected == verdict(route, None)


def test_rules_are_cached_for_one_caller_on_one_route() -> None:
    """Another identity object, or another route, is evaluated anew."""
    permissions = Permissions()
    admins, others = allowing(rule(roles=["admin"])), allowing(rule(roles=["other"]))
    permissions.enforce(admins, ALICE, CLIENT, "GET")
    permissions.enforce(admins, ALICE, CLIENT, "GET")
    assert 1 == len(permissions._known)
    with pytest.raises(Forbidden):
        permissions.enforce(others, ALICE, CLIENT, "GET")
    with pytest.raises(Forbidden):
        permissions.enforce(admins, replace(ALICE, roles=()), CLIENT, "GET")
    with pytest.raises(Unauthenticated):
        permissions.enforce(admins, None, CLIENT, "GET")


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many callers there are, memory does not grow."""
    monkeypatch.setattr(rules, "_MAX_CACHED", 2)
    permissions = Permissions()
    route = allowing(rule(roles=["admin"]))
    for number in range(5):
        permissions.enforce(route, replace(ALICE, token_id=str(number)), CLIENT, "GET")
    assert 2 == len(permissions._known)


@pytest.mark.parametrize(
    ("email", "expected"),
    [
        ("Alice@Example.COM", Mailbox("alice", "example.com")),
        ("zoë@example.com", Mailbox("zoë", "example.com")),
        ("a.b+c@localhost", Mailbox("a.b+c", "localhost")),
        ("a@xn--mnchen-3ya.de", Mailbox("a", "xn--mnchen-3ya.de")),
        ("a@münchen.de", None),
        ("a@-x.org", None),
        ("a@x..org", None),
        ("a@[127.0.0.1]", None),
        ("a,b@x.org", None),
        ("", None),
    ],
)
def test_mailbox(email: str, expected: Mailbox | None) -> None:
    """Both parts of an address are read, or none: never a guess."""
    assert expected == mailbox(email)


@given(st.text(max_size=40))
def test_mailbox_is_unambiguous(text: str) -> None:
    """A readable address has one @, and is read the same again."""
    box = mailbox(text)
    if box is not None:
        assert 1 == text.count("@")
        assert box == mailbox(f"{box.local}@{box.domain}")


def test_every_refusal_has_a_documented_reason() -> None:
    """The reasons in answers are those of the documentation."""
    with pytest.raises(Forbidden) as refused:
        Permissions().enforce(denying(rule(roles=["admin"])), ALICE, CLIENT, "GET")
    assert refused.value.reason is ForbiddenReason.DENIED


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param({}, "", id="no-rules"),
        pytest.param({"allow": [rule(roles=["admin"])]}, "", id="an-unknown-caller"),
        pytest.param({"allow": [rule(methods=["PUT"])]}, "", id="it-asks-about-another-method"),
        pytest.param({"allow": [rule(networks=["10.0.0.0/8"])]}, "", id="from-there"),
        pytest.param(
            {"allow": [rule(networks=["192.0.2.0/24"], roles=["admin"]), rule(roles=["x"])]},
            "",
            id="anywhere-for-some",
        ),
        pytest.param(
            {"allow": [rule(networks=["192.0.2.0/24"]), rule(networks=["2001:db8::/32"])]},
            "network_not_allowed",
            id="from-elsewhere",
        ),
        pytest.param({"deny": [rule(networks=["10.0.0.0/8"])]}, "denied", id="denied-from-there"),
        pytest.param({"deny": [rule(networks=["192.0.2.0/24"])]}, "", id="denied-elsewhere"),
        pytest.param({"deny": [rule(methods=["OPTIONS"])]}, "denied", id="denied-method"),
        pytest.param({"deny": [rule(roles=["admin"])]}, "", id="denied-to-some-callers"),
    ],
)
def test_preflights(rules: dict[str, Any], expected: str) -> None:
    """They need no authentication; networks that are refused otherwise stay refused."""
    allow, deny = tuple(rules.get("allow", ())), tuple(rules.get("deny", ()))
    route, reason = Route("r", "/*", "app", allow=allow, deny=deny), ""
    try:
        enforce_preflight(route, CLIENT, "OPTIONS")
    except Forbidden as refusal:
        reason = refusal.reason
    assert expected == reason


def test_each_matcher_is_judged_by_itself() -> None:
    """For explanations: a rule holds where all of its matchers do."""
    asked = rule(roles=["admin"], domains=["example.com"], scopes=["other"], methods=["GET"])
    expected = {"roles": True, "domains": True, "scopes": False, "methods": True}
    found = matcher_results(asked, ALICE, CLIENT, "GET", doubtful=False)
    assert expected == found
    assert not matcher_results(asked, ALICE, CLIENT, "PUT", doubtful=False)["methods"]
    unknown = replace(ALICE, roles=None)
    for doubtful in (True, False):
        found = matcher_results(rule(roles=["x"]), unknown, CLIENT, "GET", doubtful=doubtful)
        assert {"roles": doubtful} == found
    assert {} == matcher_results(Rule(), None, CLIENT, "GET", doubtful=False)

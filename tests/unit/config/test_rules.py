"""Rules in ``allow``, ``deny`` and ``identity.roles``, and their compiled form."""

from collections.abc import Callable
from ipaddress import ip_network

import pytest

from gateway.config.compile import grants, routes
from gateway.config.schema import Settings
from gateway.core.identity import AuthMethod
from gateway.core.route import Grant, Rule

Read = Callable[..., Settings]
Complain = Callable[..., list[str]]

ROUTE = "routes: [{{name: a, match: {{path: /a}}, upstream: app, {more}}}]"
WALLET = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


def route(more: str) -> str:
    """A config with one route."""
    return ROUTE.format(more=more)


def test_a_rule_is_compiled(read: Read) -> None:
    """Every key of a rule is compiled to normalised values."""
    (made,) = routes(
        read(
            route(
                f"allow: {{issuers: ['did:ethr:{WALLET}', 'Agent:7'],"
                " emails: ['A@B.org', '*@C.org'],"
                f" domains: [D.org, '*.E.org'], addresses: ['{WALLET}', SoLaNa{'x' * 20}],"
                f" wallets: ['{WALLET.lower()}'], roles: [admin], scopes: ['read:all'],"
                " auth_methods: [jwt], networks: [10.0.0.0/8, 'unix:'], methods: [GET]}"
            )
        )
    )
    assert made.allow == (
        Rule(
            issuers=frozenset({f"did:ethr:{WALLET.lower()}", "Agent:7"}),
            emails=frozenset({"a@b.org", "*@c.org"}),
            domains=frozenset({"d.org", "*.e.org"}),
            addresses=frozenset({WALLET.lower(), "SoLaNa" + "x" * 20}),
            wallets=frozenset({WALLET.lower()}),
            roles=frozenset({"admin"}),
            scopes=frozenset({"read:all"}),
            auth_methods=frozenset({AuthMethod.JWT}),
            networks=(ip_network("10.0.0.0/8"), ip_network("::/128")),
            methods=frozenset({"GET", "HEAD"}),
        ),
    )
    assert () == made.deny


def test_one_rule_or_a_list(read: Read) -> None:
    """A rule that is not in a list is a list of one."""
    text = route("allow: {roles: [a]}, deny: [{roles: [b]}, {methods: [POST]}]")
    (made,) = routes(read(text))
    assert made.allow == (Rule(roles=frozenset({"a"})),)
    assert made.deny == (Rule(roles=frozenset({"b"})), Rule(methods=frozenset({"POST"})))


def test_roles(read: Read) -> None:
    """Each entry becomes a grant: a role, and the rule that gives it."""
    text = "identity: {roles: [{role: staff, emails: ['*@a.org']}, {role: staff, issuers: [x]}]}"
    assert grants(read(text)) == (
        Grant("staff", Rule(emails=frozenset({"*@a.org"}))),
        Grant("staff", Rule(issuers=frozenset({"x"}))),
    )


@pytest.mark.parametrize(
    ("more", "key", "fault"),
    [
        ("allow: {}", "allow[0]", "expected at least one condition"),
        ("allow: []", "allow", "expected at least one entry"),
        ("allow: ", "allow", "expected a value; leave the key out for the default"),
        ("allow: all", "allow", "expected a list"),
        ("allow: {roles: []}", "allow[0].roles", "expected at least one entry"),
        ("allow: {roles: }", "allow[0].roles", "expected a value; leave the key out"),
        ("allow: {roles: admin}", "allow[0].roles", "expected a list"),
        ("allow: {role: [a]}", "allow[0].role", "unknown key, did you mean roles?"),
        ("deny: [{roles: [a b]}]", "deny[0].roles[0]", "expected the name of a role"),
        ("allow: {emails: ['a@b@c.org']}", "allow[0].emails[0]", "expected an email address"),
        ("allow: {emails: ['*']}", "allow[0].emails[0]", "expected an email address"),
        ("allow: {emails: ['a*@b.org']}", "allow[0].emails[0]", "expected an email address"),
        ("allow: {emails: ['*@*.b.org']}", "allow[0].emails[0]", "expected an email address"),
        ("allow: {emails: ['*@b.org.']}", "allow[0].emails[0]", "expected an email address"),
        ("allow: {domains: ['@b.org']}", "allow[0].domains[0]", "expected a domain"),
        ("allow: {domains: ['*b.org']}", "allow[0].domains[0]", "expected a domain"),
        ("allow: {domains: ['*']}", "allow[0].domains[0]", "expected a domain"),
        ("allow: {domains: ['.b.org']}", "allow[0].domains[0]", "expected a domain"),
        ("allow: {issuers: ['did:ethr:0x1']}", "allow[0].issuers[0]", "expected 0x and 40 hex"),
        ("allow: {issuers: ['did:*']}", "allow[0].issuers[0]", "expected an issuer"),
        ("allow: {issuers: ['a b']}", "allow[0].issuers[0]", "expected an issuer"),
        (
            f"allow: {{issuers: ['did:ethr:{WALLET.replace('5a', '5A')}']}}",
            "allow[0].issuers[0]",
            "the case of its letters is not the checksum of this address (EIP-55)",
        ),
        ("allow: {addresses: [me]}", "allow[0].addresses[0]", "expected a public address"),
        ("allow: {addresses: ['0x12']}", "allow[0].addresses[0]", "expected 0x and 40 hex"),
        ("allow: {wallets: [me]}", "allow[0].wallets[0]", "expected 0x and 40 hex digits"),
        ("allow: {scopes: ['a b']}", "allow[0].scopes[0]", "expected the name of a scope"),
        ("allow: {auth_methods: [magic]}", "allow[0].auth_methods[0]", "expected 'session',"),
        (
            "allow: {networks: [0.0.0.0/0]}",
            "allow[0].networks[0]",
            "a /0 network matches all clients",
        ),
        ("allow: {networks: ['::/0']}", "allow[0].networks[0]", "a /0 network matches all clients"),
        ("allow: {networks: [10.0.0.1/8]}", "allow[0].networks[0]", "has bits set beyond its /8"),
        (
            "allow: {networks: ['::ffff:1.0.0.0/104']}",
            "allow[0].networks[0]",
            "write it as an IPv4",
        ),
        ("allow: {methods: [get]}", "allow[0].methods[0]", "expected a request method"),
        ("auth: none, allow: {methods: [GET]}", "allow", "not allowed with auth: none"),
        ("auth: none, deny: {roles: [a]}", "deny.roles", "not allowed with auth: none"),
        ("auth: none, deny: [{roles: [a]}]", "deny[0].roles", "not allowed with auth: none"),
    ],
)
def test_invalid_rules(complaints: Complain, more: str, key: str, fault: str) -> None:
    """A rule without conditions, or with a value that could be misread, is refused."""
    (problem,) = complaints(route(more))
    assert problem.startswith(f"gateway.yaml:1: routes[0].{key}: {fault}")


def test_a_public_route_may_deny_networks_and_methods(complaints: Complain) -> None:
    """They are known without authentication."""
    more = "auth: none, limits: [], deny: {networks: [10.0.0.0/8], methods: [POST]}"
    assert [] == complaints(route(more))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{role: a}", "identity.roles[0]: expected at least one condition"),
        ("{emails: [a@b.org]}", "identity.roles[0].role: required"),
        ("{role: 'a,b', emails: [a@b.org]}", "identity.roles[0].role: expected the name of a role"),
        ("{role: a, networks: [10.0.0.0/8]}", "identity.roles[0].networks: unknown key"),
        ("{role: a, roles: [b]}", "identity.roles[0].roles: unknown key, did you mean role?"),
    ],
)
def test_invalid_roles(complaints: Complain, text: str, fault: str) -> None:
    """A role depends on the caller, and not on the client's address or the request."""
    (problem,) = complaints(f"identity: {{roles: [{text}]}}")
    assert problem.startswith(f"gateway.yaml:1: {fault}")


@pytest.mark.parametrize(
    "address",
    [
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",  # the examples of EIP-55
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        "0x" + "AB" * 20,
        "0x" + "ab" * 20,
    ],
)
def test_addresses_with_a_checksum(read: Read, address: str) -> None:
    """An address with the right checksum, or without any, is accepted."""
    (made,) = routes(read(route(f"allow: {{wallets: ['{address}']}}")))
    assert made.allow == (Rule(wallets=frozenset({address.lower()})),)

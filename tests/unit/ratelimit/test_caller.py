"""What a limit takes for one caller."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.identity import AuthMethod, Identity, User
from gateway.core.limit import Limit
from gateway.core.request import Client
from gateway.ratelimit.caller import MAX_CHARS, NONE, caller_named, caller_of
from tests.fakes.heads import request_head
from tests.fakes.ports import ISSUER, SESSION_IDENTITY, TOKEN_IDENTITY

KEY_IDENTITY = Identity(User("service:robot"), AuthMethod.API_KEY, "key-1", 1_800_000_900_000)
STAFF = replace(TOKEN_IDENTITY, roles=("admin", "staff"))
NO_EMAIL = replace(TOKEN_IDENTITY, user=User(ISSUER))
ODD_EMAIL = replace(TOKEN_IDENTITY, user=User(ISSUER, email="not an address"))
UNKNOWN_ROLES = replace(TOKEN_IDENTITY, roles=None)
PIPED = replace(TOKEN_IDENTITY, user=User("https://login.example.com#auth0|42"))
BRACED = replace(TOKEN_IDENTITY, user=User("https://login.example.com#{42}"))
NAMED_LIKE_A_FALLBACK = replace(TOKEN_IDENTITY, user=User("ip=203.0.113.9"))

IP = "203.0.113.9"
TENANT = ("X-Tenant", "acme")


def caller(
    per: str, *fields: tuple[str, str], identity: Identity | None = None, peer: str = IP
) -> str:
    head = request_head(*fields, peer=peer)
    return caller_of(
        Limit("api", 10, 60, per=tuple(per.split())), head, "orders", head.peer, identity
    )


@pytest.mark.parametrize(
    ("per", "identity", "expected"),
    [
        pytest.param("ip", TOKEN_IDENTITY, IP, id="ip"),
        pytest.param("route", None, "orders", id="route"),
        pytest.param("header:x-tenant", None, "acme", id="header"),
        pytest.param("issuer", TOKEN_IDENTITY, ISSUER, id="issuer"),
        pytest.param("issuer", PIPED, PIPED.user.issuer, id="issuer-of-a-jwt"),
        pytest.param("session", SESSION_IDENTITY, "session:1", id="session"),
        pytest.param("api-key", KEY_IDENTITY, "key-1", id="api-key"),
        pytest.param("email", TOKEN_IDENTITY, "alice@example.com", id="email"),
        pytest.param("role", STAFF, "admin,staff", id="role"),
        # What a request lacks.
        pytest.param("header:x-other", None, NONE, id="no-header"),
        pytest.param("role", TOKEN_IDENTITY, NONE, id="no-role"),
        pytest.param("issuer", None, f"ip={IP}", id="anonymous-by-issuer"),
        pytest.param("session", None, f"ip={IP}", id="anonymous-by-session"),
        pytest.param("api-key", None, f"ip={IP}", id="anonymous-by-api-key"),
        pytest.param("email", None, f"ip={IP}", id="anonymous-by-email"),
        pytest.param("role", None, f"ip={IP}", id="anonymous-by-role"),
        pytest.param("session", TOKEN_IDENTITY, f"issuer={ISSUER}", id="no-session"),
        pytest.param("api-key", TOKEN_IDENTITY, f"issuer={ISSUER}", id="no-api-key"),
        pytest.param("email", NO_EMAIL, f"issuer={ISSUER}", id="no-email"),
        pytest.param("role", UNKNOWN_ROLES, f"issuer={ISSUER}", id="roles-unknown"),
        # Several parts are one key.
        pytest.param("ip route", None, f"{IP} orders", id="address-and-route"),
        pytest.param("issuer ip", TOKEN_IDENTITY, f"{ISSUER} {IP}", id="issuer-and-address"),
        pytest.param("header:x-tenant issuer", None, f"acme ip={IP}", id="header-and-anonymous"),
    ],
)
def test_a_caller_is_named_by_what_the_limit_asks_for(
    per: str, identity: Identity | None, expected: str
) -> None:
    """What is usual stays readable, as operators and apps write it too."""
    assert expected == caller(per, TENANT, identity=identity)


def test_an_ipv6_network_is_one_caller() -> None:
    """Its addresses share a counter, as in all limits by address."""
    assert "2001:db8::/64" == caller("ip", peer="2001:db8::1") == caller("ip", peer="2001:db8::2")
    assert "ip=2001:db8::/64" == caller("issuer", peer="2001:db8::3")


def test_spellings_of_one_email_address_are_one_caller() -> None:
    """Magic compares them without case; what is no address is hashed."""
    shouted = replace(TOKEN_IDENTITY, user=User(ISSUER, email="Alice@Example.COM"))
    assert "alice@example.com" == caller("email", identity=shouted)
    assert caller("email", identity=ODD_EMAIL).startswith("#")


@pytest.mark.parametrize(
    "value",
    [
        "x" * (MAX_CHARS + 1),
        "{tag}",
        "a b",
        "é",
        "none",
        "#0123",
        "ip=203.0.113.9",
        "issuer=did:ethr:0x1",
        "",
    ],
)
def test_what_would_be_mistaken_is_hashed(value: str) -> None:
    """A value of a client can neither name another caller nor break a key of the store."""
    text = caller("header:x-tenant", ("X-Tenant", value))
    assert 33 == len(text)
    assert text.startswith("#")
    assert text == caller("header:x-tenant", ("X-Tenant", value))
    assert text != caller("header:x-tenant", ("X-Tenant", value + "2"))


def test_the_longest_value_is_kept() -> None:
    """Up to the bound a value is readable."""
    assert "x" * MAX_CHARS == caller("header:x-tenant", ("X-Tenant", "x" * MAX_CHARS))


@pytest.mark.parametrize(
    "identity", [BRACED, NAMED_LIKE_A_FALLBACK], ids=["braces", "like-an-address"]
)
def test_an_issuer_cannot_be_another_caller(identity: Identity) -> None:
    """A token's subject is what its issuer says."""
    assert caller("issuer", identity=identity).startswith("#")


@pytest.mark.parametrize(
    "name",
    [
        *("authorization", "cookie", "x-api-key", "x-auth-token", "x-amz-signature"),
        *("x-bearer", "cf-access-jwt", "x-passcode", "x-pass", "x-otp", "x-saml-assertion"),
    ],
)
def test_fields_that_may_hold_a_credential_are_hashed(name: str) -> None:
    """No credential becomes a key of the store."""
    assert "#" == caller(f"header:{name}", (name, "hunter2"))[0]
    assert NONE == caller(f"header:{name}")


def test_repeated_fields_are_one_value() -> None:
    """As RFC 9110 reads them; other values are another caller."""
    twice = caller("header:x-tenant", TENANT, ("X-Tenant", "b"))
    assert caller("header:x-tenant", ("X-Tenant", "acme, b")) == twice
    assert caller("header:x-tenant", TENANT) != twice


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=40)


@given(st.lists(st.tuples(TEXT, TEXT), min_size=2, max_size=2, unique=True))
def test_a_combined_key_is_unambiguous(pairs: list[tuple[str, str]]) -> None:
    """Two requests share it only if all their parts are the same."""
    first, second = (
        caller("header:x-a header:x-b", ("X-A", one), ("X-B", other)) for one, other in pairs
    )
    assert first != second


@given(TEXT, TEXT, TEXT)
def test_a_key_is_short_and_printable(one: str, other: str, third: str) -> None:
    """Whatever a client sends, and however many parts there are."""
    fields = (("X-A", one * 9), ("X-B", other * 9), ("X-C", third * 9))
    text = caller("header:x-a header:x-b header:x-c ip issuer", *fields)
    assert len(text) <= 2 * MAX_CHARS
    assert text.isprintable()
    assert text.isascii()
    assert not set("{}") & set(text)


def test_a_long_combined_key_is_hashed_as_a_whole() -> None:
    """Its parts still count."""
    fields = [(f"X-{name}", name * MAX_CHARS) for name in "AB"]
    first = caller("header:x-a header:x-b ip", *fields)
    assert 33 == len(first)
    assert first != caller("header:x-a header:x-b ip", fields[0], ("X-B", "b" * MAX_CHARS))


def test_a_client_without_an_address_is_a_caller() -> None:
    """Peers at a unix socket are told apart by nothing else."""
    client = Client(request_head().peer.address, "unix:", "unix:")
    limit = Limit("api", 10, 60)
    assert "unix:" == caller_of(limit, request_head(), "orders", client, None)


@pytest.mark.parametrize(
    ("per", "parts", "expected"),
    [
        (("ip",), ("203.0.113.9",), "203.0.113.9"),
        (("issuer",), ("ip=203.0.113.9",), "ip=203.0.113.9"),
        (("email",), ("issuer=service:x",), "issuer=service:x"),
        (("role",), ("none",), "none"),
        (("header:x-tenant", "route"), ("acme", "all"), "acme all"),
        (("header:x-tenant",), ("a b",), None),
        (("header:x-api-key",), ("secret",), None),
        (("header:x-a", "header:x-b"), ("a" * 128, "b" * 128), None),
    ],
)
def test_an_operator_names_a_caller_as_it_is_counted(
    per: tuple[str, ...], parts: tuple[str, ...], expected: str | None
) -> None:
    """By the same text, or the same hash, as the request of that caller."""
    named = caller_named(per, parts)
    if expected is not None:
        assert expected == named
        return
    fields = [(name.removeprefix("header:"), part) for name, part in zip(per, parts, strict=True)]
    head = request_head(*fields)
    assert caller_of(Limit("a", 1, 1, per=per), head, "all", head.peer, None) == named

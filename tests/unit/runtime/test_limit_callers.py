"""The counter that a caller on the command line means."""

import pytest

from gateway.core.email import canonical_email
from gateway.core.identity import AuthMethod, Identity, User
from gateway.core.limit import Limit
from gateway.ratelimit.caller import caller_of
from gateway.runtime.limit_callers import find_counted
from tests.fakes.heads import request_head
from tests.fakes.services import settings_of

IP = "203.0.113.9"
LONG = "x" * 200
ISSUER = "https://login.example.com#{42}"
ALICE = Identity(User(ISSUER, "alice@example.com"), AuthMethod.JWT, "t", 1_800_000_900_000)
SETTINGS = settings_of("""
limits:
  tenant: {rate: 5/minute, per: "header:X-Tenant"}
  key: {rate: 5/minute, per: [ip, "header:X-Api-Key"]}
  both: {rate: 5/minute, per: ["header:X-Tenant", "header:X-Other"]}
  person: {rate: 5/minute, per: [issuer, route]}
  email: {rate: 5/minute, per: email}
""")


@pytest.mark.parametrize(
    ("limit", "text", "fields"),
    [
        ("tenant", "acme", {"X-Tenant": "acme"}),
        ("tenant", "acme inc {1}", {"X-Tenant": "acme inc {1}"}),
        ("tenant", "caf\u00e9", {"X-Tenant": "caf\u00e9"}),
        ("tenant", "none", {}),
        ("tenant", LONG, {"X-Tenant": LONG}),
        ("key", f"{IP} s3cret", {"X-Api-Key": "s3cret"}),
        ("both", f"{'a' * 128} {'b' * 128}", {"X-Tenant": "a" * 128, "X-Other": "b" * 128}),
        ("person", f"{ISSUER} orders", {}),
        ("email", "Alice@Example.com", {}),
    ],
)
def test_a_caller_is_named_as_it_is_counted(limit: str, text: str, fields: dict[str, str]) -> None:
    """What gateways hash is hashed here, too: no credential is shown, or becomes a key."""
    head = request_head(*fields.items(), peer=IP)
    per = SETTINGS.limits[limit].per

    counted = find_counted(SETTINGS, limit, text)

    assert counted.caller == caller_of(Limit("a", 1, 1, per=per), head, "orders", head.peer, ALICE)
    assert "s3cret" not in counted.caller


def test_a_hash_is_written_as_it_is_shown() -> None:
    """So is what says that a part is missing; lists are asked about what is known."""
    shown = find_counted(SETTINGS, "key", f"{IP} s3cret").caller

    assert shown == find_counted(SETTINGS, "key", shown).caller
    assert f"ip={IP} orders" == find_counted(SETTINGS, "person", f"ip={IP} orders").caller
    found = find_counted(SETTINGS, "email", "Alice@Example.com")
    assert found.user == User("", canonical_email("alice@example.com"))


def test_parts_that_are_missing_are_told() -> None:
    """A value with a space is one part where the limit counts by it alone."""
    with pytest.raises(ValueError, match="counts by ip and header:x-api-key: write them"):
        find_counted(SETTINGS, "key", IP)

"""Identity and address of a page's caller."""

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.core.errors import Unauthenticated
from gateway.core.identity import AuthMethod, Identity, User, Wallet
from gateway.headers.request import internal_identity
from gateway.pages.caller import address, caller, replaced, require_caller

ADA = Identity(
    user=User("did:ethr:0x1", email="ada@example.com", wallets=(Wallet("0x2", "ETH"),)),
    method=AuthMethod.SESSION,
    token_id="t",
    expires_at_ms=1,
    session_key="session:ä",
    proven_at_ms=2,
    roles=("admin",),
    scopes=("read",),
)


def test_the_identity_arrives_as_it_was_sent() -> None:
    """With every member, wallets and roles too."""
    name, _, value = internal_identity(ADA).decode().rstrip().partition(": ")
    request = make_mocked_request("GET", "/", {name: value})
    assert ADA == caller(request) == require_caller(request)


def test_a_request_without_an_identity() -> None:
    """It has none, and a page that needs one refuses it."""
    request = make_mocked_request("GET", "/")
    assert caller(request) is None
    with pytest.raises(Unauthenticated):
        require_caller(request)


def test_address_and_replaced_sessions() -> None:
    """Each has a field of its own; without it they are empty."""
    fields = {"X-Gateway-Client": "192.0.2.1", "X-Gateway-Replaced": "a b"}
    request = make_mocked_request("GET", "/", fields)
    assert ("192.0.2.1", ["a", "b"]) == (address(request), replaced(request))
    bare = make_mocked_request("GET", "/")
    assert ("", []) == (address(bare), replaced(bare))

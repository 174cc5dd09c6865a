"""The deny and allow lists of limits."""

from ipaddress import ip_address

import pytest

from gateway.core.errors import DeniedByLimit
from gateway.core.identity import User
from gateway.core.limit import Limit
from gateway.ratelimit.entry import read_entry
from gateway.ratelimit.lists import LimitLists, ListKind
from gateway.ratelimit.matcher import Matcher

API, OTHER = Limit("api", 5, 60), Limit("other", 5, 60)
HERE, THERE = ip_address("192.0.2.1"), ip_address("192.0.2.2")
ADA, BOB = User("service:ada", "ada@example.com"), User("service:bob", "bob@example.com")


def lists_of(**texts: str) -> LimitLists:
    """Return lists of the limit ``api``; each text has entries between spaces."""
    lists = LimitLists()
    for kind, text in texts.items():
        lists.put("api", ListKind(kind), "config", Matcher(map(read_entry, text.split())))
    return lists


def test_who_is_denied_is_refused_by_the_limit_that_says_so() -> None:
    """Others pass, and other limits say nothing of it."""
    lists = lists_of(deny="192.0.2.1 ada@example.com")
    with pytest.raises(DeniedByLimit) as refusal:
        lists.refuse_address((OTHER, API), HERE)
    assert "limit api" == refusal.value.reason
    with pytest.raises(DeniedByLimit):
        lists.refuse_user((API,), ADA)
    lists.refuse_address((API,), THERE)
    lists.refuse_address((OTHER,), HERE)
    lists.refuse_user((API,), BOB)
    lists.refuse_user((OTHER,), ADA)


@pytest.mark.parametrize(
    ("address", "user", "expected"),
    [
        (HERE, None, (OTHER,)),
        (THERE, None, (API, OTHER)),
        (THERE, ADA, (OTHER,)),
        (THERE, BOB, (API, OTHER)),
    ],
)
def test_who_is_allowed_is_not_counted_by_the_limit(
    address: object, user: User | None, expected: tuple[Limit, ...]
) -> None:
    """By address, and by identity once that is known; other limits count on."""
    lists = lists_of(allow="192.0.2.1 service:ada")
    assert expected == lists.counted((API, OTHER), ip_address(str(address)), user)


def test_who_is_on_both_lists_is_denied() -> None:
    """So an exception can be made of a network that is allowed."""
    with pytest.raises(DeniedByLimit):
        lists_of(deny="192.0.2.1", allow="192.0.2.0/24").refuse_address((API,), HERE)


def test_an_ambiguous_email_address_is_denied_and_not_allowed() -> None:
    """Where a list names email addresses: it could be one of them."""
    odd = User("service:odd", "odd@evil.example@example.com")
    lists = lists_of(deny="*@spam.example", allow="*@example.com")
    with pytest.raises(DeniedByLimit):
        lists.refuse_user((API,), odd)
    assert (API,) == lists.counted((API,), HERE, odd)
    assert [ListKind.DENY] == lists.places("api", HERE, odd)
    lists_of(deny="192.0.2.1 service:ada").refuse_user((API,), odd)


def test_parts_of_a_list_are_replaced_apart() -> None:
    """What a file says no more the config may still say; without entries nothing is in use."""
    lists = LimitLists()
    assert not lists.in_use
    one = Matcher([read_entry("192.0.2.1")])
    for source in ("config", "file"):
        lists.put("api", ListKind.DENY, source, one)
    lists.put("api", ListKind.DENY, "file", Matcher([]))
    with pytest.raises(DeniedByLimit):
        lists.refuse_address((API,), HERE)
    assert lists.in_use
    lists.put("api", ListKind.DENY, "config", Matcher([]))
    lists.refuse_address((API,), HERE)
    assert not lists.in_use


@pytest.mark.parametrize(
    ("address", "user", "expected"),
    [
        (HERE, None, [ListKind.DENY]),
        (None, ADA, [ListKind.DENY, ListKind.ALLOW]),
        (THERE, BOB, []),
        (None, None, []),
    ],
)
def test_operators_are_told_the_lists_of_a_caller(
    address: object, user: User | None, expected: list[ListKind]
) -> None:
    """By what they name: an address, or a user."""
    lists = lists_of(deny="192.0.2.1 service:ada", allow="ada@example.com")
    at = None if address is None else ip_address(str(address))
    assert expected == lists.places("api", at, user)
    assert [] == lists.places("other", at, user)

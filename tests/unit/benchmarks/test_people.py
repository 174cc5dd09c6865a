"""People who are signed in without a sign-in."""

import json
from hashlib import sha256

import pytest

from benchmarks.configs import SESSION_KEY
from benchmarks.people import LIFETIME_MS, people, rival_sessions, sealed_sessions
from gateway.sessions.seal import Sealer, is_secret, key_name
from gateway.sessions.session import decode

NOW_MS = 1_800_000_000_000


def test_people_are_different() -> None:
    """No two have a secret, an issuer or an address in common, also if more are made up later."""
    persons = [*people(3), *people(5, first=3)]
    assert all(is_secret(person.secret) for person in persons)
    for column in zip(*persons, strict=True):
        assert len(set(column)) == 5


def test_the_gateway_opens_their_sessions() -> None:
    """A record is one that the gateway itself would have written, under the prefix."""
    [person] = people(1)
    [stored] = sealed_sessions([person], "another:", NOW_MS)
    assert stored.key == "another:" + key_name(person.secret)
    opened = Sealer((SESSION_KEY.encode(),)).open(person.secret, stored.value)
    identity = decode(opened, key_name(person.secret)).identity
    assert (identity.user.issuer, identity.user.email) == (person.issuer, person.email)
    assert identity.expires_at_ms == stored.expires_at_ms == NOW_MS + LIFETIME_MS


def test_the_rival_finds_their_sessions() -> None:
    """Its record is named by a hash of the cookie, and says who it is."""
    [person] = people(1)
    [stored] = rival_sessions([person], NOW_MS)
    assert stored.key == "rival:session:" + sha256(person.secret.encode()).hexdigest()
    assert json.loads(stored.value) == {
        "issuer": person.issuer,
        "email": person.email,
        "expires_at_ms": NOW_MS + LIFETIME_MS,
    }


@pytest.mark.parametrize("count", [0, 2])
def test_a_cookie_for_each(count: int) -> None:
    """The load generator sends a line for each of them."""
    lines = [person.cookie_line for person in people(count)]
    assert len(lines) == len(set(lines)) == count
    assert all(line.startswith("Cookie: session=") for line in lines)

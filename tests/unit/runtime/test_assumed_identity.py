"""Identities that an operator names in place of a credential."""

import time
from contextlib import AsyncExitStack

import pytest

from gateway.core.email import canonical_email
from gateway.core.identity import AuthMethod
from gateway.runtime.assumed_identity import Assumed, find_assumed
from gateway.runtime.services.identity import identity_services
from gateway.sessions.email_index import LISTED_ISSUERS
from tests.fakes.services import NO_LISTS, fake_process, settings_of
from tests.fakes.store import FakeStore

KEYS = "credentials: {api_keys: {}}"


async def found(name: str, *listed: str, more: str = "", known: str = "") -> Assumed:
    """
    Look ``name`` up.

    ``listed`` are users that have signed in with any email address; Magic knows ``known`` alone.
    """
    settings = settings_of(more)
    scripts = {"tell": lambda _keys, _args: 1, **NO_LISTS}
    store = FakeStore(time.time, scripts)
    async with fake_process(settings, store) as process, AsyncExitStack() as stack:
        magic = process.magic.development
        assert magic is not None
        if known:
            magic.mint(known, 900, time.time())
        issuers = [magic.user_with(email).issuer.encode() for email in listed]
        store.scripts[LISTED_ISSUERS.name] = lambda _keys, _args: issuers
        name = name.format(*(issuer.decode() for issuer in issuers))
        identity = identity_services(settings, process, stack)
        return await find_assumed(settings, process, identity, name)


async def test_a_person_is_named_by_issuer_or_email() -> None:
    """With the metadata that Magic has."""
    for name in ("{0}", "Ada@Example.com"):
        identity, notes = await found(name, "ada@example.com", known="ada@example.com")
        assert ("ada@example.com", AuthMethod.SESSION) == (identity.user.email, identity.method)
        assert canonical_email("Ada@Example.com") == identity.user.email
        [note] = notes
        assert note.startswith("no credential was checked")


async def test_a_person_without_metadata_is_told() -> None:
    """Rules about an email address cannot hold then."""
    identity, notes = await found("{0}", "ada@example.com")
    assert identity.user.email is None
    assert "no email address of the user is known: rules about it cannot hold" == notes[0]


async def test_an_email_address_of_several_is_told() -> None:
    """One of them is taken."""
    _, notes = await found("a@example.com", "ada@example.com", "bob@example.com")
    assert "2 issuers have the address a@example.com: this is one" == notes[0]


async def test_a_program_is_named_by_issuer() -> None:
    """Where the config takes its credential."""
    identity, _ = await found("service:ci", more=KEYS)
    assert ("service:ci", AuthMethod.API_KEY) == (identity.user.issuer, identity.method)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("x", "neither an issuer nor an email address", id="no-name"),
        pytest.param("none@example.com", "no user has the email address", id="no-user"),
        pytest.param("service:ci", "the config takes no credential of service:ci", id="no-keys"),
        pytest.param("https://a#b", "the config takes no credential of https://a#b", id="no-jwts"),
        pytest.param("cert:a", "no credential of cert:a can be assumed", id="certificate"),
    ],
)
async def test_a_name_of_no_caller_is_refused(name: str, message: str) -> None:
    """The message says why."""
    with pytest.raises(ValueError, match=message):
        await found(name)

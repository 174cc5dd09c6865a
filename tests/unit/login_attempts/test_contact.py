"""Contacts of attempts to sign in."""

from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest
from gateway.core.identity import User
from gateway.login_attempts.contact import (
    Contact,
    ContactHasher,
    contacts_of,
    read_attempt,
    read_contact,
    read_email,
    read_phone,
)

KEY, OLDER = b"k" * 32, b"o" * 32
ADA = Contact("email", "ada@example.com")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("ada@example.com", "ada@example.com", id="plain"),
        pytest.param(" \t Ada@Example.COM\n", "ada@example.com", id="case-and-space"),
        pytest.param("ada+x@example.com", "ada+x@example.com", id="tags-are-not-cut-off"),
        pytest.param("a.d.a@example.com", "a.d.a@example.com", id="nor-dots"),
        pytest.param("ada@example.com.", "ada@example.com", id="a-dot-at-the-end"),
        pytest.param("\uff21da@example.com", "ada@example.com", id="full-width"),
        pytest.param("STRASSE@example.com", "strasse@example.com", id="upper-case"),
        pytest.param("stra\u00dfe@example.com", "strasse@example.com", id="sharp-s"),
        pytest.param("ren\u00e9e@example.com", "ren\u00e9e@example.com", id="composed"),
        pytest.param("rene\u0301e@example.com", "ren\u00e9e@example.com", id="decomposed"),
        pytest.param("ada@M\u00fcnchen.example", "ada@xn--mnchen-3ya.example", id="idn"),
        pytest.param("ada@xn--mnchen-3ya.example", "ada@xn--mnchen-3ya.example", id="punycode"),
        pytest.param("ada@example\u3002com", "ada@example.com", id="ideographic-dot"),
        pytest.param("ada@localhost", "ada@localhost", id="one-label"),
        pytest.param("o'hara!#$%&*/=?^_`{|}~-@e.example", None, id="signs-of-rfc-5322"),
    ],
)
def test_spellings_of_one_email(written: str, expected: str | None) -> None:
    """Another spelling of an address gives no more attempts for it."""
    assert Contact("email", written if expected is None else expected) == read_email(written)


@pytest.mark.parametrize(
    "written",
    [
        *("", " ", "@", "ada", "ada@", "@example.com", "a@b@example.com", "ada@@example.com"),
        *("ada@exa mple.com", "a da@example.com", "ada@example.com\r\nBcc: x", "ada\0@example.com"),
        *("ada@example..com", "ada@.example.com", "ada@[127.0.0.1]", '"a b"@example.com'),
        *("ada@example.com,bob@example.com", "<ada@example.com>", "ada@example.com;x", "a(b)@c.d"),
        *("a" * 65 + "@example.com", "a@" + "b" * 64 + ".com", "a@" + "b." * 130 + "com"),
        *("a\u200bda@example.com", "a\u202eda@example.com", "ada@exa\u00admple.com\x7f"),
        *("ada\uff20example.com@x.example", "\ud800@example.com", "a@\ud800.com", "a@b\u2028c.d"),
    ],
    ids=ascii,
)
def test_what_is_no_email(written: str) -> None:
    """Two addresses in one, control characters and the like are refused, never repaired."""
    with pytest.raises(BadRequest):
        read_email(written)


@given(st.text(max_size=60) | st.emails())
def test_one_spelling_for_an_email(written: str) -> None:
    """What comes out is its own spelling, and holds nothing that a key or a log could trip over."""
    try:
        contact = read_email(written)
    except BadRequest:
        return
    assert contact == read_email(contact.value) == read_email(contact.value.upper())
    assert contact == read_email(normalize("NFD", contact.value))
    assert 1 == contact.value.count("@")
    assert contact.value.isprintable()
    assert not any(character.isspace() for character in contact.value)


@pytest.mark.parametrize(
    ("written", "expected"),
    [("+14155550100", "+14155550100"), (" +1 (415) 555-0100 ", "+14155550100")],
)
def test_spellings_of_one_phone(written: str, expected: str) -> None:
    """Signs between the digits say nothing."""
    assert Contact("phone", expected) == read_phone(written)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "+",
        "4155550100",
        "+0155550100",
        "+141555",
        "+" + "1" * 16,
        "+1415x550100",
        "+١٢٣٤٥٦٧٨",
        "++14155550100",
        "+1\n4155550100",
    ],
    ids=ascii,
)
def test_what_is_no_phone(written: str) -> None:
    """A number without its country is ambiguous."""
    with pytest.raises(BadRequest):
        read_phone(written)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "ada@example.com",
        {},
        {"email": None},
        {"email": 7},
        {"email": ["a@b.c"]},
        {"email": "a@b.c", "phone": "+14155550100"},
        {"Email": "a@b.c"},
        {"email": ""},
    ],
    ids=repr,
)
def test_documents_without_a_contact(document: object) -> None:
    """Exactly one of both, as text."""
    with pytest.raises(BadRequest):
        read_contact(document)


def test_documents_with_a_contact() -> None:
    """Other members are for later versions."""
    assert ADA == read_contact({"email": "Ada@example.com", "locale": "en"})
    assert Contact("phone", "+14155550100") == read_contact({"phone": "+14155550100"})


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        pytest.param(User("i"), [], id="nothing"),
        pytest.param(User("i", email="Ada@Example.com"), [ADA], id="email"),
        pytest.param(User("i", email="no address"), [], id="unreadable"),
        pytest.param(
            User("i", email="ada@example.com", phone="+14155550100"),
            [ADA, Contact("phone", "+14155550100")],
            id="both",
        ),
    ],
)
def test_what_is_known_of_a_user(user: User, expected: list[Contact]) -> None:
    """In the spelling in which attempts are counted."""
    assert expected == contacts_of(user)


def test_hashes_say_nothing_without_the_key() -> None:
    """Another key makes another hash, and the address is in none of what the store sees."""
    one, other = ContactHasher((KEY,)), ContactHasher((OLDER,))
    assert one.digest(ADA) != other.digest(ADA)
    assert one.limit_key(ADA) != other.limit_key(ADA)
    assert "ada" not in one.limit_key(ADA)
    assert b"ada" not in one.digest(ADA)
    assert "ada" not in repr(ADA)


def test_kinds_do_not_mix() -> None:
    """An address and a number are never one contact, whatever they spell."""
    hasher = ContactHasher((KEY,))
    assert hasher.digest(Contact("email", "x")) != hasher.digest(Contact("phone", "x"))


def test_a_new_key_knows_what_an_older_one_made() -> None:
    """A sign-in under way while keys are rotated still succeeds."""
    made = ContactHasher((OLDER,)).digest(ADA)
    assert ContactHasher((KEY, OLDER)).is_one_of(made, [ADA])
    assert not ContactHasher((KEY,)).is_one_of(made, [ADA])
    assert not ContactHasher((KEY, OLDER)).is_one_of(made, [Contact("email", "b@c.d")])
    assert not ContactHasher((KEY, OLDER)).is_one_of(made, [])


OWN = Contact("issuer", "did:ethr:0xad")


@pytest.mark.parametrize(
    ("document", "user", "expected"),
    [
        pytest.param({"email": "Ada@example.com"}, None, (ADA, ADA), id="not-signed-in"),
        pytest.param(
            {"email": "Ada@example.com"},
            User("did:ethr:0xAd", email="ada@Example.com"),
            (ADA, OWN),
            id="who-renews-is-counted-apart",
        ),
        pytest.param(
            {"email": "ada@example.com"},
            User("did:ethr:0xAd", email="bob@example.com"),
            (ADA, ADA),
            id="who-becomes-another-is-not",
        ),
        pytest.param({}, User("did:ethr:0xAd"), (OWN, OWN), id="who-has-no-address"),
        pytest.param({"phone": ""}, User("did:ethr:0xAd"), (OWN, OWN), id="or-names-an-empty-one"),
    ],
)
def test_under_whom_an_attempt_is_counted(
    document: object, user: User | None, expected: tuple[Contact, Contact]
) -> None:
    """The tries for an email cannot be used up to end its owner's session."""
    assert expected == read_attempt(document, user)


@pytest.mark.parametrize("document", [[], None, {"email": "x"}, {"email": 7}], ids=repr)
def test_who_is_signed_in_may_not_write_anything_either(document: object) -> None:
    """What is malformed stays malformed."""
    with pytest.raises(BadRequest):
        read_attempt(document, User("did:ethr:0xAd"))

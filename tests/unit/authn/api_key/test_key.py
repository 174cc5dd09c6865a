"""API keys: their text format, and their sealed records."""

import hmac
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.api_key.key import (
    ID_BYTES,
    SECRET_BYTES,
    ApiKey,
    KeySealer,
    ParsedApiKey,
    format_key,
    hash_of,
    is_id,
    is_secret_of,
    limit_of,
    owner,
    parse_key,
    readable_scopes,
    scope,
)

TEXT, PARTS = format_key(b"i" * ID_BYTES, b"s" * SECRET_BYTES)
KEY = ApiKey(
    id=PARTS.id,
    name="reports",
    owner="service:billing",
    secret_hash=hash_of(PARTS.secret),
    scopes=("read", "write"),
    limit=limit_of(100, 60),
    created_at_ms=1_000,
    expires_at_ms=2_000,
)
SEALER = KeySealer([b"k" * 32])


@given(st.binary(min_size=10, max_size=10), st.binary(min_size=32, max_size=32))
def test_a_formatted_key_parses_to_its_parts(id_bytes: bytes, secret_bytes: bytes) -> None:
    """Every key has the form that secret scanners look for."""
    text, parts = format_key(id_bytes, secret_bytes)
    assert parts == parse_key(text)
    assert re.fullmatch(r"gwk_[a-z2-7]{16}_[a-z2-7]{52}_[0-9a-f]{8}", text)
    assert is_id(parts.id)


@given(st.text())
def test_malformed_keys_parse_to_none(text: str) -> None:
    """Parsing never raises."""
    assert parse_key(text) is None


@given(st.integers(0, len(TEXT) - 1), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567_ABZ-"))
def test_the_checksum_catches_one_wrong_letter(place: int, letter: str) -> None:
    """A mistyped key needs no look-up."""
    other = TEXT[:place] + letter + TEXT[place + 1 :]
    assert parse_key(other) == (PARTS if other == TEXT else None)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(TEXT.upper(), id="upper-case"),
        pytest.param(TEXT + "\n", id="line-break"),
        pytest.param(" " + TEXT, id="space"),
        pytest.param(TEXT[:-1], id="cut-off"),
        pytest.param(TEXT.rpartition("_")[0], id="without-checksum"),
    ],
)
def test_a_key_has_one_spelling(text: str) -> None:
    """Other letter cases and alphabets are malformed."""
    assert parse_key(text) is None


@pytest.mark.parametrize(("id_bytes", "secret_bytes"), [(9, 32), (10, 31), (10, 0)])
def test_too_few_random_bytes_make_no_key(id_bytes: int, secret_bytes: int) -> None:
    """Formatting raises instead of making a weak key."""
    with pytest.raises(ValueError, match="random"):
        format_key(bytes(id_bytes), bytes(secret_bytes))


def test_the_secret_is_in_neither_repr_nor_record() -> None:
    """Tracebacks and the store hold only the id and a hash."""
    assert PARTS.secret not in repr(PARTS) + repr(KEY) + SEALER.seal(KEY).decode("latin-1")


def test_a_secret_is_compared_by_its_hash() -> None:
    """Only the right secret matches a record."""
    assert is_secret_of(KEY, PARTS.secret)
    assert not is_secret_of(KEY, PARTS.secret[:-1] + "a")
    assert not is_secret_of(KEY, "")


@pytest.mark.parametrize(
    ("now_ms", "revoked_at_ms", "expected"),
    [
        pytest.param(1_999, None, "active", id="active"),
        pytest.param(2_000, None, "expired", id="the-last-moment-is-over"),
        pytest.param(1_500, 1_400, "revoked", id="revoked"),
        pytest.param(3_000, 1_400, "revoked", id="revoked-before-it-expired"),
    ],
)
def test_state_is_active_expired_or_revoked(
    now_ms: int, revoked_at_ms: int | None, expected: str
) -> None:
    """Revocation comes before expiry."""
    assert expected == replace(KEY, revoked_at_ms=revoked_at_ms).state(now_ms)


@pytest.mark.parametrize("key", [KEY, replace(KEY, limit=None, scopes=(), revoked_at_ms=7)])
def test_a_sealed_record_opens_to_the_same_key(key: ApiKey) -> None:
    """All fields survive."""
    assert key == SEALER.open(SEALER.seal(key), key.id)


@given(st.integers(0, len(SEALER.seal(KEY)) - 1), st.integers(1, 255))
def test_one_changed_byte_breaks_the_seal(place: int, change: int) -> None:
    """An altered record does not open."""
    sealed = bytearray(SEALER.seal(KEY))
    sealed[place] ^= change
    assert SEALER.open(bytes(sealed), KEY.id) is None


@given(st.binary(max_size=200))
def test_a_record_without_our_seal_does_not_open(planted: bytes) -> None:
    """Write access to the store is not enough to forge a key."""
    assert SEALER.open(planted, KEY.id) is None


def test_a_record_opens_under_its_own_id_alone() -> None:
    """A record that was copied to another id does not open."""
    assert SEALER.open(SEALER.seal(KEY), "a" * 16) is None


def test_a_record_of_a_later_version_does_not_open() -> None:
    """Its meaning is not guessed."""
    later = SEALER.seal(KEY)[32:].replace(b'"version":1', b'"version":2')
    tag = hmac.digest(SEALER._keys[0], later, "sha256")
    assert SEALER.open(tag + later, KEY.id) is None


def test_server_keys_can_be_rotated() -> None:
    """The first key seals, all open."""
    old, new = b"o" * 32, b"n" * 32
    sealed = KeySealer([old]).seal(KEY)
    assert KEY == KeySealer([new, old]).open(sealed, KEY.id)
    assert KeySealer([new]).open(sealed, KEY.id) is None
    assert KEY == KeySealer([new]).open(KeySealer([new, old]).seal(KEY), KEY.id)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("billing", "service:billing"),
        ("did:ethr:0x" + "aB" * 20, "did:ethr:0x" + "aB" * 20),
        ("service:billing", None),
        ("did:ethr:0x12", None),
        ("did:web:example.com", None),
        ("a b", None),
        ("", None),
        ("x" * 65, None),
        ("a\n", None),
    ],
)
def test_an_owner_is_a_did_or_a_service(text: str, expected: str | None) -> None:
    """A user's DID stays as it is; a service gets a prefix."""
    if expected is None:
        with pytest.raises(ValueError, match="expected did:ethr"):
            owner(text)
    else:
        assert expected == owner(text)


@pytest.mark.parametrize("text", ["read", "reports:read", "a.b/c*", "1"])
def test_scopes_use_a_narrow_alphabet(text: str) -> None:
    """A scope is safe in header fields and log lines."""
    assert text == scope(text)


@pytest.mark.parametrize("text", ["", "a b", ":a", 'a"', "a\\b", "ä", "x" * 65, "a\n"])
def test_malformed_scopes_are_refused(text: str) -> None:
    """Nothing that needs quoting is a scope."""
    with pytest.raises(ValueError, match="expected a scope"):
        scope(text)


def test_malformed_scopes_of_issuers_are_left_out() -> None:
    """The valid ones are sorted and distinct."""
    assert ("a", "b") == readable_scopes(["b", "a", "b", 7, None, "c d"])


def test_parts_are_in_the_order_id_secret() -> None:
    """The id comes first in the text."""
    assert ParsedApiKey("i", "s") == ("i", "s")

"""How API keys are written, and what is kept of them."""

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
def test_what_is_written_is_read(id_bytes: bytes, secret_bytes: bytes) -> None:
    """Every key comes back as its parts, and looks as a scanner expects it."""
    text, parts = format_key(id_bytes, secret_bytes)
    assert parts == parse_key(text)
    assert re.fullmatch(r"gwk_[a-z2-7]{16}_[a-z2-7]{52}_[0-9a-f]{8}", text)
    assert is_id(parts.id)


@given(st.text())
def test_anything_else_is_no_key(text: str) -> None:
    """Nothing raises."""
    assert parse_key(text) is None


@given(st.integers(0, len(TEXT) - 1), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567_ABZ-"))
def test_one_wrong_letter_is_noticed(place: int, letter: str) -> None:
    """By the checksum, before anything is looked up."""
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
def test_other_spellings(text: str) -> None:
    """A key has one."""
    assert parse_key(text) is None


@pytest.mark.parametrize(("id_bytes", "secret_bytes"), [(9, 32), (10, 31), (10, 0)])
def test_too_little_randomness(id_bytes: int, secret_bytes: int) -> None:
    """Is no key, not even by mistake."""
    with pytest.raises(ValueError, match="random"):
        format_key(bytes(id_bytes), bytes(secret_bytes))


def test_the_secret_is_not_shown() -> None:
    """Not by its parts, and not by what is kept of it."""
    assert PARTS.secret not in repr(PARTS) + repr(KEY) + SEALER.seal(KEY).decode("latin-1")


def test_the_secret_is_told_from_others() -> None:
    """By its hash."""
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
def test_state(now_ms: int, revoked_at_ms: int | None, expected: str) -> None:
    """What has become of a key."""
    assert expected == replace(KEY, revoked_at_ms=revoked_at_ms).state(now_ms)


@pytest.mark.parametrize("key", [KEY, replace(KEY, limit=None, scopes=(), revoked_at_ms=7)])
def test_what_is_sealed_is_opened(key: ApiKey) -> None:
    """All that is kept comes back."""
    assert key == SEALER.open(SEALER.seal(key), key.id)


@given(st.integers(0, len(SEALER.seal(KEY)) - 1), st.integers(1, 255))
def test_one_changed_byte_breaks_the_seal(place: int, change: int) -> None:
    """Nobody alters a record."""
    sealed = bytearray(SEALER.seal(KEY))
    sealed[place] ^= change
    assert SEALER.open(bytes(sealed), KEY.id) is None


@given(st.binary(max_size=200))
def test_who_writes_to_the_store_makes_no_key(planted: bytes) -> None:
    """What was not sealed by us is no record."""
    assert SEALER.open(planted, KEY.id) is None


def test_a_record_under_another_name() -> None:
    """Opens no other key."""
    assert SEALER.open(SEALER.seal(KEY), "a" * 16) is None


def test_a_record_of_a_later_version() -> None:
    """Is not guessed at."""
    later = SEALER.seal(KEY)[32:].replace(b'"version":1', b'"version":2')
    tag = hmac.digest(SEALER._keys[0], later, "sha256")
    assert SEALER.open(tag + later, KEY.id) is None


def test_keys_of_the_server_can_be_rotated() -> None:
    """The first seals, all open."""
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
def test_owners(text: str, expected: str | None) -> None:
    """A person's DID as it is, or a service."""
    if expected is None:
        with pytest.raises(ValueError, match="expected did:ethr"):
            owner(text)
    else:
        assert expected == owner(text)


@pytest.mark.parametrize("text", ["read", "reports:read", "a.b/c*", "1"])
def test_scopes(text: str) -> None:
    """Words of a narrow alphabet."""
    assert text == scope(text)


@pytest.mark.parametrize("text", ["", "a b", ":a", 'a"', "a\\b", "ä", "x" * 65, "a\n"])
def test_what_is_no_scope(text: str) -> None:
    """Nothing that would need quoting anywhere."""
    with pytest.raises(ValueError, match="expected a scope"):
        scope(text)


def test_scopes_of_others_are_read_where_they_can_be() -> None:
    """Sorted, each once; what is none is left out."""
    assert ("a", "b") == readable_scopes(["b", "a", "b", 7, None, "c d"])


def test_parts_are_what_they_are_called() -> None:
    """The id first."""
    assert ParsedApiKey("i", "s") == ("i", "s")

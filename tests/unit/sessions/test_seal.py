"""Encryption of sessions: a stolen or hostile store gains nothing."""

import base64

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.sessions.seal import (
    KEY_ID_BYTES,
    SECRET_BYTES,
    SealBroken,
    Sealer,
    is_secret,
    key_name,
    secret_from,
)
from tests.fakes.session_records import sealed_before

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no fault of ours."""

OLD, NEW, FOREIGN = b"o" * 32, b"n" * 32, b"f" * 48
MINE, YOURS = secret_from(b"m" * SECRET_BYTES), secret_from(b"y" * SECRET_BYTES)
RECORD = b'{"issuer":"did:ethr:0x0"}'

secrets = st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES).map(secret_from)


@patient
@given(secrets, st.binary())
def test_a_record_opens_with_its_cookie(secret: str, record: bytes) -> None:
    """Any record survives."""
    sealer = Sealer([NEW])

    assert record == sealer.open(secret, sealer.seal(secret, record))


@patient
@given(secrets, secrets, st.binary())
def test_no_other_cookie_opens_a_record(mine: str, yours: str, record: bytes) -> None:
    """A swapped record signs no user in."""
    sealer = Sealer([NEW])
    if mine == yours:
        return

    with pytest.raises(SealBroken):
        sealer.open(yours, sealer.seal(mine, record))


@patient
@given(st.data())
def test_an_altered_record_does_not_open(data: st.DataObject) -> None:
    """Wherever a bit is flipped: in the head, the text or the tag."""
    sealer = Sealer([NEW])
    sealed = bytearray(sealer.seal(MINE, RECORD))
    position = data.draw(st.integers(0, len(sealed) - 1))
    sealed[position] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(SealBroken):
        sealer.open(MINE, bytes(sealed))


@patient
@given(st.binary(max_size=100))
def test_noise_does_not_open(noise: bytes) -> None:
    """Nothing but SealBroken is raised."""
    with pytest.raises(SealBroken):
        Sealer([NEW]).open(MINE, noise)


def test_a_record_with_a_nonce_opens() -> None:
    """As the previous version wrote it; altered, or read as the other form, it does not."""
    sealer, sealed = Sealer([NEW]), sealed_before(NEW, MINE, RECORD)

    assert RECORD == sealer.open(MINE, sealed)
    with pytest.raises(SealBroken):
        sealer.open(YOURS, sealed)
    for broken in (b"\x02" + sealed[1:], sealed[:5] + b"x" + sealed[6:], sealed[:20], sealed[:-1]):
        with pytest.raises(SealBroken):
            sealer.open(MINE, broken)


def test_no_key_seals_two_records_under_one_nonce() -> None:
    """The same text is another ciphertext for each cookie, and at each place of an entry."""
    sealer = Sealer([NEW])
    sealed = [sealer.seal(MINE, RECORD), sealer.seal(YOURS, RECORD)]
    entries = [sealer.seal_entry(place, RECORD) for place in ("a", "b")]

    ciphertexts = [text[1 + KEY_ID_BYTES :][: len(RECORD)] for text in sealed + entries]
    assert 4 == len(set(ciphertexts))
    streams = {bytes(a ^ b for a, b in zip(text, RECORD, strict=True)) for text in ciphertexts}
    assert 4 == len(streams)


def test_a_truncated_record_does_not_open() -> None:
    """At any length."""
    sealer = Sealer([NEW])
    sealed = sealer.seal(MINE, RECORD)

    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            sealer.open(MINE, sealed[:length])


def test_server_keys_can_be_rotated() -> None:
    """The first key seals, all open; sessions under the old one stay valid."""
    before, during, after = Sealer([OLD]), Sealer([NEW, OLD]), Sealer([NEW])
    old = before.seal(MINE, RECORD)
    new = during.seal(MINE, RECORD)

    assert RECORD == during.open(MINE, old)
    assert RECORD == after.open(MINE, new)
    for sealer, sealed in ((after, old), (before, new)):
        with pytest.raises(SealBroken, match="not ours"):
            sealer.open(MINE, sealed)


def test_a_forged_key_id_opens_nothing() -> None:
    """The key id in the record is only a hint."""
    foreign = Sealer([FOREIGN]).seal(MINE, RECORD)
    ours = Sealer([NEW]).seal(MINE, RECORD)
    renamed = foreign[:1] + ours[1 : 1 + KEY_ID_BYTES] + foreign[1 + KEY_ID_BYTES :]

    with pytest.raises(SealBroken, match="another cookie"):
        Sealer([NEW]).open(MINE, renamed)


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param([], id="none"),
        pytest.param([b"short"], id="a-short-one"),
        pytest.param([NEW, b"x" * 31], id="a-short-one-behind"),
        pytest.param([NEW, NEW], id="one-twice"),
    ],
)
def test_weak_keys_are_refused_at_the_start(keys: list[bytes]) -> None:
    """A gateway with a guessable key does not run."""
    with pytest.raises(ValueError, match="key"):
        Sealer(keys)


@patient
@given(secrets)
def test_the_store_key_does_not_reveal_the_cookie(secret: str) -> None:
    """It is a hash; no derived key equals it."""
    name = key_name(secret)

    assert name.startswith("session:")
    assert 64 == len(name.removeprefix("session:"))
    assert secret not in name


def test_a_secret_is_256_random_bits_in_url_safe_text() -> None:
    """It holds all of the randomness."""
    randomness = bytes(range(SECRET_BYTES))
    secret = secret_from(randomness)

    assert randomness == base64.urlsafe_b64decode(secret + "=")
    assert is_secret(secret)
    with pytest.raises(ValueError, match="32"):
        secret_from(randomness[1:])


@pytest.mark.parametrize(
    "cookie", ["", MINE[1:], MINE + "a", MINE + "\n", "ä" + MINE[1:], "=" + MINE[1:], "\ud800" * 43]
)
def test_malformed_cookies_are_no_secrets(cookie: str) -> None:
    """They need no look-up."""
    assert not is_secret(cookie)

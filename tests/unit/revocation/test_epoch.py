"""Revocation epochs: which proofs they revoke."""

from dataclasses import replace

import pytest

from gateway.core.identity import AuthMethod, RevokedBy
from gateway.revocation.epoch import (
    api_key_subject,
    is_revoked,
    kept_s,
    key_of,
    read_epoch_ms,
    subject_of,
)
from tests.fakes.ports import ISSUER, SESSION_IDENTITY

IRREVOCABLE = AuthMethod("toy", is_sent_automatically=False, revoked_by=RevokedBy.NOTHING)
EPOCH_MS = 1_800_000_000_400


@pytest.mark.parametrize(
    ("proven_at_ms", "is_void"),
    [
        pytest.param(0, True, id="at-a-time-that-is-not-known"),
        pytest.param(1_799_999_999_000, True, id="before"),
        pytest.param(1_800_000_000_000, True, id="in-the-same-second-as-iat-has-it"),
        pytest.param(1_800_000_000_400, True, id="in-the-same-millisecond"),
        pytest.param(1_800_000_000_401, False, id="a-millisecond-later"),
        pytest.param(1_800_000_001_000, False, id="in-the-next-second"),
    ],
)
def test_proofs_up_to_the_epoch_are_revoked(proven_at_ms: int, is_void: bool) -> None:
    """A token of the same second is, as its iat does not say whether it came before."""
    assert is_void == is_revoked(proven_at_ms, EPOCH_MS)


def test_the_epoch_of_a_certificate_outlives_certificates() -> None:
    """Those of tokens are kept for as long as tokens live."""
    assert 60 == kept_s(ISSUER, 60)
    assert 90 * 365 * 86_400 < kept_s("cert:a.example", 60)


def test_without_an_epoch_no_proof_is_revoked() -> None:
    """Not even one of an unknown time."""
    assert not is_revoked(0, None)


@pytest.mark.parametrize(
    ("record", "epoch_ms"),
    [
        pytest.param(None, None, id="absent"),
        pytest.param(b"1800000000400", EPOCH_MS, id="as-we-write-it"),
        pytest.param(b"0", 0, id="the-beginning"),
        pytest.param(b"9" * 19, int("9" * 19), id="the-end-of-time"),
    ],
)
def test_epochs_are_decimal_digits(record: bytes | None, epoch_ms: int | None) -> None:
    """An operator can read and write them."""
    assert epoch_ms == read_epoch_ms(record)


@pytest.mark.parametrize(
    "record", [b"", b"-1", b"1e3", b" 1", b"1\n", b"soon", b"\xff", "١".encode(), b"9" * 20]
)
def test_a_malformed_epoch_is_an_error(record: bytes) -> None:
    """It does not count as "not revoked"."""
    with pytest.raises(ValueError, match="no epoch"):
        read_epoch_ms(record)


def test_an_epoch_is_stored_under_its_issuer() -> None:
    """The key name is a public contract."""
    assert "revoked:did:ethr:0x1" == key_of("did:ethr:0x1")


@pytest.mark.parametrize(
    ("method", "subject"),
    [
        (AuthMethod.SESSION, ISSUER),
        (AuthMethod.DID_TOKEN, ISSUER),
        (AuthMethod.JWT, ISSUER),
        (AuthMethod.API_KEY, "api-key:tid-1"),
        (AuthMethod.CLIENT_CERTIFICATE, ISSUER),
        (IRREVOCABLE, None),
    ],
)
def test_an_api_key_is_revoked_under_its_own_name(method: AuthMethod, subject: str | None) -> None:
    """Its owner's epoch does not revoke it."""
    assert subject == subject_of(replace(SESSION_IDENTITY, method=method))


def test_no_issuer_has_the_name_of_a_key() -> None:
    """An id is said with its kind."""
    assert "api-key:k1" == api_key_subject("k1")

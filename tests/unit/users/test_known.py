"""The record of a user that gateways keep for themselves."""

import orjson
import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.identity import User, Wallet
from gateway.users.known import NONCE_BYTES, KnownSealer, known_key
from gateway.users.metadata import Record
from tests.fakes.tokens import ALICE, BOB

AT_MS = 1_800_000_000_000
NONCE = b"n" * NONCE_BYTES
KEYS = [b"a" * 32, b"b" * 32]
OURS = KnownSealer(KEYS)
USER = User(
    ALICE.issuer,
    "alice@example.com",
    ALICE.address,
    "+4930123456",
    "google",
    "alice",
    (Wallet("MAINNET", ALICE.address, "ETH"), Wallet(public_address="0x1")),
)
SEALED = OURS.encode(Record(USER, AT_MS), NONCE)


@pytest.mark.parametrize("user", [USER, User(ALICE.issuer)])
def test_a_record_decodes_to_the_same(user: User) -> None:
    """What was written is read."""
    record = Record(user, AT_MS)
    assert record == OURS.decode(OURS.encode(record, NONCE), ALICE.issuer)


def test_readers_of_the_store_learn_nothing() -> None:
    """No member stands in the record as it is."""
    for text in (b"alice", ALICE.address.encode(), b"4930", b"google", b"MAINNET"):
        assert text not in SEALED


def test_a_record_is_bound_to_its_name() -> None:
    """A copy at the name of another issuer makes that no user."""
    assert "known:did:ethr:0x1" == known_key("did:ethr:0x1")
    assert OURS.decode(SEALED, BOB.issuer) is None


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_any_altered_byte_makes_it_none(at: int, change: int) -> None:
    """An attacker who writes to the store can only make gateways ask Magic."""
    altered = bytearray(SEALED)
    altered[at] ^= change
    assert OURS.decode(bytes(altered), ALICE.issuer) is None


@given(st.integers(0, len(SEALED) - 1))
def test_a_cut_record_is_none(length: int) -> None:
    """However much is left of it."""
    assert OURS.decode(SEALED[:length], ALICE.issuer) is None


@pytest.mark.parametrize(
    ("reader", "believes"),
    [
        pytest.param(KEYS, True, id="the-same-keys"),
        pytest.param([b"c" * 32, KEYS[0]], True, id="a-new-key-in-front"),
        pytest.param([KEYS[1]], False, id="the-sealing-key-is-gone"),
    ],
)
def test_server_keys_can_be_rotated(reader: list[bytes], *, believes: bool) -> None:
    """A record is valid for as long as its key is configured."""
    assert believes == (KnownSealer(reader).decode(SEALED, ALICE.issuer) is not None)


@pytest.mark.parametrize("members", [[], {}, [1, 2], [AT_MS, *[None] * 5, [], "more"]])
def test_a_record_of_a_later_version_is_none(
    members: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Magic is asked then."""
    monkeypatch.setattr(
        ChaCha20Poly1305, "decrypt", lambda *_: orjson.dumps(members), raising=False
    )
    assert OURS.decode(SEALED, ALICE.issuer) is None

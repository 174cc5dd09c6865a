"""The record of a user that gateways and apps share."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.identity import User, Wallet
from gateway.core.text import MAX_TEXT_CHARS, printable_text
from gateway.users.metadata import (
    MAX_WALLETS,
    Record,
    RecordAge,
    RecordLifetimes,
    RecordSealer,
    parse,
)
from tests.fakes.tokens import ALICE, BOB

NOW_S = 1_800_000_000.0
AT_MS = 1_800_000_000_000
WALLET = Wallet("MAINNET", ALICE.address, "ETH")
USER = User(
    ALICE.issuer,
    "alice@example.com",
    ALICE.address,
    "+4930123456",
    oauth_provider="google",
    username="alice",
    wallets=(WALLET, Wallet(public_address="0x1")),
)
BY_PHONE = User(ALICE.issuer, phone="+4930123456")
KEYS = [b"a" * 32, b"b" * 32]
OURS = RecordSealer(KEYS)


def test_a_record_is_plain_json_with_stable_names() -> None:
    """Apps read it; the seal is for gateways."""
    members = json.loads(OURS.encode(Record(USER, AT_MS)))
    assert len(members.pop("seal")) == 43
    assert members == {
        "issuer": ALICE.issuer,
        "email": "alice@example.com",
        "public_address": ALICE.address,
        "phone": "+4930123456",
        "oauth_provider": "google",
        "username": "alice",
        "wallets": [
            {"network": "MAINNET", "public_address": ALICE.address, "wallet_type": "ETH"},
            {"network": None, "public_address": "0x1", "wallet_type": None},
        ],
        "fetched_at_ms": AT_MS,
    }


@pytest.mark.parametrize("user", [USER, User(ALICE.issuer), BY_PHONE])
def test_a_record_decodes_to_the_same(user: User) -> None:
    """What was written is read."""
    record = Record(user, AT_MS)
    assert record == OURS.decode(OURS.encode(record), ALICE.issuer)


texts = st.none() | st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20)


@given(texts, texts, st.lists(texts, max_size=4))
def test_any_readable_user_survives(
    email: str | None, name: str | None, wallets: list[str | None]
) -> None:
    """All metadata that is printable text."""
    owned = tuple(Wallet(network, f"0x{n}") for n, network in enumerate(wallets))
    record = Record(User(ALICE.issuer, email, username=name, wallets=owned), AT_MS)
    assert record == OURS.decode(OURS.encode(record), ALICE.issuer)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"\xff", id="bytes"),
        pytest.param(b"[" * 10_000, id="deep"),
        pytest.param(b"[]", id="array"),
        pytest.param(b"{}", id="no-issuer"),
        pytest.param(b'{"issuer": null}', id="about-null"),
        pytest.param(OURS.encode(Record(User(BOB.issuer), AT_MS)), id="about-another"),
        pytest.param(
            OURS.encode(Record(User(ALICE.issuer.lower()), AT_MS)), id="about-another-spelling"
        ),
    ],
)
def test_unreadable_records_decode_to_none(text: bytes) -> None:
    """Those of another issuer, too."""
    assert OURS.decode(text, ALICE.issuer) is None
    assert parse(text, ALICE.issuer) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("email", "boss@example.com"),
        ("email", None),
        ("email", "alice@example.com\n"),
        ("public_address", BOB.address),
        ("phone", "+1"),
        ("oauth_provider", None),
        ("username", "root"),
        ("wallets", []),
        ("wallets", [{"network": "MAINNET", "public_address": BOB.address, "wallet_type": "ETH"}]),
        ("fetched_at_ms", AT_MS + 1),
        ("fetched_at_ms", True),
        ("fetched_at_ms", float(AT_MS)),
        ("fetched_at_ms", 2**70),
        ("seal", None),
        ("seal", ""),
        ("seal", "\u00e9" * 43),
        ("seal", "A" * 43),
    ],
)
def test_altered_records_are_ignored(name: str, value: object) -> None:
    """The seal covers every member."""
    members = json.loads(OURS.encode(Record(USER, AT_MS)))
    altered = json.dumps({**members, name: value}).encode()
    assert OURS.decode(altered, ALICE.issuer) is None
    stored = parse(altered, ALICE.issuer)
    assert stored is not None
    assert not OURS.is_ours(stored)


def test_records_without_seal_are_ignored() -> None:
    """Such as those of older versions: Magic is asked."""
    text = json.dumps({"issuer": ALICE.issuer, "email": "boss@example.com"}).encode()
    assert OURS.decode(text, ALICE.issuer) is None


def test_unknown_members_are_ignored() -> None:
    """Apps may add their own, in any order and spacing."""
    members = json.loads(OURS.encode(Record(USER, AT_MS)))
    text = json.dumps({"plan": {"name": "gold"}, **dict(reversed(members.items()))}, indent=1)
    assert Record(USER, AT_MS) == OURS.decode(text.encode(), ALICE.issuer)


@pytest.mark.parametrize(
    ("reader", "believes"),
    [
        pytest.param(KEYS, True, id="the-same-keys"),
        pytest.param([b"c" * 32, KEYS[0]], True, id="a-new-key-in-front"),
        pytest.param([KEYS[1]], False, id="the-sealing-key-is-gone"),
        pytest.param([b"c" * 32], False, id="other-keys"),
    ],
)
def test_server_keys_can_be_rotated(reader: list[bytes], *, believes: bool) -> None:
    """A record is valid for as long as its key is configured."""
    record = Record(USER, AT_MS)
    found = RecordSealer(reader).decode(OURS.encode(record), ALICE.issuer)
    assert (found == record) == believes


def test_malformed_wallets_are_left_out() -> None:
    """The number of wallets is bounded."""
    wallets: list[object] = ["x", None, {}, {"public_address": "a\r\nb"}, {"public_address": "0x1"}]
    text = json.dumps({"issuer": ALICE.issuer, "wallets": wallets + wallets * MAX_WALLETS})
    stored = parse(text.encode(), ALICE.issuer)
    assert stored is not None
    assert set(stored.record.user.wallets) == {Wallet(public_address="0x1")}
    assert len(stored.record.user.wallets) <= MAX_WALLETS
    for odd in ("x", {"a": 1}, 5):
        stored = parse(json.dumps({"issuer": "i", "wallets": odd}).encode(), "i")
        assert stored is not None
        assert stored.record.user.wallets == ()


@pytest.mark.parametrize(
    ("age_s", "age"),
    [
        pytest.param(0, RecordAge.FRESH, id="new"),
        pytest.param(79.9, RecordAge.FRESH, id="before-its-last-fifth"),
        pytest.param(80, RecordAge.AGEING, id="in-its-last-fifth"),
        pytest.param(99.9, RecordAge.AGEING, id="at-its-end"),
        pytest.param(100, RecordAge.OLD, id="beyond"),
        pytest.param(149.9, RecordAge.OLD, id="as-long-as-magic-may-be-away"),
        pytest.param(150, RecordAge.DEAD, id="longer"),
        pytest.param(1e9, RecordAge.DEAD, id="much-longer"),
        pytest.param(-60, RecordAge.FRESH, id="by-a-clock-ahead"),
        pytest.param(-61, RecordAge.AGEING, id="from-the-future"),
    ],
)
def test_the_age_of_a_record_decides_its_use(age_s: float, age: RecordAge) -> None:
    """What a record is good for depends on when Magic said it."""
    record = Record(USER, round((NOW_S - age_s) * 1000))
    lifetimes = RecordLifetimes(100, 50)
    assert age is lifetimes.age(record, NOW_S)
    assert lifetimes.expires_at_ms(record) == record.fetched_at_ms + 100_000
    assert lifetimes.ends_at_ms(record) == record.fetched_at_ms + 150_000


@pytest.mark.parametrize("value", ["a", "jürgen@example.com", "+1 (555) 010", "x" * MAX_TEXT_CHARS])
def test_printable_text_is_kept(value: str) -> None:
    """Text that can stand in a line passes as it is."""
    assert value == printable_text(value)


@pytest.mark.parametrize(
    "value",
    ["", "a\r", "a\n", "\x00", "a\x7f", "\x85", "\u2028", "\u202e", "\ud800", "x" * 513, 5, None],
)
def test_unprintable_values_are_dropped(value: object) -> None:
    """Controls, line ends, direction marks, over-long text and other types."""
    assert printable_text(value) is None


@given(st.text())
def test_no_text_ends_a_header_or_a_log_line(value: str) -> None:
    """Nothing that passes can end a header or a log line."""
    passed = printable_text(value)
    assert passed is None or not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in passed)

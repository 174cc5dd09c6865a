"""What is known of a user, and for how long it is used."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.identity import User, Wallet
from gateway.core.text import MAX_TEXT_CHARS, printable_text
from gateway.users.metadata import Record, RecordAge, RecordLifetimes, instant_ms, user_of
from tests.fakes.tokens import ALICE

NOW_S = 1_800_000_000.0
USER = User(ALICE.issuer, "alice@example.com")


@pytest.mark.parametrize("value", [0, 5, 2**53])
def test_a_time_is_a_whole_number(value: int) -> None:
    """Of milliseconds."""
    assert value == instant_ms(value)


@pytest.mark.parametrize("value", [-1, 2**53 + 1, True, 5.0, "5", None, []])
def test_anything_else_is_the_beginning_of_time(value: object) -> None:
    """A record without a time that can be read is as old as can be."""
    assert 0 == instant_ms(value)


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


@pytest.mark.parametrize("wallet", [None, 5, "0x1", [], {}, {"public_address": 5}])
def test_a_wallet_without_an_address_is_left_out(wallet: object) -> None:
    """Those beside it are kept."""
    kept = {"network": "MAINNET", "public_address": "0x2", "wallet_type": "HARDWARE"}
    user = user_of("did:ethr:0xAd", {"wallets": [wallet, kept, wallet]})
    assert (Wallet("MAINNET", "0x2", "HARDWARE"),) == user.wallets

"""Entries of the list that shows users their own sessions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.identity import Browser
from gateway.sessions import user_agent
from gateway.sessions.listing import (
    ListEntry,
    SignIn,
    base36,
    encode,
    field_of,
    key_in,
    parse,
    summary_of,
)
from gateway.sessions.seal import Sealer, key_name
from gateway.sessions.user_agent import UNKNOWN, device_name
from gateway.util.rfc3339 import LAST_MS
from tests.fakes.session_records import entry_before

ISSUER, KEY = "did:ethr:0xAd", "session:0a"
SEALER, NEWER = Sealer([b"k" * 32]), Sealer([b"n" * 32, b"k" * 32])
ADA = SignIn(Browser("Firefox on Linux", "2001:db8::1"), 1_000)
LONG_MS = 1_800_000_000_000


def entry_of(key: str, ends_at_ms: int, sign_in: SignIn) -> bytes:
    """Return an entry as the script joins it."""
    times, sealed = encode(SEALER, ISSUER, key, ends_at_ms, sign_in)
    return times.encode() + sealed


ENTRY = entry_of(KEY, 9, ADA)
SEALED = ENTRY.split(b" ", 2)[2]

texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts, texts, st.integers(0, 2**53))
def test_an_entry_holds_the_sign_in(device: str, address: str, at_ms: int) -> None:
    """Any name of a browser survives."""
    sign_in = SignIn(Browser(device, address), at_ms)
    entry = entry_of(KEY, 9, sign_in)

    if at_ms <= LAST_MS:
        assert ListEntry(KEY, 9, at_ms, sign_in) == parse(SEALER, ISSUER, KEY, entry)
    before = entry_before(b"k" * 32, ISSUER, KEY, 9, SignIn(sign_in.browser, 7))
    assert ListEntry(KEY, 9, 7, SignIn(sign_in.browser, 7)) == parse(SEALER, ISSUER, KEY, before)


@pytest.mark.parametrize("address", ["", "203.0.113.9", "2001:db8:1234:5678:9abc:def0:1234:5678"])
@pytest.mark.parametrize(
    "device",
    [
        "Firefox on Linux",
        "Samsung Internet on Android",
        "Yandex Browser on Windows",
        "Chrome",
        "macOS",
        UNKNOWN,
        "",
    ],
)
def test_the_usual_entry_is_no_longer_than_64_bytes(device: str, address: str) -> None:
    """So Redis keeps the list in one piece of memory."""
    sign_in = SignIn(Browser(device, address), LONG_MS)
    entry = entry_of(KEY, LONG_MS + 9, sign_in)

    assert len(entry) <= 64
    assert ListEntry(KEY, LONG_MS + 9, LONG_MS, sign_in) == parse(SEALER, ISSUER, KEY, entry)


@pytest.mark.parametrize(
    ("device", "address"),
    [
        ("curl", "203.0.113.9"),
        ("Chrome on ", "203.0.113.9"),
        ("Chrome on Firefox", ""),
        ("Firefox on Linux", "unix:"),
        ("Firefox on Linux", "2001:DB8::1"),
        ("Firefox on Linux", "fe80::1%eth0"),
    ],
)
def test_an_unusual_entry_is_longer(device: str, address: str) -> None:
    """It says what it said."""
    sign_in = SignIn(Browser(device, address), LONG_MS)
    entry = entry_of(KEY, LONG_MS, sign_in)

    assert len(entry) > 64
    assert sign_in == parse(SEALER, ISSUER, KEY, entry).sign_in


def test_all_names_of_devices_have_numbers() -> None:
    """A name that `device_name` learns is added to the tables here."""
    for browser, name in user_agent._BROWSERS:
        for system, system_name in user_agent._SYSTEMS:
            device = device_name(f"Mozilla/5.0 ({system}) {browser}")
            assert f"{name} on {system_name}" == device
            entry = entry_of(KEY, LONG_MS, SignIn(Browser(device), LONG_MS))
            assert len(entry) <= 64


def test_a_device_of_a_later_version_is_unknown() -> None:
    """The rest of the entry is shown."""
    record = LONG_MS.to_bytes(6, "big") + b"\xfe\xfe" + bytes((203, 0, 113, 9))
    sealed = SEALER.seal_entry(f"{ISSUER}\0{KEY}", record)
    found = parse(SEALER, ISSUER, KEY, b"~9 7 " + sealed).sign_in

    assert SignIn(Browser("", "203.0.113.9"), LONG_MS) == found


def test_a_field_is_the_key_in_fewer_letters() -> None:
    """That of the previous version is the key itself."""
    key = key_name("a" * 43)

    assert 43 == len(field_of(key))
    assert key == key_in(field_of(key)) == key_in(key)
    assert KEY == field_of(KEY) == key_in(KEY)


@given(st.integers(0, 2**60))
def test_times_are_written_in_base_36(number: int) -> None:
    """As Lua reads it."""
    assert number == int(base36(number), 36)


def test_an_entry_is_unreadable_in_the_store() -> None:
    """It shows neither address nor browser."""
    assert b"2001" not in SEALED
    assert b"Firefox" not in SEALED


def test_server_keys_can_be_rotated() -> None:
    """Entries sealed with the old key open beside the new one."""
    assert ADA == parse(NEWER, ISSUER, KEY, b"9 7 " + SEALED).sign_in


@pytest.mark.parametrize(
    ("sealer", "issuer", "key", "sealed"),
    [
        pytest.param(SEALER, "did:ethr:0x0", KEY, SEALED, id="in-another-persons-list"),
        pytest.param(SEALER, ISSUER, "session:0b", SEALED, id="beside-another-session"),
        pytest.param(SEALER, ISSUER, KEY, SEALED[:-1] + b"\0", id="altered"),
        pytest.param(SEALER, ISSUER, KEY, b"", id="empty"),
        pytest.param(SEALER, ISSUER, KEY, b"<script>", id="not-ours"),
        pytest.param(Sealer([b"o" * 32]), ISSUER, KEY, SEALED, id="by-a-key-that-is-gone"),
    ],
)
def test_an_entry_opens_only_for_its_issuer_and_session(
    sealer: Sealer, issuer: str, key: str, sealed: bytes
) -> None:
    """The session is listed without its sign-in, so that it can be ended."""
    assert ListEntry(key, 9, 7, None) == parse(sealer, issuer, key, b"9 7 " + sealed)


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"9",
        b"9 7",
        b"x 7 y",
        b"9 -7 y",
        b"9 \xb2 y",
        b"253402300800000 7 y",
        b"9" * 16 + b" 7 y",
        b"~",
        b"~9 7",
        b"~A 7 y",
        b"~9 - y",
        b"~zzzzzzzzzzz 7 y",
        b"~zzzzzzzzzzzz 7 y",
    ],
)
def test_malformed_entries_are_refused(entry: bytes) -> None:
    """Write access to the store is not enough to show users anything."""
    with pytest.raises(ValueError, match=r"."):
        parse(SEALER, ISSUER, KEY, entry)


@pytest.mark.parametrize(("is_used", "seen_at_ms"), [(True, 7), (False, None)])
def test_the_last_use_is_shown_where_it_is_recorded(is_used: bool, seen_at_ms: int | None) -> None:
    """The public id does not contain the store key."""
    shown = summary_of(ListEntry(KEY, 9, 7, ADA), is_used=is_used)

    assert (ADA.browser, 1_000, seen_at_ms, 9) == shown[2:]
    assert KEY.partition(":")[2] not in shown.id


def test_an_entry_that_does_not_open_is_still_shown() -> None:
    """By its id and its end."""
    shown = summary_of(ListEntry(KEY, 9, 7, None), is_used=True)

    assert (None, Browser()) == (shown.created_at_ms, shown.browser)

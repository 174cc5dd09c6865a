"""Entries of the list that shows users their own sessions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.identity import Browser
from gateway.sessions.listing import (
    ListEntry,
    SignIn,
    parse,
    seal,
    summary_of,
)
from gateway.sessions.seal import NONCE_BYTES, Sealer

ISSUER, KEY = "did:ethr:0xAd", "session:0a"
SEALER, NEWER = Sealer([b"k" * 32]), Sealer([b"n" * 32, b"k" * 32])
ADA = SignIn(Browser("Firefox on Linux", "2001:db8::1"), 1_000)
SEALED = seal(SEALER, ISSUER, KEY, ADA, bytes(NONCE_BYTES))

texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts, texts, st.integers(0, 2**53))
def test_an_entry_holds_the_sign_in(device: str, address: str, at_ms: int) -> None:
    """Any name of a browser survives."""
    sign_in = SignIn(Browser(device, address), at_ms)
    sealed = seal(SEALER, ISSUER, KEY, sign_in, bytes(NONCE_BYTES))

    assert ListEntry(KEY, 9, 7, sign_in) == parse(SEALER, ISSUER, KEY, b"9 7 " + sealed)


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

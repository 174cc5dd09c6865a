"""What is listed of a session, for its owner alone."""

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
def test_an_entry_brings_back_how_a_session_began(device: str, address: str, at_ms: int) -> None:
    """Whatever the browser was called."""
    sign_in = SignIn(Browser(device, address), at_ms)
    sealed = seal(SEALER, ISSUER, KEY, sign_in, bytes(NONCE_BYTES))

    assert ListEntry(KEY, 9, 7, sign_in) == parse(SEALER, ISSUER, KEY, b"9 7 " + sealed)


def test_nothing_of_it_can_be_read_in_the_store() -> None:
    """Neither the address nor the browser."""
    assert b"2001" not in SEALED
    assert b"Firefox" not in SEALED


def test_keys_are_rotated() -> None:
    """What the old key has sealed is opened beside the new one."""
    assert ADA == parse(NEWER, ISSUER, KEY, b"9 7 " + SEALED).sign_in


@pytest.mark.parametrize(
    ("sealer", "issuer", "key", "sealed"),
    [
        pytest.param(SEALER, "did:ethr:0x0", KEY, SEALED, id="in-another-persons-list"),
        pytest.param(SEALER, ISSUER, "session:0b", SEALED, id="beside-another-session"),
        pytest.param(SEALER, ISSUER, KEY, SEALED[:-1] + b"\0", id="altered"),
        pytest.param(SEALER, ISSUER, KEY, b"", id="empty"),
        pytest.param(SEALER, ISSUER, KEY, b"<script>", id="written-by-somebody-else"),
        pytest.param(Sealer([b"o" * 32]), ISSUER, KEY, SEALED, id="by-a-key-that-is-gone"),
    ],
)
def test_what_was_not_sealed_for_this_place_says_nothing(
    sealer: Sealer, issuer: str, key: str, sealed: bytes
) -> None:
    """That there is a session is known nevertheless: it can be ended."""
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
def test_anything_else_is_no_entry(entry: bytes) -> None:
    """Whoever can write to the store can show nothing to anybody."""
    with pytest.raises(ValueError, match=r"."):
        parse(SEALER, ISSUER, KEY, entry)


@pytest.mark.parametrize(("is_used", "seen_at_ms"), [(True, 7), (False, None)])
def test_when_it_was_seen_is_shown_where_it_is_written_down(
    is_used: bool, seen_at_ms: int | None
) -> None:
    """The key of the session is no part of its name."""
    shown = summary_of(ListEntry(KEY, 9, 7, ADA), is_used=is_used)

    assert (ADA.browser, 1_000, seen_at_ms, 9) == shown[2:]
    assert KEY.partition(":")[2] not in shown.id


def test_a_session_that_cannot_be_opened_is_still_known() -> None:
    """By its name and its end."""
    shown = summary_of(ListEntry(KEY, 9, 7, None), is_used=True)

    assert (None, Browser()) == (shown.created_at_ms, shown.browser)

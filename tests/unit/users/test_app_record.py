"""The record of a user that apps read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.identity import Standing, User, Wallet
from gateway.users.app_record import AppRecordSealer, is_due, parse
from gateway.users.metadata import MAX_WALLETS, Record
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.users import record_before

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
OURS = AppRecordSealer(KEYS)
UNTIL_MS = AT_MS + 900_000
STANDING = Standing(("admin", "staff"), ("billing:read",))


def text(user: User = USER, at_ms: int = AT_MS, standing: Standing = STANDING) -> bytes:
    """A record in the store."""
    return OURS.encode(Record(user, at_ms), standing).until(UNTIL_MS)


def test_a_record_has_the_members_of_magics_user_metadata() -> None:
    """Those of `MagicUserMetadata` in @magic-sdk/admin; ours stand beside them."""
    members = json.loads(text())
    ours = members.pop("gateway")
    assert len(ours.pop("seal")) == 43
    assert members == {
        "issuer": ALICE.issuer,
        "publicAddress": ALICE.address,
        "email": "alice@example.com",
        "oauthProvider": "google",
        "phoneNumber": "+4930123456",
        "username": "alice",
        "wallets": [
            {"network": "MAINNET", "publicAddress": ALICE.address, "walletType": "ETH"},
            {"network": None, "publicAddress": "0x1", "walletType": None},
        ],
    }
    assert ours == {
        "fetchedAt": AT_MS,
        "roles": ["admin", "staff"],
        "permissions": ["billing:read"],
        "until": UNTIL_MS,
    }


@pytest.mark.parametrize("standing", [STANDING, Standing(), Standing(None, None)])
def test_a_record_says_what_the_user_may_do(standing: Standing) -> None:
    """Unknown is not the same as nothing."""
    stored = parse(text(standing=standing), ALICE.issuer)
    assert stored is not None
    assert (standing, UNTIL_MS) == (stored.standing, stored.until_ms)
    assert OURS.is_ours(stored)


@pytest.mark.parametrize("user", [USER, User(ALICE.issuer), BY_PHONE])
def test_a_record_decodes_to_the_same(user: User) -> None:
    """What was written is read."""
    assert Record(user, AT_MS) == OURS.decode(text(user), ALICE.issuer)


texts = st.none() | st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20)


@given(texts, texts, st.lists(texts, max_size=4))
def test_any_readable_user_survives(
    email: str | None, name: str | None, wallets: list[str | None]
) -> None:
    """All metadata that is printable text."""
    owned = tuple(Wallet(network, f"0x{n}") for n, network in enumerate(wallets))
    user = User(ALICE.issuer, email, username=name, wallets=owned)
    assert Record(user, AT_MS) == OURS.decode(text(user), ALICE.issuer)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"\xff", id="bytes"),
        pytest.param(b"[" * 10_000, id="deep"),
        pytest.param(b"[]", id="array"),
        pytest.param(b"{}", id="no-issuer"),
        pytest.param(b'{"issuer": null}', id="about-null"),
        pytest.param(text(User(BOB.issuer)), id="about-another"),
        pytest.param(text(User(ALICE.issuer.lower())), id="about-another-spelling"),
    ],
)
def test_unreadable_records_decode_to_none(found: bytes) -> None:
    """Those of another issuer, too."""
    assert OURS.decode(found, ALICE.issuer) is None
    assert parse(found, ALICE.issuer) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("email", "boss@example.com"),
        ("email", None),
        ("email", "alice@example.com\n"),
        ("publicAddress", BOB.address),
        ("phoneNumber", "+1"),
        ("oauthProvider", None),
        ("username", "root"),
        ("wallets", []),
        ("wallets", [{"network": "MAINNET", "publicAddress": BOB.address, "walletType": "ETH"}]),
        ("gateway", None),
        ("gateway", {}),
        ("gateway.fetchedAt", AT_MS + 1),
        ("gateway.fetchedAt", True),
        ("gateway.fetchedAt", float(AT_MS)),
        ("gateway.fetchedAt", 2**70),
        ("gateway.roles", ["root"]),
        ("gateway.roles", None),
        ("gateway.permissions", ["billing:write"]),
        ("gateway.seal", None),
        ("gateway.seal", ""),
        ("gateway.seal", "\u00e9" * 43),
        ("gateway.seal", "A" * 43),
    ],
)
def test_altered_records_are_ignored(name: str, value: object) -> None:
    """The seal covers every member but the end, which decides nothing."""
    members = json.loads(text())
    of, _, inner = name.partition(".")
    members[of] = {**members[of], inner: value} if inner else value
    altered = json.dumps(members).encode()
    assert OURS.decode(altered, ALICE.issuer) is None
    stored = parse(altered, ALICE.issuer)
    assert stored is not None
    assert not OURS.is_ours(stored)


def test_records_without_seal_are_ignored() -> None:
    """Such as those that apps write: Magic is asked."""
    found = json.dumps({"issuer": ALICE.issuer, "email": "boss@example.com"}).encode()
    assert OURS.decode(found, ALICE.issuer) is None


def test_unknown_members_are_ignored() -> None:
    """Apps may add their own, in any order and spacing."""
    members = {"plan": {"name": "gold"}, **dict(reversed(json.loads(text()).items()))}
    found = json.dumps(members, indent=1).encode()
    assert Record(USER, AT_MS) == OURS.decode(found, ALICE.issuer)


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
    found = AppRecordSealer(reader).decode(text(), ALICE.issuer)
    assert (found == Record(USER, AT_MS)) == believes


def test_malformed_wallets_are_left_out() -> None:
    """The number of wallets is bounded."""
    wallets: list[object] = ["x", None, {}, {"publicAddress": "a\r\nb"}, {"publicAddress": "0x1"}]
    found = json.dumps({"issuer": ALICE.issuer, "wallets": wallets + wallets * MAX_WALLETS})
    stored = parse(found.encode(), ALICE.issuer)
    assert stored is not None
    assert set(stored.record.user.wallets) == {Wallet(public_address="0x1")}
    assert len(stored.record.user.wallets) <= MAX_WALLETS
    for odd in ("x", {"a": 1}, 5):
        stored = parse(json.dumps({"issuer": "i", "wallets": odd}).encode(), "i")
        assert stored is not None
        assert stored.record.user.wallets == ()


# --- records of the previous version ------------------------------------------------------------


BEFORE = record_before(USER, AT_MS, KEYS[1])


def test_records_of_the_previous_version_are_read() -> None:
    """By their own names and seal, until they end."""
    assert Record(USER, AT_MS) == OURS.decode(BEFORE, ALICE.issuer)
    altered = BEFORE.replace(b"alice@example.com", b"boss@example.com")
    assert OURS.decode(altered, ALICE.issuer) is None
    assert AppRecordSealer([b"c" * 32]).decode(BEFORE, ALICE.issuer) is None


# --- when a record is written again -------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "ends_at_ms", "expected"),
    [
        pytest.param(None, UNTIL_MS, True, id="none-is-there"),
        pytest.param(None, 0, False, id="none-is-there-nor-a-proof"),
        pytest.param(text(), UNTIL_MS, False, id="all-is-said"),
        pytest.param(text(), UNTIL_MS + 1, True, id="a-later-proof"),
        pytest.param(text(), UNTIL_MS - 1, False, id="an-earlier-proof"),
        pytest.param(text(User(ALICE.issuer)), UNTIL_MS, True, id="another-email"),
        pytest.param(text(standing=Standing()), UNTIL_MS, True, id="other-roles"),
        pytest.param(BEFORE, UNTIL_MS, True, id="of-the-previous-version"),
        pytest.param(b"plain text", UNTIL_MS, False, id="an-apps-text"),
        pytest.param(
            b'{"issuer":"%b","email":"a@b.c"}' % ALICE.issuer.encode(),
            UNTIL_MS,
            False,
            id="an-apps-record",
        ),
    ],
)
def test_a_record_is_written_when_it_says_too_little(
    told: bytes | None, ends_at_ms: int, *, expected: bool
) -> None:
    """A record that an app keeps is none of ours."""
    assert expected == is_due(told, Record(USER, AT_MS), STANDING, ends_at_ms)

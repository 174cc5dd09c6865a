"""Session records, and when a session expires."""

from dataclasses import replace

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.identity import AuthMethod, Identity, User
from gateway.sessions.session import (
    Session,
    decode,
    encode,
    expiry_ms,
)
from tests.fakes.session_records import record_before

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no fault of ours."""

KEY = "session:0a"

texts = st.text(st.characters(exclude_categories=["Cs"]))
times_ms = st.integers(0, 2**63 - 1)

users = st.builds(
    User,
    issuer=texts,
    email=st.none() | texts,
    public_address=st.none() | texts,
    phone=st.none() | texts,
)
identities = st.builds(
    Identity,
    user=users,
    method=st.just(AuthMethod.SESSION),
    token_id=texts,
    expires_at_ms=times_ms,
    session_key=st.just(KEY),
    proven_at_ms=times_ms,
)

ADA = Identity(
    User("did:ethr:0x00000000000000000000000000000000000000Ad", "ada@example.com"),
    AuthMethod.DID_TOKEN,
    token_id="tid",
    expires_at_ms=1_000_000,
    proven_at_ms=100_000,
)


@patient
@given(st.builds(Session, identities, times_ms))
def test_a_record_decodes_to_the_same_session(session: Session) -> None:
    """Any metadata of the user survives."""
    assert session == decode(encode(session), KEY)


def test_a_record_of_version_2_is_valid() -> None:
    """Until it ends."""
    assert _decoded(Session(ADA, 7)) == decode(_altered(), KEY)


def _decoded(session: Session) -> Session:
    return decode(encode(session), KEY)


USUAL = replace(
    ADA,
    user=User(
        "did:ethr:0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1",
        "ada@example.com",
        "0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1",
    ),
    method=AuthMethod.SESSION,
    token_id="0b6ff1d3-6c5a-4d6f-8f3e-0d2f8a3f6b1e",
    session_key=KEY,
)


def test_the_usual_record_is_short() -> None:
    """A third of what the previous version wrote."""
    session = Session(USUAL, 7)
    assert len(encode(session)) * 3 < len(record_before(session))
    assert session == _decoded(session)


@pytest.mark.parametrize(
    "identity",
    [
        pytest.param(replace(USUAL, token_id="tid"), id="another-token-id"),
        pytest.param(replace(USUAL, token_id=USUAL.token_id.upper()), id="a-large-token-id"),
        pytest.param(replace(USUAL, user=User("https://idp.example#ada")), id="another-issuer"),
        pytest.param(replace(USUAL, user=User(USUAL.user.issuer.lower())), id="small-letters"),
        pytest.param(replace(USUAL, user=User(USUAL.user.issuer, None, "0x2")), id="an-address"),
        pytest.param(replace(USUAL, user=User("", None, "")), id="nothing"),
        pytest.param(replace(USUAL, expires_at_ms=1 << 48), id="a-late-end"),
        pytest.param(replace(USUAL, user=User("did:ethr:", None, "")), id="no-address"),
    ],
)
def test_an_unusual_record_is_kept_too(identity: Identity) -> None:
    """As it is."""
    assert Session(identity, 7) == _decoded(Session(identity, 7))


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([3, "i", None, 1, None, "t", 1, 1, 1], id="no-address-of-its-own"),
        pytest.param([3, "did:ethr:0x1", None, 2, None, "t", 1, 1, 1], id="an-unknown-mark"),
        pytest.param([3, "did:ethr:0x1", None, True, None, "t", 1, 1, 1], id="a-mark-of-a-kind"),
        pytest.param([4, "i", None, None, None, "t", 1, 1, 1], id="another-version"),
        pytest.param([2, "i", None, None, None, "t", 1, 1, 1], id="an-earlier-version"),
        pytest.param([3, "i", None, None, None, "t", 1, 1], id="a-member-short"),
        pytest.param([3, "i", None, None, None, "t", 1, 1, 1, 1], id="a-member-more"),
        pytest.param([3, "i", None, None, None, "t", 1, 1, 1.0], id="no-whole-number"),
        pytest.param([3, None, None, None, None, "t", 1, 1, 1], id="no-issuer"),
    ],
)
def test_malformed_lists_are_refused(members: list[object]) -> None:
    """Members and their types are fixed."""
    with pytest.raises(ValueError, match="session record"):
        decode(orjson.dumps(members), KEY)


def test_a_decoded_identity_has_the_method_session() -> None:
    """Whatever credential proved it at first."""
    back = decode(encode(Session(ADA, 7)), KEY).identity

    assert (AuthMethod.SESSION, KEY) == (back.method, back.session_key)
    assert ADA.user == back.user


def test_a_record_of_version_1_is_valid_until_any_revocation() -> None:
    """It does not hold the time of its proof."""
    back = decode(_altered(version=1, proven_at_ms="gone"), KEY)

    assert Session(replace(back.identity, proven_at_ms=100_000), 7) == decode(_altered(), KEY)
    assert 0 == back.identity.proven_at_ms


def _altered(**changes: object) -> bytes:
    members = orjson.loads(record_before(Session(ADA, 7))) | changes
    return orjson.dumps({name: value for name, value in members.items() if value != "gone"})


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="no-json"),
        pytest.param(b"\xff", id="no-text"),
        pytest.param(b"[]", id="a-list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{}", id="no-members"),
        pytest.param(_altered(email="gone"), id="a-member-short"),
        pytest.param(_altered(admin=True), id="a-member-more"),
        pytest.param(_altered(version=3), id="another-version"),
        pytest.param(_altered(version=True), id="a-version-that-equals-one"),
        pytest.param(_altered(version=True, proven_at_ms="gone"), id="the-same-with-its-members"),
        pytest.param(_altered(version=1), id="a-member-of-a-later-version"),
        pytest.param(_altered(proven_at_ms="gone"), id="a-member-of-this-version-short"),
        pytest.param(_altered(proven_at_ms=None), id="proven-at-no-time"),
        pytest.param(_altered(issuer=None), id="no-issuer"),
        pytest.param(_altered(issuer=["did:ethr:0x0"]), id="a-list-of-issuers"),
        pytest.param(_altered(email=7), id="a-number-for-an-address"),
        pytest.param(_altered(expires_at_ms="9"), id="an-end-that-is-text"),
        pytest.param(_altered(expires_at_ms=1e300), id="an-end-that-is-no-whole-number"),
        pytest.param(_altered(expires_at_ms=None), id="no-end"),
        pytest.param(_altered(created_at_ms=False), id="a-beginning-that-is-no-time"),
        pytest.param(_altered(token_id=0), id="a-number-for-a-token"),
    ],
)
def test_malformed_records_are_refused(record: bytes) -> None:
    """There are no defaults for missing members."""
    with pytest.raises(ValueError, match=r"."):
        decode(record, KEY)


@patient
@given(st.binary(max_size=300))
def test_noise_raises_value_error_alone(record: bytes) -> None:
    """Nothing but ValueError comes of it."""
    with pytest.raises(ValueError, match=r"."):
        decode(record, KEY)


@pytest.mark.parametrize(
    ("cap_s", "ends_ms"),
    [
        pytest.param(None, 1_000_000, id="the-tokens-end"),
        pytest.param(3600, 1_000_000, id="a-cap-beyond-the-tokens-end"),
        pytest.param(60, 860_001, id="a-cap-before-it"),
        pytest.param(0.25, 800_251, id="a-cap-of-a-fraction"),
    ],
)
def test_a_session_expires_with_its_token_or_before(cap_s: float | None, ends_ms: int) -> None:
    """To the millisecond."""
    assert ends_ms == expiry_ms(ADA, cap_s, now_ms=800_001)

"""The short form of a session record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.packed import MARK, pack, unpack

ISSUER = "did:ethr:0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1"
TOKEN = "0b6ff1d3-6c5a-4d6f-8f3e-0d2f8a3f6b1e"
MEMBERS = (ISSUER, "ada@example.com", 1, None, TOKEN, 3, 1, 2)

digits = st.text("0123456789abcdefABCDEF", min_size=40, max_size=40)
times = st.integers(0, 2**48 - 1)
texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]))


@given(digits, texts, texts, st.uuids(), st.tuples(times, times, times))
def test_what_was_packed_is_unpacked(
    address: str, email: str | None, phone: str | None, token: object, at: tuple[int, int, int]
) -> None:
    """Each letter of the address keeps its case."""
    members = (f"did:ethr:0x{address}", email, 1, phone, str(token), *at)
    packed = pack(members)
    assert packed is not None
    assert packed.startswith(MARK)
    assert list(members) == unpack(packed)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, "did:ethr:0x1"),
        (0, "did:ethr:0x" + "g" * 40),
        (0, ISSUER + "\n"),
        (0, "service:ci"),
        (4, "tid"),
        (4, TOKEN.upper()),
        (4, TOKEN + "\n"),
        (5, 2**48),
        (5, -1),
        (7, 2**63),
    ],
)
def test_the_unusual_is_not_packed(at: int, value: object) -> None:
    """It would come back as something else."""
    assert pack(MEMBERS) is not None
    assert pack((*MEMBERS[:at], value, *MEMBERS[at + 1 :])) is None


def test_malformed_records_are_refused() -> None:
    """At any length, and with other texts than three."""
    packed = pack(MEMBERS) or b""
    fixed = len(packed) - len(b'["ada@example.com",1,null]')
    broken = [packed[:length] for length in range(len(packed))]
    broken += [packed[:fixed] + text for text in (b"[]", b"{}", b"[1,2,3,4]", b"null")]
    broken += [packed[:19] + b"\x11" * 20 + b"\xff" * 5 + packed[44:]]  # a digit with a case
    for record in broken:
        with pytest.raises(ValueError, match=r"."):
            unpack(record)

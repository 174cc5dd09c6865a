"""Whose a JWT is, and what is remembered of it."""

import pytest

from gateway.authn.jwt.key_set import (
    MIN_INTERVAL_S,
    Fetch,
    Key,
    KeySource,
)
from gateway.authn.jwt.token import ALGORITHMS, TrustedIssuer
from gateway.authn.jwt.verifier import GOOD_FOR_S, IssuerWithKeys, JwtVerifier
from gateway.core.errors import (
    ExpiredToken,
    InvalidToken,
    KeysUnavailable,
    RevokedToken,
)
from tests.fakes.jwts import (
    ABSENT,
    AUDIENCE,
    EC,
    ED,
    ISSUER,
    OTHER,
    RSA,
    claims,
    key_set,
    part,
    signed,
)
from tests.fakes.memory import FakeClock


class Epochs:
    """`Revocations` that were made beforehand."""

    def __init__(self) -> None:
        self.by_issuer: dict[str, int] = {}

    async def epoch_ms(self, issuer: str) -> int | None:
        return self.by_issuer.get(issuer)

    async def revoke(self, issuer: str) -> int:
        raise NotImplementedError(issuer)


class Gate:
    """A verifier of two issuers, and what they publish."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.epochs = Epochs()
        self.published = {ISSUER: key_set(RSA, EC, ED), "https://two.example": key_set(OTHER)}
        self.fetched = 0
        self.verifier = JwtVerifier(
            [
                IssuerWithKeys(
                    TrustedIssuer(name, AUDIENCE, ALGORITHMS),
                    KeySource(name, self._fetch(name), clock),
                )
                for name in self.published
            ],
            self.epochs,
            clock=clock,
        )

    def _fetch(self, name: str) -> Fetch:
        async def fetch() -> bytes:
            self.fetched += 1
            return self.published[name]

        return fetch


@pytest.fixture
def gate(clock: FakeClock) -> Gate:
    return Gate(clock)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSA, "RS256"),
        (RSA, "RS512"),
        (RSA, "PS256"),
        (EC, "ES256"),
        (ED, "EdDSA"),
        (ED, "Ed25519"),
    ],
)
async def test_a_good_token(gate: Gate, key: Key, algorithm: str) -> None:
    """Is good, whatever it is signed with that the config allows."""
    token = signed(claims(gate.clock()), key, algorithm)
    assert f"{ISSUER}#job-7" == (await gate.verifier.verify(token)).user.issuer


async def test_signed_by_somebody_else(gate: Gate) -> None:
    """Not by a key of the same id, and not by a key that another issuer has."""
    with pytest.raises(InvalidToken, match="none of the issuer's keys"):
        await gate.verifier.verify(signed(claims(gate.clock()), OTHER))
    two = signed(claims(gate.clock(), iss="https://two.example"), OTHER)
    assert "https://two.example#job-7" == (await gate.verifier.verify(two)).user.issuer


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_changed_part(gate: Gate, place: int) -> None:
    """What was signed is what counts."""
    parts = signed(claims(gate.clock())).split(".")
    other = signed(claims(gate.clock(), sub="root"), kid="ec", x="y").split(".")
    parts[place] = other[place]
    with pytest.raises(InvalidToken):
        await gate.verifier.verify(".".join(parts))


@pytest.mark.parametrize("signature", [b"\0" * 64, b"\0", b"x" * 63, b"x" * 65])
async def test_signatures_that_are_none(gate: Gate, signature: bytes) -> None:
    """Zeros too (CVE-2022-21449)."""
    start = signed(claims(gate.clock())).rpartition(".")[0]
    with pytest.raises(InvalidToken):
        await gate.verifier.verify(f"{start}.{part(signature)}")


async def test_an_unknown_key(gate: Gate) -> None:
    """Is no key of the issuer's."""
    with pytest.raises(InvalidToken, match="no such key"):
        await gate.verifier.verify(signed(claims(gate.clock()), kid="evil"))
    with pytest.raises(InvalidToken, match="no such key"):
        await gate.verifier.verify(signed(claims(gate.clock()), RSA, "RS256", kid="ec"))


async def test_a_token_without_key_id(gate: Gate) -> None:
    """The one key there is for its algorithm."""
    identity = await gate.verifier.verify(signed(claims(gate.clock()), kid=ABSENT))
    assert f"{ISSUER}#job-7" == identity.user.issuer


async def test_malformed_and_expired_ones_fetch_nothing(gate: Gate) -> None:
    """Keys are asked for when all else is in order."""
    for token in ("a.b.c", signed(claims(gate.clock(), iss="https://evil.example"))):
        with pytest.raises(InvalidToken):
            await gate.verifier.verify(token)
    with pytest.raises(ExpiredToken):
        await gate.verifier.verify(signed(claims(gate.clock(), exp=1, iat=0)))
    assert 0 == gate.fetched


async def test_a_verdict_is_remembered(gate: Gate) -> None:
    """The same object for five minutes; then it is found anew."""
    token = signed(claims(gate.clock(), exp=gate.clock() + 3600))
    first = await gate.verifier.verify(token)
    assert first is await gate.verifier.verify(token)
    gate.clock.now_s += GOOD_FOR_S
    again = await gate.verifier.verify(token)
    assert again == first
    assert again is not first


async def test_a_token_ends(gate: Gate) -> None:
    """To the second, remembered or not."""
    token = signed(claims(gate.clock(), exp=gate.clock() + 10))
    await gate.verifier.verify(token)
    assert gate.verifier.knows(token)
    gate.clock.now_s += 10
    with pytest.raises(ExpiredToken):
        await gate.verifier.verify(token)
    assert not gate.verifier.knows(token)


async def test_a_withdrawn_key_proves_nothing_any_more(gate: Gate) -> None:
    """Verdicts that were found by it are void as soon as that is known."""
    token = signed(claims(gate.clock(), exp=gate.clock() + 3600))
    await gate.verifier.verify(token)
    gate.published[ISSUER] = key_set(RSA, ED)
    gate.clock.now_s += MIN_INTERVAL_S
    with pytest.raises(InvalidToken):
        await gate.verifier.verify(signed(claims(gate.clock()), kid="new"))
    with pytest.raises(InvalidToken):
        await gate.verifier.verify(token)


async def test_what_was_revoked(gate: Gate) -> None:
    """All that is older is void, also what is remembered; what is newer is not."""
    token = signed(claims(gate.clock()))
    await gate.verifier.verify(token)
    gate.epochs.by_issuer[f"{ISSUER}#job-7"] = int(gate.clock() * 1000)
    with pytest.raises(RevokedToken):
        await gate.verifier.verify(token)
    gate.clock.now_s += 1
    await gate.verifier.verify(signed(claims(gate.clock())))


async def test_keys_that_cannot_be_fetched(gate: Gate) -> None:
    """Unknown is not refused."""
    gate.published[ISSUER] = b""
    with pytest.raises(KeysUnavailable):
        await gate.verifier.verify(signed(claims(gate.clock())))
    await gate.verifier.aclose()


async def test_tokens_that_proved_somebody_are_known(gate: Gate) -> None:
    """Before that they are not."""
    token = signed(claims(gate.clock()))
    assert not gate.verifier.knows(token)
    await gate.verifier.verify(token)
    assert gate.verifier.knows(token)

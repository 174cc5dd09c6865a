"""Whose a JWT is, and what is remembered of it."""

import pytest

from gateway.authn.jwt.key_set import (
    ASK_AGAIN_S,
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
def refuse_if_blocked(clock: FakeClock) -> Gate:
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
async def test_a_good_token(refuse_if_blocked: Gate, key: Key, algorithm: str) -> None:
    """Is good, whatever it is signed with that the config allows."""
    token = signed(claims(refuse_if_blocked.clock()), key, algorithm)
    assert f"{ISSUER}#job-7" == (await refuse_if_blocked.verifier.verify(token)).user.issuer


async def test_signed_by_somebody_else(refuse_if_blocked: Gate) -> None:
    """Not by a key of the same id, and not by a key that another issuer has."""
    with pytest.raises(InvalidToken, match="none of the issuer's keys"):
        await refuse_if_blocked.verifier.verify(signed(claims(refuse_if_blocked.clock()), OTHER))
    two = signed(claims(refuse_if_blocked.clock(), iss="https://two.example"), OTHER)
    assert "https://two.example#job-7" == (await refuse_if_blocked.verifier.verify(two)).user.issuer


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_changed_part(refuse_if_blocked: Gate, place: int) -> None:
    """What was signed is what counts."""
    parts = signed(claims(refuse_if_blocked.clock())).split(".")
    other = signed(claims(refuse_if_blocked.clock(), sub="root"), kid="ec", x="y").split(".")
    parts[place] = other[place]
    with pytest.raises(InvalidToken):
        await refuse_if_blocked.verifier.verify(".".join(parts))


@pytest.mark.parametrize("signature", [b"\0" * 64, b"\0", b"x" * 63, b"x" * 65])
async def test_signatures_that_are_none(refuse_if_blocked: Gate, signature: bytes) -> None:
    """Zeros too (CVE-2022-21449)."""
    start = signed(claims(refuse_if_blocked.clock())).rpartition(".")[0]
    with pytest.raises(InvalidToken):
        await refuse_if_blocked.verifier.verify(f"{start}.{part(signature)}")


async def test_an_unknown_key(refuse_if_blocked: Gate) -> None:
    """Is no key of the issuer's."""
    with pytest.raises(InvalidToken, match="no such key"):
        await refuse_if_blocked.verifier.verify(
            signed(claims(refuse_if_blocked.clock()), kid="evil")
        )
    with pytest.raises(InvalidToken, match="no such key"):
        await refuse_if_blocked.verifier.verify(
            signed(claims(refuse_if_blocked.clock()), RSA, "RS256", kid="ec")
        )


async def test_a_token_without_key_id(refuse_if_blocked: Gate) -> None:
    """The one key there is for its algorithm."""
    identity = await refuse_if_blocked.verifier.verify(
        signed(claims(refuse_if_blocked.clock()), kid=ABSENT)
    )
    assert f"{ISSUER}#job-7" == identity.user.issuer


async def test_malformed_and_expired_ones_fetch_nothing(refuse_if_blocked: Gate) -> None:
    """Keys are asked for when all else is in order."""
    for token in ("a.b.c", signed(claims(refuse_if_blocked.clock(), iss="https://evil.example"))):
        with pytest.raises(InvalidToken):
            await refuse_if_blocked.verifier.verify(token)
    with pytest.raises(ExpiredToken):
        await refuse_if_blocked.verifier.verify(
            signed(claims(refuse_if_blocked.clock(), exp=1, iat=0))
        )
    assert 0 == refuse_if_blocked.fetched


async def test_a_verdict_is_remembered(refuse_if_blocked: Gate) -> None:
    """The same object for five minutes; then it is found anew."""
    token = signed(claims(refuse_if_blocked.clock(), exp=refuse_if_blocked.clock() + 3600))
    first = await refuse_if_blocked.verifier.verify(token)
    assert first is await refuse_if_blocked.verifier.verify(token)
    refuse_if_blocked.clock.now_s += GOOD_FOR_S
    again = await refuse_if_blocked.verifier.verify(token)
    assert again == first
    assert again is not first


async def test_a_token_ends(refuse_if_blocked: Gate) -> None:
    """To the second, remembered or not."""
    token = signed(claims(refuse_if_blocked.clock(), exp=refuse_if_blocked.clock() + 10))
    await refuse_if_blocked.verifier.verify(token)
    assert refuse_if_blocked.verifier.knows(token)
    refuse_if_blocked.clock.now_s += 10
    with pytest.raises(ExpiredToken):
        await refuse_if_blocked.verifier.verify(token)
    assert not refuse_if_blocked.verifier.knows(token)


async def test_a_withdrawn_key_proves_nothing_any_more(refuse_if_blocked: Gate) -> None:
    """Verdicts that were found by it are void as soon as that is known."""
    token = signed(claims(refuse_if_blocked.clock(), exp=refuse_if_blocked.clock() + 3600))
    await refuse_if_blocked.verifier.verify(token)
    refuse_if_blocked.published[ISSUER] = key_set(RSA, ED)
    refuse_if_blocked.clock.now_s += ASK_AGAIN_S
    with pytest.raises(InvalidToken):
        await refuse_if_blocked.verifier.verify(
            signed(claims(refuse_if_blocked.clock()), kid="new")
        )
    with pytest.raises(InvalidToken):
        await refuse_if_blocked.verifier.verify(token)


async def test_what_was_revoked(refuse_if_blocked: Gate) -> None:
    """All that is older is void, also what is remembered; what is newer is not."""
    token = signed(claims(refuse_if_blocked.clock()))
    await refuse_if_blocked.verifier.verify(token)
    refuse_if_blocked.epochs.by_issuer[f"{ISSUER}#job-7"] = int(refuse_if_blocked.clock() * 1000)
    with pytest.raises(RevokedToken):
        await refuse_if_blocked.verifier.verify(token)
    refuse_if_blocked.clock.now_s += 1
    await refuse_if_blocked.verifier.verify(signed(claims(refuse_if_blocked.clock())))


async def test_keys_that_cannot_be_fetched(refuse_if_blocked: Gate) -> None:
    """Unknown is not refused."""
    refuse_if_blocked.published[ISSUER] = b""
    with pytest.raises(KeysUnavailable):
        await refuse_if_blocked.verifier.verify(signed(claims(refuse_if_blocked.clock())))
    await refuse_if_blocked.verifier.aclose()


async def test_tokens_that_proved_somebody_are_known(refuse_if_blocked: Gate) -> None:
    """Before that they are not."""
    token = signed(claims(refuse_if_blocked.clock()))
    assert not refuse_if_blocked.verifier.knows(token)
    await refuse_if_blocked.verifier.verify(token)
    assert refuse_if_blocked.verifier.knows(token)

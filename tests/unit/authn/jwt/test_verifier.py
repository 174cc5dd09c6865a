"""Verification of JWTs, and the cache of verified tokens."""

from collections.abc import Sequence

import pytest

from gateway.authn.jwt.first_seen import FirstSeen
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
    StoreUnavailable,
)
from gateway.core.event import Notice
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
from tests.fakes.memory import FakeClock, MemoryStore


class Epochs:
    """The port `Revocations` with preset epochs."""

    def __init__(self) -> None:
        self.by_issuer: dict[str, int] = {}

    async def epoch_ms(self, issuer: str) -> int | None:
        return self.by_issuer.get(issuer)

    def epoch_in(self, record: bytes | None, issuer: str) -> int | None:
        raise NotImplementedError(issuer, record)

    async def revoke(self, issuer: str, notices: Sequence[Notice] = ()) -> int:
        raise NotImplementedError(issuer)


class VerifierUnderTest:
    """A verifier of two issuers, and the key sets that they publish."""

    def __init__(self, clock: FakeClock, store: MemoryStore) -> None:
        self.clock = clock
        self.store = store
        self.epochs = Epochs()
        self.published = {ISSUER: key_set(RSA, EC, ED), "https://two.example": key_set(OTHER)}
        self.fetched = 0
        self.verifier = self.another()

    def another(self) -> JwtVerifier:
        """Make the verifier of another gateway with the same store."""
        return JwtVerifier(
            [
                IssuerWithKeys(
                    TrustedIssuer(name, AUDIENCE, ALGORITHMS),
                    KeySource(name, self._fetch(name), self.clock),
                )
                for name in self.published
            ],
            self.epochs,
            FirstSeen(self.store),
            clock=self.clock,
        )

    def _fetch(self, name: str) -> Fetch:
        async def fetch() -> bytes:
            self.fetched += 1
            return self.published[name]

        return fetch


@pytest.fixture
def under_test(clock: FakeClock, store: MemoryStore) -> VerifierUnderTest:
    return VerifierUnderTest(clock, store)


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
async def test_valid_tokens_of_all_algorithms_are_accepted(
    under_test: VerifierUnderTest, key: Key, algorithm: str
) -> None:
    """Is good, whatever it is signed with that the config allows."""
    token = signed(claims(under_test.clock()), key, algorithm)
    assert f"{ISSUER}#job-7" == (await under_test.verifier.verify(token)).user.issuer


async def test_a_signature_by_another_key_is_refused(under_test: VerifierUnderTest) -> None:
    """Neither a key with the same id nor a key of another issuer counts."""
    with pytest.raises(InvalidToken, match="none of the issuer's keys"):
        await under_test.verifier.verify(signed(claims(under_test.clock()), OTHER))
    two = signed(claims(under_test.clock(), iss="https://two.example"), OTHER)
    assert "https://two.example#job-7" == (await under_test.verifier.verify(two)).user.issuer


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_changed_part_breaks_the_signature(
    under_test: VerifierUnderTest, place: int
) -> None:
    """The signature covers header and payload."""
    parts = signed(claims(under_test.clock())).split(".")
    other = signed(claims(under_test.clock(), sub="root"), kid="ec", x="y").split(".")
    parts[place] = other[place]
    with pytest.raises(InvalidToken):
        await under_test.verifier.verify(".".join(parts))


@pytest.mark.parametrize("signature", [b"\0" * 64, b"\0", b"x" * 63, b"x" * 65])
async def test_malformed_signatures_are_refused(
    under_test: VerifierUnderTest, signature: bytes
) -> None:
    """Zeros, too (CVE-2022-21449)."""
    start = signed(claims(under_test.clock())).rpartition(".")[0]
    with pytest.raises(InvalidToken):
        await under_test.verifier.verify(f"{start}.{part(signature)}")


async def test_an_unknown_key_id_is_refused(under_test: VerifierUnderTest) -> None:
    """Is no key of the issuer's."""
    with pytest.raises(InvalidToken, match="no such key"):
        await under_test.verifier.verify(signed(claims(under_test.clock()), kid="evil"))
    with pytest.raises(InvalidToken, match="no such key"):
        await under_test.verifier.verify(signed(claims(under_test.clock()), RSA, "RS256", kid="ec"))


async def test_a_token_without_key_id_is_checked_with_the_only_key(
    under_test: VerifierUnderTest,
) -> None:
    """There is one key for its algorithm."""
    identity = await under_test.verifier.verify(signed(claims(under_test.clock()), kid=ABSENT))
    assert f"{ISSUER}#job-7" == identity.user.issuer


async def test_malformed_and_expired_tokens_cause_no_fetch(under_test: VerifierUnderTest) -> None:
    """Keys are fetched only when all other checks have passed."""
    for token in ("a.b.c", signed(claims(under_test.clock(), iss="https://evil.example"))):
        with pytest.raises(InvalidToken):
            await under_test.verifier.verify(token)
    with pytest.raises(ExpiredToken):
        await under_test.verifier.verify(signed(claims(under_test.clock(), exp=1, iat=0)))
    assert 0 == under_test.fetched


async def test_a_verdict_is_cached_for_five_minutes(under_test: VerifierUnderTest) -> None:
    """The identity is the same object meanwhile."""
    token = signed(claims(under_test.clock(), exp=under_test.clock() + 3600))
    first = await under_test.verifier.verify(token)
    assert first is await under_test.verifier.verify(token)
    under_test.clock.now_s += GOOD_FOR_S
    again = await under_test.verifier.verify(token)
    assert again == first
    assert again is not first


async def test_a_cached_token_expires_on_time(under_test: VerifierUnderTest) -> None:
    """Expiry is exact to the second."""
    token = signed(claims(under_test.clock(), exp=under_test.clock() + 10))
    await under_test.verifier.verify(token)
    assert under_test.verifier.knows(token)
    under_test.clock.now_s += 10
    with pytest.raises(ExpiredToken):
        await under_test.verifier.verify(token)
    assert not under_test.verifier.knows(token)


async def test_a_withdrawn_key_invalidates_its_verdicts(under_test: VerifierUnderTest) -> None:
    """This holds as soon as the key set is fetched again."""
    token = signed(claims(under_test.clock(), exp=under_test.clock() + 3600))
    await under_test.verifier.verify(token)
    under_test.published[ISSUER] = key_set(RSA, ED)
    under_test.clock.now_s += MIN_INTERVAL_S
    with pytest.raises(InvalidToken):
        await under_test.verifier.verify(signed(claims(under_test.clock()), kid="new"))
    with pytest.raises(InvalidToken):
        await under_test.verifier.verify(token)


async def test_tokens_older_than_the_epoch_are_refused(under_test: VerifierUnderTest) -> None:
    """Cached ones, too; newer tokens are accepted."""
    token = signed(claims(under_test.clock()))
    await under_test.verifier.verify(token)
    under_test.epochs.by_issuer[f"{ISSUER}#job-7"] = int(under_test.clock() * 1000)
    with pytest.raises(RevokedToken):
        await under_test.verifier.verify(token)
    under_test.clock.now_s += 1
    await under_test.verifier.verify(signed(claims(under_test.clock())))


async def test_a_revocation_ends_tokens_of_fast_clocks_on_all_gateways(
    under_test: VerifierUnderTest,
) -> None:
    """Their `iat` is later than the epoch; the store tells when the first gateway saw them."""
    clock, issuer = under_test.clock, f"{ISSUER}#job-7"
    early = signed(claims(clock(), iat=clock() + 60, jti="early"))
    await under_test.verifier.verify(early)
    under_test.epochs.by_issuer[issuer] = int(clock() * 1000) + 500
    for after_s in (1, 60):  # before its ``iat``, and after
        clock.now_s += after_s
        for verifier in (under_test.verifier, under_test.another()):
            with pytest.raises(RevokedToken):
                await verifier.verify(early)


async def test_tokens_made_after_a_revocation_are_valid_at_once(
    under_test: VerifierUnderTest,
) -> None:
    """Of exact and of fast clocks; the store is asked once for those near the epoch alone."""
    clock, verifier = under_test.clock, under_test.verifier
    under_test.epochs.by_issuer[f"{ISSUER}#job-7"] = int(clock() * 1000) - 1
    for iat in (clock(), clock() + 60):
        token = signed(claims(clock(), iat=iat))
        for _ in range(3):
            await verifier.verify(token)
    gets = [call for call, _ in under_test.store.calls].count("get")
    assert 3 == gets  # one of them is a part of ``add``
    clock.now_s += 61
    under_test.store.calls.clear()
    await verifier.verify(signed(claims(clock())))
    assert [] == under_test.store.calls


async def test_near_an_epoch_an_unavailable_store_leaves_it_unknown(
    under_test: VerifierUnderTest,
) -> None:
    """Unknown never counts as "not revoked"."""
    clock = under_test.clock
    token = signed(claims(clock()))
    under_test.store.is_down = True
    await under_test.verifier.verify(token)
    under_test.epochs.by_issuer[f"{ISSUER}#job-7"] = int(clock() * 1000) - 1
    with pytest.raises(StoreUnavailable):
        await under_test.verifier.verify(token)


async def test_unavailable_keys_are_no_refusal_of_the_token(under_test: VerifierUnderTest) -> None:
    """The client may try the same token again."""
    under_test.published[ISSUER] = b""
    with pytest.raises(KeysUnavailable):
        await under_test.verifier.verify(signed(claims(under_test.clock())))
    await under_test.verifier.aclose()


async def test_verified_tokens_are_known(under_test: VerifierUnderTest) -> None:
    """Others are not."""
    token = signed(claims(under_test.clock()))
    assert not under_test.verifier.knows(token)
    await under_test.verifier.verify(token)
    assert under_test.verifier.knows(token)

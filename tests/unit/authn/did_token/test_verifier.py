"""Verification of DID tokens, and the cache of verdicts."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial

import pytest

from gateway.authn.did_token.token import MAX_TOKEN_CHARS, TokenRules
from gateway.authn.did_token.verifier import BAD_FOR_S, GOOD_FOR_S, DidTokenVerifier
from gateway.core.errors import (
    ExpiredToken,
    InvalidToken,
    MagicUnavailable,
    RevokedToken,
    StoreUnavailable,
)
from gateway.core.event import Notice
from gateway.core.identity import AuthMethod, Identity, User
from gateway.core.ports import Revocations
from tests.fakes.memory import EveryIssuerIsAUser, FakeClock, MemoryStore, UnknownUsers
from tests.fakes.tokens import ALICE, AUDIENCE, BOB, signed

SERVER_KEY = b"k" * 32
RULES = TokenRules(AUDIENCE, 86_400)


class Checker:
    """A signature check with a preset result; counts its calls."""

    def __init__(self) -> None:
        self.refusal: InvalidToken | None = None
        self.checked = 0
        self.skew_s = 0.0
        """As it was told last."""

    def __call__(self, _token: str, clock_skew_s: float) -> None:
        self.checked += 1
        self.skew_s = clock_skew_s
        if self.refusal is not None:
            raise self.refusal


@pytest.fixture
def checker() -> Checker:
    return Checker()


@pytest.fixture
def directory() -> EveryIssuerIsAUser:
    return EveryIssuerIsAUser()


class Gateways:
    """Makes verifiers that share a store, as gateways do."""

    def __init__(
        self, clock: FakeClock, store: MemoryStore, checker: Checker, directory: EveryIssuerIsAUser
    ) -> None:
        self._clock, self._store = clock, store
        self._checker, self._directory = checker, directory
        self.early: list[None] = []
        """One for each token that came early."""

    def another(
        self,
        *,
        rules: TokenRules = RULES,
        server_key: bytes = SERVER_KEY,
        capacity: int = 100,
        revocations: Revocations | None = None,
    ) -> DidTokenVerifier:
        return DidTokenVerifier(
            self._checker,
            self._directory,
            self._store,
            rules=rules,
            server_key=server_key,
            capacity=capacity,
            clock=self._clock,
            on_early=partial(self.early.append, None),
            revocations=revocations,
        )


@pytest.fixture
def gateways(
    clock: FakeClock, store: MemoryStore, checker: Checker, directory: EveryIssuerIsAUser
) -> Gateways:
    return Gateways(clock, store, checker, directory)


async def test_a_valid_token_gives_the_identity_of_its_user(
    gateways: Gateways, clock: FakeClock
) -> None:
    """It expires with the token."""
    identity = await gateways.another().verify(signed(clock()))
    assert identity == Identity(
        user=User(ALICE.issuer, email="alice@example.com"),
        method=AuthMethod.DID_TOKEN,
        token_id="0b6ff1d3-6c5a-4d6f-8f3e-0d2f8a3f6b1e",
        expires_at_ms=(int(clock()) + 900) * 1000,
        session_key=None,
        proven_at_ms=int(clock()) * 1000,
    )


async def test_a_cached_token_needs_neither_store_nor_signature_check(
    gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """The second verification is local."""
    verifier, token = gateways.another(), signed(clock())
    first = await verifier.verify(token)
    store.calls.clear()
    assert await verifier.verify(token) is first
    assert (store.calls, checker.checked) == ([], 1)


async def test_the_user_is_looked_up_every_time(
    gateways: Gateways, clock: FakeClock, directory: EveryIssuerIsAUser
) -> None:
    """Only the signature is cached."""
    verifier, token = gateways.another(), signed(clock())
    await verifier.verify(token)
    directory.now = User(ALICE.issuer, email="new@example.com")
    assert (await verifier.verify(token)).user.email == "new@example.com"


async def test_a_cached_token_still_expires(gateways: Gateways, clock: FakeClock) -> None:
    """Neither cache makes a token valid beyond its end."""
    verifier, token = gateways.another(), signed(clock(), ext=int(clock()) + 10)
    await verifier.verify(token)
    clock.now_s += 10
    for each in (verifier, gateways.another()):
        with pytest.raises(ExpiredToken):
            await each.verify(token)


async def test_after_five_minutes_the_store_is_asked_again(
    gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """The stored verdict saves the signature check."""
    verifier, token = gateways.another(), signed(clock())
    await verifier.verify(token)
    clock.now_s += GOOD_FOR_S
    store.calls.clear()
    await verifier.verify(token)
    assert {"get"} == {command for command, _ in store.calls}
    assert checker.checked == 1


async def test_without_the_store_the_signature_is_checked_again(
    gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """The new verdict is cached again."""
    verifier, token = gateways.another(), signed(clock())
    await verifier.verify(token)
    store.is_down = True
    clock.now_s += GOOD_FOR_S
    for _ in range(3):
        await verifier.verify(token)
    assert checker.checked == 2


async def test_verdicts_are_shared_by_all_gateways(
    gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """They expire with the token."""
    await gateways.another().verify(signed(clock()))
    await gateways.another().verify(signed(clock()))
    [(key, (_, ends_at_ms))] = store.values.items()
    assert key.startswith("token:")
    assert (int(clock()) + 900) * 1000 == ends_at_ms
    assert checker.checked == 1


async def test_bad_verdicts_are_cached_for_a_minute(
    gateways: Gateways, clock: FakeClock, checker: Checker
) -> None:
    """Other gateways use them, too."""
    checker.refusal = InvalidToken("no")
    verifier, other, token = gateways.another(), gateways.another(), signed(clock())
    for each in (verifier, verifier, other, other):
        with pytest.raises(InvalidToken):
            await each.verify(token)
    assert checker.checked == 1
    clock.now_s += BAD_FOR_S
    checker.refusal = None
    for each in (verifier, other):
        await each.verify(token)


async def test_expiry_during_the_check_is_no_bad_verdict(
    gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """The token is expired, not forged."""
    checker.refusal = ExpiredToken("just now")
    with pytest.raises(ExpiredToken):
        await gateways.another().verify(signed(clock()))
    assert store.values == {}


OTHER_RULES = [
    pytest.param(RULES._replace(audience="did:magic:another"), id="another-audience"),
    pytest.param(RULES._replace(max_lifetime_s=3600), id="another-ceiling"),
    pytest.param(RULES._replace(clock_skew_s=10), id="another-skew"),
]


async def test_verdicts_sealed_with_another_key_are_ignored(
    gateways: Gateways, clock: FakeClock, checker: Checker
) -> None:
    """The signature is checked."""
    await gateways.another(server_key=b"x" * 32).verify(signed(clock()))
    checker.refusal = InvalidToken("no")
    with pytest.raises(InvalidToken, match="no"):
        await gateways.another().verify(signed(clock()))


@pytest.mark.parametrize("rules", OTHER_RULES)
@pytest.mark.parametrize("is_good", [True, False])
async def test_a_change_of_the_rules_invalidates_verdicts(
    rules: TokenRules, *, is_good: bool, gateways: Gateways, clock: FakeClock, checker: Checker
) -> None:
    """Good and bad verdicts are reached again, here and elsewhere."""
    token = signed(clock(), aud=rules.audience)
    ours = signed(clock())
    checker.refusal = None if is_good else InvalidToken("no")
    for verifier, sent in ((gateways.another(), ours), (gateways.another(rules=rules), token)):
        with nullcontext() if is_good else pytest.raises(InvalidToken, match="no"):
            await verifier.verify(sent)
    assert checker.checked == 2


async def test_a_verdict_moved_to_another_key_is_ignored(
    gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """Its seal covers the key name."""
    await gateways.another(rules=RULES._replace(clock_skew_s=10)).verify(signed(clock()))
    [moved] = store.values.values()
    store.values = _Everywhere(moved)
    checker.refusal = InvalidToken("no")
    with pytest.raises(InvalidToken, match="no"):
        await gateways.another().verify(signed(clock()))


async def test_the_signature_check_gets_the_configured_skew(
    gateways: Gateways, clock: FakeClock, checker: Checker
) -> None:
    """magic-admin then has the same tolerance as our own checks."""
    await gateways.another(rules=RULES._replace(clock_skew_s=17)).verify(signed(clock()))
    assert checker.skew_s == 17


async def test_tokens_from_the_future_are_reported_once(
    gateways: Gateways, clock: FakeClock
) -> None:
    """The operator learns that clocks differ."""
    verifier = gateways.another()
    await verifier.verify(signed(clock()))
    assert gateways.early == []
    for _ in range(2):
        await verifier.verify(signed(clock(), iat=int(clock()) + 2))
    assert gateways.early == [None]


async def test_forged_verdicts_in_the_store_are_ignored(
    gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """Write access to the store can neither move nor make a good verdict."""
    await gateways.another().verify(signed(clock()))
    [(sealed, ends_at_ms)] = store.values.values()
    checker.refusal = InvalidToken("forged")
    for planted in (sealed, b"good", b"1", b"", sealed[:-1]):
        gateway = gateways.another()
        token = signed(clock(), by=BOB, sub=planted.hex())
        store.values = _Everywhere((planted, ends_at_ms))
        with pytest.raises(InvalidToken, match="forged"):
            await gateway.verify(token)


class _Everywhere(dict[str, tuple[bytes, int]]):
    """The same value under every key."""

    def __init__(self, value: tuple[bytes, int]) -> None:
        super().__init__()
        self._value = value

    def get(self, *_: object) -> tuple[bytes, int]:
        return self._value


@pytest.mark.parametrize("is_good", [True, False])
async def test_a_token_is_verified_without_the_store(
    is_good: bool, gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """The signature decides."""
    store.is_down = True
    checker.refusal = None if is_good else InvalidToken("no")
    outcome = pytest.raises(InvalidToken, match="no") if checker.refusal else nullcontext()
    with outcome:
        await gateways.another().verify(signed(clock()))
    assert checker.checked == 1


async def test_a_valid_signature_of_an_unknown_issuer_is_refused(
    clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """Magic has to know the issuer."""
    verifier = DidTokenVerifier(
        checker,
        UnknownUsers(),
        store,
        rules=RULES,
        server_key=SERVER_KEY,
        clock=clock,
    )
    with pytest.raises(InvalidToken, match="issuer_unknown"):
        await verifier.verify(signed(clock()))


@pytest.mark.parametrize("error", [MagicUnavailable, StoreUnavailable])
async def test_an_unavailable_directory_is_no_refusal_of_the_token(
    error: type[Exception], clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """The client may try the same token again."""
    verifier = DidTokenVerifier(
        checker,
        UnknownUsers(error()),
        store,
        rules=RULES,
        server_key=SERVER_KEY,
        clock=clock,
    )
    with pytest.raises(error):
        await verifier.verify(signed(clock()))


async def test_simultaneous_requests_share_one_signature_check(
    gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """A page load with a new token costs one check."""
    store.delays_answers = True
    verifier, token = gateways.another(), signed(clock())
    await asyncio.gather(*(verifier.verify(token) for _ in range(10)))
    assert checker.checked == 1


async def test_a_flood_of_forged_tokens_evicts_no_valid_one(
    gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """Refused tokens have a cache of their own."""
    verifier, token = gateways.another(capacity=2), signed(clock())
    await verifier.verify(token)
    checker.refusal = InvalidToken("no")
    for number in range(5):
        with pytest.raises(InvalidToken):
            await verifier.verify(signed(clock(), tid=str(number)))
    store.calls.clear()
    await verifier.verify(token)
    assert store.calls == []


async def test_unencodable_text_is_refused(gateways: Gateways) -> None:
    """Lone surrogates raise nothing else."""
    with pytest.raises(InvalidToken):
        await gateways.another().verify("\ud800")


async def test_a_token_is_known_once_it_was_verified(gateways: Gateways, clock: FakeClock) -> None:
    """It stays known until it expires."""
    verifier, token = gateways.another(), signed(clock())
    assert not verifier.knows(token)
    await verifier.verify(token)
    assert verifier.knows(token)
    clock.now_s += GOOD_FOR_S + 1
    assert verifier.knows(token)
    clock.now_s += 900
    assert not verifier.knows(token)


async def test_a_token_of_an_unknown_issuer_is_not_known(
    clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """A valid signature alone proves nothing."""
    verifier = DidTokenVerifier(
        checker, UnknownUsers(), store, rules=RULES, server_key=SERVER_KEY, clock=clock
    )
    token = signed(clock())
    with pytest.raises(InvalidToken):
        await verifier.verify(token)
    assert not verifier.knows(token)


# --- revoked ------------------------------------------------------------------------------------


class Epoch:
    """The port `Revocations`, with one epoch for all issuers."""

    def __init__(self) -> None:
        self.now_ms: int | None = None
        self.is_unknown = False

    async def epoch_ms(self, issuer: str) -> int | None:  # noqa: ARG002 - as the port has it
        if self.is_unknown:
            raise StoreUnavailable
        return self.now_ms

    def epoch_in(self, record: bytes | None, issuer: str) -> int | None:  # noqa: ARG002
        if self.is_unknown:
            raise StoreUnavailable
        return self.now_ms

    async def revoke(self, issuer: str, notices: Sequence[Notice] = ()) -> int:
        raise NotImplementedError


async def test_a_token_from_before_a_revocation_is_refused(
    gateways: Gateways, clock: FakeClock
) -> None:
    """A token of the next second is accepted."""
    epoch = Epoch()
    verifier = gateways.another(revocations=epoch)
    token = signed(clock.now_s)
    assert int(clock.now_s * 1000) == (await verifier.verify(token)).proven_at_ms

    epoch.now_ms = int(clock.now_s * 1000) + 400
    with pytest.raises(RevokedToken):
        await verifier.verify(token)
    clock.now_s += 1
    assert (await verifier.verify(signed(clock.now_s))).proven_at_ms > epoch.now_ms


async def test_a_revocation_ends_tokens_from_the_future_too(
    gateways: Gateways, clock: FakeClock
) -> None:
    """A token was made before it was first seen."""
    epoch = Epoch()
    verifier = gateways.another(revocations=epoch)
    token = signed(clock.now_s, iat=int(clock.now_s) + 60)
    assert int(clock.now_s * 1000) == (await verifier.verify(token)).proven_at_ms

    epoch.now_ms = int(clock.now_s * 1000)
    for after_s in (2, GOOD_FOR_S):  # when its verdict is over, it is looked at again
        clock.now_s += after_s
        with pytest.raises(RevokedToken):
            await verifier.verify(token)


async def test_a_revocation_ends_such_tokens_on_gateways_that_had_not_seen_them(
    gateways: Gateways, clock: FakeClock
) -> None:
    """The verdict in the store tells when a token was first seen; all gateways agree on it."""
    epoch = Epoch()
    first, token = gateways.another(revocations=epoch), signed(clock(), iat=int(clock()) + 60)
    seen_at_ms = int(clock() * 1000)
    assert seen_at_ms == (await first.verify(token)).proven_at_ms
    clock.now_s += 5
    assert seen_at_ms == (await gateways.another(revocations=epoch).verify(token)).proven_at_ms

    epoch.now_ms = seen_at_ms + 1000
    for after_s in (5, 60, GOOD_FOR_S):  # before its ``iat``, and after
        clock.now_s += after_s
        with pytest.raises(RevokedToken):
            await gateways.another(revocations=epoch).verify(token)
    newer = signed(clock(), iat=int(clock()) + 60)
    assert int(clock() * 1000) == (await first.verify(newer)).proven_at_ms


async def test_the_time_in_a_verdict_is_sealed(
    gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """A writer of the store cannot make a token younger: the signature is checked again."""
    token = signed(clock(), iat=int(clock()) + 60)
    await gateways.another().verify(token)
    [(key, (sealed, ends_at_ms))] = store.values.items()
    time = int(clock() * 1000).to_bytes(8, "big")
    assert time in sealed
    later = int(clock() * 1000 + 5000).to_bytes(8, "big")
    store.values[key] = (sealed.replace(time, later), ends_at_ms)
    clock.now_s += 1
    checker.refusal = InvalidToken("checked")
    with pytest.raises(InvalidToken, match="checked"):
        await gateways.another().verify(token)


async def test_an_unknown_epoch_refuses_the_token(gateways: Gateways, clock: FakeClock) -> None:
    """Unknown never counts as "not revoked"."""
    epoch = Epoch()
    verifier = gateways.another(revocations=epoch)
    epoch.is_unknown = True
    with pytest.raises(StoreUnavailable):
        await verifier.verify(signed(clock.now_s))


async def test_only_texts_of_possible_tokens_are_kept(gateways: Gateways) -> None:
    """A flood of texts that are longer than any token takes no memory."""
    verifier = gateways.another()
    for length in (MAX_TOKEN_CHARS, MAX_TOKEN_CHARS + 1):
        with pytest.raises(InvalidToken):
            await verifier.verify("a" * length)
        assert not verifier.knows("a" * length)

    assert 1 == verifier._digest_of_short.cache_info().currsize

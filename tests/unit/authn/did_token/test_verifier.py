"""Whose a DID token is, and what is remembered of it."""

import asyncio
from contextlib import nullcontext
from functools import partial

import pytest

from gateway.authn.did_token.token import TokenRules
from gateway.authn.did_token.verifier import BAD_FOR_S, GOOD_FOR_S, DidTokenVerifier
from gateway.core.errors import (
    ExpiredToken,
    InvalidToken,
    MagicUnavailable,
    RevokedToken,
    StoreUnavailable,
)
from gateway.core.identity import AuthMethod, Identity, User
from gateway.core.ports import Revocations
from tests.fakes.memory import FakeClock, KnowsEverybody, MemoryStore
from tests.fakes.tokens import ALICE, AUDIENCE, BOB, signed

SERVER_KEY = b"k" * 32
RULES = TokenRules(AUDIENCE, 86_400)


class Checker:
    """A signature check that says what it is told to, and counts."""

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


class Nobody:
    """A `Directory` that knows nobody, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    async def user(self, issuer: str) -> User | None:  # noqa: ARG002 - as the port has it
        if self._error is not None:
            raise self._error
        return None


@pytest.fixture
def checker() -> Checker:
    return Checker()


@pytest.fixture
def directory() -> KnowsEverybody:
    return KnowsEverybody()


class Gateways:
    """Makes verifiers that share a store, as gateways do."""

    def __init__(
        self, clock: FakeClock, store: MemoryStore, checker: Checker, directory: KnowsEverybody
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
    clock: FakeClock, store: MemoryStore, checker: Checker, directory: KnowsEverybody
) -> Gateways:
    return Gateways(clock, store, checker, directory)


async def test_identity(gateways: Gateways, clock: FakeClock) -> None:
    """A proven token gives the user that the directory knows, until the token ends."""
    identity = await gateways.another().verify(signed(clock()))
    assert identity == Identity(
        user=User(ALICE.issuer, email="alice@example.com"),
        method=AuthMethod.DID_TOKEN,
        token_id="0b6ff1d3-6c5a-4d6f-8f3e-0d2f8a3f6b1e",
        expires_at_ms=(int(clock()) + 900) * 1000,
        session_key=None,
        proven_at_ms=int(clock()) * 1000,
    )


async def test_known_token_costs_nothing(
    gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """The second time neither the store is asked nor the signature checked."""
    verifier, token = gateways.another(), signed(clock())
    first = await verifier.verify(token)
    store.calls.clear()
    assert await verifier.verify(token) is first
    assert (store.calls, checker.checked) == ([], 1)


async def test_directory_is_asked_every_time(
    gateways: Gateways, clock: FakeClock, directory: KnowsEverybody
) -> None:
    """What is remembered is the signature: the user is as the directory has it now."""
    verifier, token = gateways.another(), signed(clock())
    await verifier.verify(token)
    directory.now = User(ALICE.issuer, email="new@example.com")
    assert (await verifier.verify(token)).user.email == "new@example.com"


async def test_known_token_still_expires(gateways: Gateways, clock: FakeClock) -> None:
    """No memory, local or shared, makes a token live beyond its end."""
    verifier, token = gateways.another(), signed(clock(), ext=int(clock()) + 10)
    await verifier.verify(token)
    clock.now_s += 10
    for each in (verifier, gateways.another()):
        with pytest.raises(ExpiredToken):
            await each.verify(token)


async def test_local_memory_ends(
    gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """After some minutes the store is asked again; its verdict spares the signature check."""
    verifier, token = gateways.another(), signed(clock())
    await verifier.verify(token)
    clock.now_s += GOOD_FOR_S
    store.calls.clear()
    await verifier.verify(token)
    assert [command for command, _ in store.calls] == ["get"]
    assert checker.checked == 1


async def test_local_memory_ends_without_the_store(
    gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """If the store cannot tell either, the signature is checked anew, and remembered anew."""
    verifier, token = gateways.another(), signed(clock())
    await verifier.verify(token)
    store.is_down = True
    clock.now_s += GOOD_FOR_S
    for _ in range(3):
        await verifier.verify(token)
    assert checker.checked == 2


async def test_verdicts_are_shared(
    gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """What one gateway has proven, the next one need not; the verdict ends with the token."""
    await gateways.another().verify(signed(clock()))
    await gateways.another().verify(signed(clock()))
    [(key, (_, ends_at_ms))] = store.values.items()
    assert key.startswith("token:")
    assert (int(clock()) + 900) * 1000 == ends_at_ms
    assert checker.checked == 1


async def test_refusals_are_remembered(
    gateways: Gateways, clock: FakeClock, checker: Checker
) -> None:
    """A refused token is refused for a minute without a check, here and elsewhere."""
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


async def test_expiry_found_by_the_check_is_not_remembered(
    gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """A token that ends while it is checked is expired, not forged."""
    checker.refusal = ExpiredToken("just now")
    with pytest.raises(ExpiredToken):
        await gateways.another().verify(signed(clock()))
    assert store.values == {}


OTHER_RULES = [
    pytest.param(RULES._replace(audience="did:magic:another"), id="another-audience"),
    pytest.param(RULES._replace(max_lifetime_s=3600), id="another-ceiling"),
    pytest.param(RULES._replace(clock_skew_s=10), id="another-skew"),
]


async def test_verdicts_of_strangers_are_ignored(
    gateways: Gateways, clock: FakeClock, checker: Checker
) -> None:
    """A verdict that was not sealed with our key leads to a check."""
    await gateways.another(server_key=b"x" * 32).verify(signed(clock()))
    checker.refusal = InvalidToken("no")
    with pytest.raises(InvalidToken, match="no"):
        await gateways.another().verify(signed(clock()))


@pytest.mark.parametrize("rules", OTHER_RULES)
@pytest.mark.parametrize("is_good", [True, False])
async def test_verdicts_by_other_rules_are_not_found(
    rules: TokenRules, *, is_good: bool, gateways: Gateways, clock: FakeClock, checker: Checker
) -> None:
    """A config that judges otherwise judges anew, good tokens and bad ones, here and elsewhere."""
    token = signed(clock(), aud=rules.audience)
    ours = signed(clock())
    checker.refusal = None if is_good else InvalidToken("no")
    for verifier, sent in ((gateways.another(), ours), (gateways.another(rules=rules), token)):
        with nullcontext() if is_good else pytest.raises(InvalidToken, match="no"):
            await verifier.verify(sent)
    assert checker.checked == 2


async def test_a_verdict_under_the_key_of_other_rules(
    gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """Moved to where it would be looked for, it is not believed either."""
    await gateways.another(rules=RULES._replace(clock_skew_s=10)).verify(signed(clock()))
    [moved] = store.values.values()
    store.values = _Everywhere(moved)
    checker.refusal = InvalidToken("no")
    with pytest.raises(InvalidToken, match="no"):
        await gateways.another().verify(signed(clock()))


async def test_the_check_is_told_the_skew(
    gateways: Gateways, clock: FakeClock, checker: Checker
) -> None:
    """magic-admin gives the same grace as the checks before it."""
    await gateways.another(rules=RULES._replace(clock_skew_s=17)).verify(signed(clock()))
    assert checker.skew_s == 17


async def test_early_tokens_are_counted(gateways: Gateways, clock: FakeClock) -> None:
    """Once for each token whose iat lies ahead: the operator learns that clocks differ."""
    verifier = gateways.another()
    await verifier.verify(signed(clock()))
    assert gateways.early == []
    for _ in range(2):
        await verifier.verify(signed(clock(), iat=int(clock()) + 2))
    assert gateways.early == [None]


async def test_planted_verdicts_are_ignored(
    gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """Who can write to the store can move no good verdict to another token, nor make one up."""
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
async def test_store_is_not_needed(
    is_good: bool, gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """Without the store the signature decides."""
    store.is_down = True
    checker.refusal = None if is_good else InvalidToken("no")
    outcome = pytest.raises(InvalidToken, match="no") if checker.refusal else nullcontext()
    with outcome:
        await gateways.another().verify(signed(clock()))
    assert checker.checked == 1


async def test_unknown_issuer(clock: FakeClock, store: MemoryStore, checker: Checker) -> None:
    """A right signature of somebody Magic does not know proves nothing."""
    verifier = DidTokenVerifier(
        checker,
        Nobody(),
        store,
        rules=RULES,
        server_key=SERVER_KEY,
        clock=clock,
    )
    with pytest.raises(InvalidToken, match="issuer_unknown"):
        await verifier.verify(signed(clock()))


@pytest.mark.parametrize("error", [MagicUnavailable, StoreUnavailable])
async def test_directory_out_of_reach(
    error: type[Exception], clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """That it cannot be told who somebody is, is no refusal of the token."""
    verifier = DidTokenVerifier(
        checker,
        Nobody(error()),
        store,
        rules=RULES,
        server_key=SERVER_KEY,
        clock=clock,
    )
    with pytest.raises(error):
        await verifier.verify(signed(clock()))


async def test_a_crowd_costs_one_check(
    gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """Requests that bring a new token together have its signature checked once."""
    store.delays_answers = True
    verifier, token = gateways.another(), signed(clock())
    await asyncio.gather(*(verifier.verify(token) for _ in range(10)))
    assert checker.checked == 1


async def test_forged_ones_push_out_no_proven_one(
    gateways: Gateways, clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """A flood of refused tokens fills a memory of its own."""
    verifier, token = gateways.another(capacity=2), signed(clock())
    await verifier.verify(token)
    checker.refusal = InvalidToken("no")
    for number in range(5):
        with pytest.raises(InvalidToken):
            await verifier.verify(signed(clock(), tid=str(number)))
    store.calls.clear()
    await verifier.verify(token)
    assert store.calls == []


async def test_text_that_no_header_could_hold(gateways: Gateways) -> None:
    """Not even text that has no bytes brings the verifier down."""
    with pytest.raises(InvalidToken):
        await gateways.another().verify("\ud800")


async def test_a_token_is_known_once_it_has_proven_somebody(
    gateways: Gateways, clock: FakeClock
) -> None:
    """Until it ends, also when its verdict is to be asked for again."""
    verifier, token = gateways.another(), signed(clock())
    assert not verifier.knows(token)
    await verifier.verify(token)
    assert verifier.knows(token)
    clock.now_s += GOOD_FOR_S + 1
    assert verifier.knows(token)
    clock.now_s += 900
    assert not verifier.knows(token)


async def test_a_strangers_token_is_not_known(
    clock: FakeClock, store: MemoryStore, checker: Checker
) -> None:
    """Anybody can sign one well."""
    verifier = DidTokenVerifier(
        checker, Nobody(), store, rules=RULES, server_key=SERVER_KEY, clock=clock
    )
    token = signed(clock())
    with pytest.raises(InvalidToken):
        await verifier.verify(token)
    assert not verifier.knows(token)


# --- revoked ------------------------------------------------------------------------------------


class Epoch:
    """The port `Revocations`, with one epoch for everybody."""

    def __init__(self) -> None:
        self.now_ms: int | None = None
        self.is_unknown = False

    async def epoch_ms(self, issuer: str) -> int | None:  # noqa: ARG002 - as the port has it
        if self.is_unknown:
            raise StoreUnavailable
        return self.now_ms

    async def revoke(self, issuer: str) -> int:
        raise NotImplementedError


async def test_a_token_from_before_a_revocation_is_refused(
    gateways: Gateways, clock: FakeClock
) -> None:
    """Though it was accepted a moment ago; one of the next second is accepted."""
    epoch = Epoch()
    verifier = gateways.another(revocations=epoch)
    token = signed(clock.now_s)
    assert int(clock.now_s * 1000) == (await verifier.verify(token)).proven_at_ms

    epoch.now_ms = int(clock.now_s * 1000) + 400
    with pytest.raises(RevokedToken):
        await verifier.verify(token)
    clock.now_s += 1
    assert (await verifier.verify(signed(clock.now_s))).proven_at_ms > epoch.now_ms


async def test_a_token_of_a_clock_that_is_fast_is_no_exception(
    gateways: Gateways, clock: FakeClock
) -> None:
    """It was made before it was seen, whatever its iat says."""
    epoch = Epoch()
    verifier = gateways.another(revocations=epoch)
    token = signed(clock.now_s, iat=int(clock.now_s) + 60)
    assert int(clock.now_s * 1000) == (await verifier.verify(token)).proven_at_ms

    epoch.now_ms = int(clock.now_s * 1000)
    for after_s in (2, GOOD_FOR_S):  # when its verdict is over, it is looked at again
        clock.now_s += after_s
        with pytest.raises(RevokedToken):
            await verifier.verify(token)


async def test_a_token_is_not_let_in_while_nobody_knows_whether_it_was_revoked(
    gateways: Gateways, clock: FakeClock
) -> None:
    """Unknown is not the same as not revoked."""
    epoch = Epoch()
    verifier = gateways.another(revocations=epoch)
    epoch.is_unknown = True
    with pytest.raises(StoreUnavailable):
        await verifier.verify(signed(clock.now_s))

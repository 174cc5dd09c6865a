"""Access to Magic: signature checks and the admin API."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from gateway.core.errors import InvalidToken, MagicUnavailable, StartError
from gateway.core.identity import User, Wallet
from gateway.users.magic_api import (
    MAX_BODY_BYTES,
    MagicApi,
    SignatureChecker,
    require_coincurve,
)
from gateway.util.eth_imports import eth_imports
from tests.fakes.free_port import free_port
from tests.fakes.magic import SECRET_KEY, FakeMagic, Mood
from tests.fakes.memory import FakeClock
from tests.fakes.tokens import ALICE, AUDIENCE, BOB

with eth_imports():
    import magic_admin


@pytest.fixture
def fake() -> FakeMagic:
    fake = FakeMagic()
    fake.add_user(ALICE.issuer, "alice@example.com", phone_number="+4930123456")
    return fake


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1000.0)


@pytest.fixture
async def url(fake: FakeMagic) -> AsyncIterator[str]:
    async with fake.serving() as url:
        yield url


@pytest.fixture
async def api(url: str, clock: FakeClock) -> AsyncIterator[MagicApi]:
    async with MagicApi(SECRET_KEY, url + "/", clock=clock) as api:
        yield api


async def test_a_user_is_returned_with_metadata(api: MagicApi) -> None:
    """A user comes with what Magic knows of it."""
    expected = User(ALICE.issuer, "alice@example.com", ALICE.address, "+4930123456")
    assert expected == await api.user(ALICE.issuer)


async def test_the_client_id_of_the_key_is_returned(api: MagicApi) -> None:
    """The key says which client it belongs to."""
    assert await api.client_id() == AUDIENCE


async def test_requests_have_the_wire_format_of_magic_admin(api: MagicApi, fake: FakeMagic) -> None:
    """Except that the User-Agent does not reveal the host's name."""
    await api.client_id()
    await api.user(ALICE.issuer)
    assert [
        ("GET", "/v1/admin/client"),
        ("GET", f"/v1/admin/user?issuer=did%3Aethr%3A{ALICE.address}&wallet_type=NONE"),
    ] == [(call.method, call.path_and_query) for call in fake.calls]
    assert fake.calls[0].headers["X-Magic-Secret-Key"] == SECRET_KEY
    assert fake.calls[0].headers["User-Agent"].startswith("magic-gateway/")


async def test_a_logout_has_the_wire_format_of_magic_admin(api: MagicApi, fake: FakeMagic) -> None:
    """In magic-admin's wire format."""
    await api.log_out(ALICE.issuer)
    assert [("POST", "/v1/admin/user/logout")] == [
        (call.method, call.path_and_query) for call in fake.calls
    ]
    assert fake.calls[0].headers["X-Magic-Secret-Key"] == SECRET_KEY
    assert fake.calls[0].headers["Content-Type"] == "application/json"
    assert [{"issuer": ALICE.issuer}] == fake.logouts


@pytest.mark.parametrize("mood", [Mood.NOT_FOUND, Mood.BROKEN, Mood.TOO_MANY, Mood.HANG_UP])
async def test_a_logout_without_a_200_is_an_error(
    api: MagicApi, fake: FakeMagic, mood: Mood
) -> None:
    """Whatever it answers that is no yes."""
    fake.mood = mood
    with pytest.raises(MagicUnavailable):
        await api.log_out(ALICE.issuer)


async def test_the_issuer_of_an_email_is_returned(api: MagicApi, fake: FakeMagic) -> None:
    """In magic-admin's wire format; however Magic spells the address."""
    fake.add_user(ALICE.issuer, "Alice+x@Example.com")
    assert (ALICE.issuer,) == await api.issuers("alice+x@example.com")
    assert ["/v2/admin/user?type=email&value=alice%2Bx%40example.com"] == [
        call.path_and_query for call in fake.calls
    ]


async def test_an_email_of_no_user_has_no_issuers(api: MagicApi) -> None:
    """Magic answers 404."""
    assert () == await api.issuers("nobody@example.com")


@pytest.mark.parametrize(
    ("answer", "issuers"),
    [
        ([{"issuer": ALICE.issuer}, {"issuer": BOB.issuer.lower()}], (ALICE.issuer, BOB.issuer)),
        ({"issuer": None}, ()),
        ([], ()),
        ({"issuer": BOB.issuer, "email": "bob@example.com"}, ()),
        ({"issuer": BOB.issuer, "email": 5}, ()),
        ({"issuer": BOB.issuer, "email": "two words"}, ()),
    ],
    ids=["several", "null", "none", "of-another", "no-text", "no-email"],
)
async def test_answers_about_an_email(
    api: MagicApi, fake: FakeMagic, answer: object, issuers: tuple[str, ...]
) -> None:
    """Records of another email are left out: an operator would act on another user."""
    fake.answer_by_email = answer
    assert issuers == await api.issuers("alice@example.com")


@pytest.mark.parametrize("answer", ["x", [5], {"issuer": "x"}, {"issuer": 5}])
async def test_a_malformed_answer_about_an_email_is_an_error(
    api: MagicApi, fake: FakeMagic, answer: object
) -> None:
    """It does not count as "no user"."""
    fake.answer_by_email = answer
    with pytest.raises(MagicUnavailable):
        await api.issuers("alice@example.com")


@pytest.mark.parametrize("mood", [Mood.BROKEN, Mood.TOO_MANY, Mood.HANG_UP, Mood.GARBAGE])
async def test_a_magic_that_fails_knows_no_less(api: MagicApi, fake: FakeMagic, mood: Mood) -> None:
    """A failure is not "no user"."""
    fake.mood = mood
    with pytest.raises(MagicUnavailable):
        await api.issuers("alice@example.com")


async def test_a_user_may_have_no_email(api: MagicApi, fake: FakeMagic) -> None:
    """As after a sign-in by phone."""
    fake.add_user(BOB.issuer, None, public_address=None)
    assert User(BOB.issuer) == await api.user(BOB.issuer)


async def test_a_user_of_a_provider_has_its_name_and_wallets(
    api: MagicApi, fake: FakeMagic
) -> None:
    """In either spelling of their members."""
    wallets: list[object] = [
        {"network": "MAINNET", "public_address": "0x1", "wallet_type": "ETH"},
        {"network": "MAINNET", "publicAddress": "0x2", "walletType": "SOLANA"},
        "odd",
        {"network": "without an address"},
    ]
    fake.add_user(BOB.issuer, None, oauth_provider="google", username="bob", wallets=wallets)
    assert await api.user(BOB.issuer) == User(
        BOB.issuer,
        public_address=BOB.address,
        oauth_provider="google",
        username="bob",
        wallets=(Wallet("MAINNET", "0x1", "ETH"), Wallet("MAINNET", "0x2", "SOLANA")),
    )


async def test_the_issuer_keeps_its_verified_spelling(api: MagicApi, fake: FakeMagic) -> None:
    """The response may differ in letter case."""
    fake.users[BOB.issuer] = {"issuer": BOB.issuer.lower(), "email": "bob@example.com"}
    assert User(BOB.issuer, "bob@example.com") == await api.user(BOB.issuer)


async def test_unprintable_text_counts_as_absent(api: MagicApi, fake: FakeMagic) -> None:
    """It could end a header field."""
    fake.add_user(BOB.issuer, "bob@example.com\r\nX-User-Roles: admin", phone_number=5)
    assert User(BOB.issuer, public_address=BOB.address) == await api.user(BOB.issuer)


@pytest.mark.parametrize(
    "mood",
    [Mood.NULL_ISSUER, Mood.BAD_REQUEST, Mood.NOT_FOUND, Mood.WRONG_ISSUER],
    ids=lambda mood: mood.name,
)
async def test_every_form_of_unknown_is_understood(
    mood: Mood, api: MagicApi, fake: FakeMagic
) -> None:
    """The record of another issuer, too."""
    fake.mood = mood
    assert await api.user(ALICE.issuer) is None


async def test_an_issuer_that_never_signed_up_is_unknown(api: MagicApi) -> None:
    """Any valid key can make an issuer; Magic knows those that signed up."""
    assert await api.user(BOB.issuer) is None


NO_ANSWER = [
    pytest.param(Mood.UNAUTHORIZED, "secret key refused", id="401"),
    pytest.param(Mood.FORBIDDEN, "secret key refused", id="403"),
    pytest.param(Mood.TOO_MANY, "status 429", id="429"),
    pytest.param(Mood.UNAVAILABLE, "status 503", id="503"),
    pytest.param(Mood.BROKEN, "status 500", id="500"),
    pytest.param(Mood.REDIRECT_LOOP, "status 302", id="redirect"),
    pytest.param(Mood.GARBAGE, "answer is not JSON", id="garbage"),
    pytest.param(Mood.NOT_UTF8, "answer is not JSON", id="not-utf8"),
    pytest.param(Mood.DEEP, "answer is not JSON", id="deep"),
    pytest.param(Mood.COMPRESSED, "answer is not JSON", id="compressed"),
    pytest.param(Mood.NOT_AN_OBJECT, "answer is not an object", id="array"),
    pytest.param(Mood.HUGE, "answer too long", id="huge"),
]


@pytest.mark.parametrize(("mood", "reason"), NO_ANSWER)
async def test_an_unusable_response_is_an_error(
    mood: Mood, reason: str, api: MagicApi, fake: FakeMagic, clock: FakeClock
) -> None:
    """It says nothing about the user, and is not retried."""
    fake.mood = mood
    for ask in (api.client_id, lambda: api.user(ALICE.issuer)):
        fake.calls.clear()
        clock.now_s += 60
        with pytest.raises(MagicUnavailable) as refused:
            await ask()
        assert reason == refused.value.reason
        assert len(fake.calls) == 1


async def test_a_response_without_text_ids_is_an_error(api: MagicApi, fake: FakeMagic) -> None:
    """An issuer or a client id that is no text is no answer."""
    fake.mood = Mood.ODD_ISSUER
    with pytest.raises(MagicUnavailable, match="not text"):
        await api.user(ALICE.issuer)
    with pytest.raises(MagicUnavailable, match="no client id"):
        await api.client_id()


async def test_a_4xx_for_the_client_id_is_an_error(api: MagicApi, fake: FakeMagic) -> None:
    """Only for users does it mean unknown."""
    fake.mood = Mood.NOT_FOUND
    with pytest.raises(MagicUnavailable, match="status 404"):
        await api.client_id()


async def test_a_body_is_read_up_to_the_limit(api: MagicApi, fake: FakeMagic) -> None:
    """One byte more is an error."""
    fake.add_user(BOB.issuer, None, wallets="x" * (MAX_BODY_BYTES - 1000))
    assert await api.user(BOB.issuer) is not None


async def test_magic_is_not_called_within_its_retry_after(
    api: MagicApi, fake: FakeMagic, clock: FakeClock
) -> None:
    """Callers are refused at once, with the time to wait."""
    fake.mood = Mood.TOO_MANY
    with pytest.raises(MagicUnavailable) as first:
        await api.user(ALICE.issuer)
    clock.now_s += 5
    with pytest.raises(MagicUnavailable) as second:
        await api.user(ALICE.issuer)
    assert (first.value.retry_after_s, second.value.retry_after_s) == (7.0, 2.0)
    assert len(fake.calls) == 1
    fake.mood = Mood.WELL
    clock.now_s += 2
    assert await api.user(ALICE.issuer) is not None


@pytest.mark.parametrize(
    "field", [None, "Fri, 31 Dec 1999 23:59:59 GMT", "-5", "1.5", "²", "9" * 9]
)
async def test_a_malformed_retry_after_is_ignored(
    field: str | None, api: MagicApi, fake: FakeMagic
) -> None:
    """Without a plain number of seconds, the next call may be made."""
    fake.mood, fake.retry_after = Mood.TOO_MANY, field
    with pytest.raises(MagicUnavailable) as refused:
        await api.user(ALICE.issuer)
    assert refused.value.retry_after_s == 1.0
    fake.mood = Mood.WELL
    assert await api.user(ALICE.issuer) is not None


async def test_five_failures_open_the_circuit(
    api: MagicApi, fake: FakeMagic, clock: FakeClock
) -> None:
    """A second later, one call is tried."""
    fake.mood = Mood.BROKEN
    for _ in range(8):
        with pytest.raises(MagicUnavailable):
            await api.user(ALICE.issuer)
    assert len(fake.calls) == 5
    clock.now_s += 1
    fake.mood = Mood.WELL
    assert await api.user(ALICE.issuer) is not None


async def test_all_calls_go_through_after_a_pause(
    api: MagicApi, fake: FakeMagic, clock: FakeClock
) -> None:
    """People who sign in do not wait for the outcome of one trial."""
    fake.mood = Mood.BROKEN
    for _ in range(5):
        with pytest.raises(MagicUnavailable):
            await api.user(ALICE.issuer)
    clock.now_s += 1
    fake.mood = Mood.WELL
    found = await asyncio.gather(*(api.user(ALICE.issuer) for _ in range(3)))
    assert (3, None not in found) == (len(found), True)


async def test_unknown_issuers_are_no_failures(api: MagicApi, fake: FakeMagic) -> None:
    """However many unknown issuers are looked up, Magic is still asked."""
    for _ in range(8):
        await api.user(BOB.issuer)
    assert len(fake.calls) == 8


async def test_a_call_ends_at_its_deadline(url: str, fake: FakeMagic) -> None:
    """A server that says nothing is waited for until the deadline, and no longer."""
    fake.mood = Mood.HANG
    async with MagicApi(SECRET_KEY, url, deadline_s=0.01) as api:
        with pytest.raises(MagicUnavailable, match="no answer in time"):
            await api.user(ALICE.issuer)


async def test_a_connection_closed_before_the_response_is_an_error(
    api: MagicApi, fake: FakeMagic
) -> None:
    """A connection that ends before the answer has begun is no answer."""
    fake.mood = Mood.HANG_UP
    with pytest.raises(MagicUnavailable, match="ServerDisconnectedError"):
        await api.user(ALICE.issuer)


async def test_a_refused_connection_is_an_error(url: str, fake: FakeMagic) -> None:
    """A server that is not there is like one that does not answer."""
    async with MagicApi(SECRET_KEY, f"http://127.0.0.1:{free_port()}") as api:
        with pytest.raises(MagicUnavailable, match="ClientConnectorError"):
            await api.user(ALICE.issuer)


async def test_calls_and_waiting_calls_are_bounded(url: str, fake: FakeMagic) -> None:
    """One more is refused at once."""
    fake.mood = Mood.HANG
    async with MagicApi(SECRET_KEY, url, max_calls=1, max_waiting=1) as api:
        waiters = [asyncio.create_task(api.user(ALICE.issuer)) for _ in range(2)]
        await fake.asked.wait()
        with pytest.raises(MagicUnavailable, match="too many"):
            await api.user(ALICE.issuer)
        assert len(fake.calls) == 1
        fake.release()
        first, second = await asyncio.gather(*waiters)
        assert first == second is not None
        assert await api.user(ALICE.issuer) is not None


async def test_a_cancelled_call_frees_its_slot(url: str, fake: FakeMagic) -> None:
    """Who gives up is let go, and frees the turn."""
    fake.mood = Mood.HANG
    async with MagicApi(SECRET_KEY, url, max_calls=1, max_waiting=0) as api:
        waiter = asyncio.create_task(api.user(ALICE.issuer))
        await fake.asked.wait()
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        fake.release()
        assert await api.user(ALICE.issuer) is not None


async def test_calls_outside_of_the_context_are_refused(url: str) -> None:
    """Before it is opened and after it is closed there is no Magic."""
    api = MagicApi(SECRET_KEY, url)
    await api.aclose()
    with pytest.raises(MagicUnavailable, match="not open"):
        await api.user(ALICE.issuer)
    async with api:
        assert await api.client_id() == AUDIENCE
    with pytest.raises(MagicUnavailable, match="not open"):
        await api.user(ALICE.issuer)


async def test_proxies_of_the_environment_are_not_used(
    api: MagicApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The secret key goes to Magic alone."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert await api.user(ALICE.issuer) is not None


@pytest.mark.parametrize(
    ("secret_key", "api_url"),
    [
        pytest.param("sk\r\nX: y", "http://127.0.0.1", id="key-with-a-line-end"),
        pytest.param("sk ö", "http://127.0.0.1", id="key-of-other-characters"),
        pytest.param("", "http://127.0.0.1", id="no-key"),
        pytest.param("sk", "ftp://127.0.0.1", id="other-scheme"),
        pytest.param("sk", "api.magic.link", id="no-scheme"),
        pytest.param("sk", "http://", id="no-host"),
        pytest.param("sk", "http://[", id="no-url"),
    ],
)
def test_unusable_settings_are_found_at_the_start(secret_key: str, api_url: str) -> None:
    """What cannot work is found at the start."""
    with pytest.raises(StartError):
        MagicApi(secret_key, api_url)


# --- magic-admin itself ------------------------------------------------------------------------


def test_signatures_are_checked_in_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start without coincurve is refused, as checks would be forty times slower."""
    require_coincurve()
    monkeypatch.setenv("ECC_BACKEND_CLASS", "eth_keys.backends.NativeECCBackend")
    with pytest.raises(StartError, match="NativeECCBackend"):
        require_coincurve()
    with pytest.raises(StartError):
        SignatureChecker("sk_test", AUDIENCE)


def test_a_process_has_one_client_id() -> None:
    """magic-admin's global would silently change."""
    SignatureChecker("sk_test", AUDIENCE)
    SignatureChecker("sk_test", AUDIENCE)
    with pytest.raises(StartError):
        SignatureChecker("sk_test", "did:magic:another")
    assert magic_admin.client_id == AUDIENCE


@pytest.mark.parametrize(("secret_key", "client_id"), [("", AUDIENCE), ("sk_test", "")])
def test_empty_keys_are_refused(secret_key: str, client_id: str) -> None:
    """magic-admin would look for them elsewhere, over the network even."""
    with pytest.raises(StartError):
        SignatureChecker(secret_key, client_id)


@pytest.mark.parametrize(
    "error", [KeyError("secret"), RecursionError(), MemoryError(), AssertionError("secret")]
)
def test_any_exception_of_magic_admin_is_a_refusal(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the class of the exception and nothing else."""
    checker = SignatureChecker("sk_test", AUDIENCE)

    def fail(_: str) -> None:
        raise error

    monkeypatch.setattr(checker, "_validate", fail)
    with pytest.raises(InvalidToken) as refused:
        checker.check("token")
    assert f"magic-admin: {type(error).__name__}" == refused.value.reason


def test_a_checker_is_made_without_network() -> None:
    """A checker is made without a single connection, in a process that could not make one."""
    program = """
import socket
def refuse(*_): raise AssertionError("network")
socket.socket.connect = socket.getaddrinfo = refuse
from gateway.users.magic_api import SignatureChecker
SignatureChecker("sk_test", "did:magic:x")
print("made")
"""
    ended = subprocess.run(  # noqa: PLW1510 - the assertion shows what went wrong
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=25
    )
    assert (ended.stdout, ended.stderr) == ("made\n", "")

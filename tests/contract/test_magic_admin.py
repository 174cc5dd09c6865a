"""
What we rely on in magic-admin 2.5.0, and what we guard against: a new version shows up here first.

Each test that ends in ``is_still_so`` documents a flaw. If one fails, a guard of ours may go.
"""

import asyncio
import importlib.metadata
import subprocess
import sys
import time
from contextlib import nullcontext
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.authn.did_token.mint import signer
from gateway.authn.did_token.token import CLOCK_SKEW_S, TokenRules, inspect
from gateway.core.errors import InvalidToken
from gateway.users.magic_api import MAGIC_API_URL, MagicApi, SignatureChecker
from gateway.util.eth_imports import eth_imports
from tests.fakes.magic import SECRET_KEY, Call, FakeMagic
from tests.fakes.tokens import ALICE, AUDIENCE, claim, compact, minted, packed, reproved, signed
from tests.hostile.tokens import CASES, MAX_LIFETIME_S, Case

with eth_imports():
    import magic_admin
    from magic_admin.error import DIDTokenExpired, DIDTokenInvalid, DIDTokenMalformed
    from magic_admin.resources.base import ResourceComponent

NOW_S = float(int(time.time()))
RULES = TokenRules(AUDIENCE, MAX_LIFETIME_S)


@pytest.fixture
def magic() -> magic_admin.Magic:
    """The SDK as the checker has set it up."""
    SignatureChecker(SECRET_KEY, AUDIENCE)
    return magic_admin.Magic(api_secret_key=SECRET_KEY, client_id=AUDIENCE, retries=0, timeout=5)


def test_version() -> None:
    """The version is the one that was read."""
    assert importlib.metadata.version("magic-admin") == "2.5.0"
    assert MAGIC_API_URL == "https://api.toaster.magic.link"
    assert magic_admin.did_token_nbf_grace_period_s == CLOCK_SKEW_S


def test_import_raises_the_recursion_limit_is_still_so() -> None:
    """Importing it lets any deep JSON crash the process: see gateway.util.eth_imports.py."""
    program = "import sys, magic_admin; print(sys.getrecursionlimit())"
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "100000\n"


def test_good_token(magic: magic_admin.Magic) -> None:
    """A token of the right spelling, signer, time and audience is accepted; None is its answer."""
    assert magic.Token.validate(minted(NOW_S)) is None
    assert ALICE.issuer == magic.Token.get_issuer(minted(NOW_S))


@pytest.mark.parametrize(
    ("token", "error"),
    [
        pytest.param(minted(NOW_S - 1000), DIDTokenExpired, id="expired"),
        pytest.param(signed(NOW_S, nbf=int(NOW_S) + 900), DIDTokenInvalid, id="not-yet"),
        pytest.param(signed(NOW_S, aud="did:magic:another"), DIDTokenInvalid, id="audience"),
        pytest.param(signed(NOW_S, iss="did:ethr:0x0"), DIDTokenInvalid, id="issuer"),
        pytest.param(signed(NOW_S, iss="did:ethr"), DIDTokenMalformed, id="issuer-of-two"),
        pytest.param("x", DIDTokenMalformed, id="malformed"),
    ],
)
def test_refusals(token: str, error: type[Exception], magic: magic_admin.Magic) -> None:
    """It refuses these by errors of its own."""
    with pytest.raises(error):
        magic.Token.validate(token)


@pytest.mark.parametrize("skew_s", [1.0, 2.5, 300.0])
@pytest.mark.parametrize("beyond_s", [-1, 0, 1])
def test_it_agrees_on_the_clock_skew(
    skew_s: float, beyond_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With our skew as its grace, what we let pass for nbf is never refused by it afterwards."""
    nbf_s = int(NOW_S) + 600
    token = signed(NOW_S, nbf=nbf_s, ext=nbf_s + 900)
    now_s = nbf_s - skew_s - beyond_s
    monkeypatch.setattr("magic_admin.resources.token.epoch_time_now", lambda: int(now_s))
    checker = SignatureChecker(SECRET_KEY, AUDIENCE)
    refused = nullcontext() if beyond_s <= 0 else pytest.raises(InvalidToken)
    with refused:
        inspect(token, RULES._replace(clock_skew_s=skew_s), now_s)
    with refused:
        checker.check(token, skew_s)
    magic_admin.did_token_nbf_grace_period_s = CLOCK_SKEW_S


def test_any_issuer_is_accepted_is_still_so(magic: magic_admin.Magic) -> None:
    """A fresh key that Magic has never seen signs for itself: so the directory is asked."""
    magic.Token.validate(minted(NOW_S, by=signer(b"\x07" * 32)))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"iss": f"admin:x:{ALICE.address}"}, id="iss-of-another-method"),
        pytest.param({"iss": f"x\r\nX-User-Roles=admin:y:{ALICE.address}"}, id="iss-with-CRLF"),
        pytest.param({"ext": float("nan")}, id="never-ends"),
        pytest.param({"ext": 10**400}, id="ends-after-the-universe"),
        pytest.param({"iat": "soon", "tid": None, "sub": {}}, id="unread-claims"),
        pytest.param({"nbf": True}, id="nbf-true"),
    ],
)
def test_odd_claims_are_accepted_is_still_so(
    changes: dict[str, Any], magic: magic_admin.Magic
) -> None:
    """These pass the SDK, so the shape is checked before it."""
    token = signed(NOW_S, **changes)
    magic.Token.validate(token)
    with pytest.raises(InvalidToken):
        inspect(token, RULES, NOW_S)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(signed(NOW_S)[:8] + "!\n" + signed(NOW_S)[8:], id="base64"),
        pytest.param(reproved(NOW_S, proof=lambda proof: proof[2:]), id="proof"),
        pytest.param(
            packed(compact([ALICE.sign(compact(claim(NOW_S))), compact(claim(NOW_S))]) + " \n"),
            id="white-space",
        ),
    ],
)
def test_many_spellings_is_still_so(token: str, magic: magic_admin.Magic) -> None:
    """One signature fits many texts, so only one of them is let in."""
    magic.Token.validate(token)
    with pytest.raises(InvalidToken):
        inspect(token, RULES, NOW_S)


def escapes(case: Case, magic: magic_admin.Magic) -> bool:
    """Whether ``case`` makes it raise something that is not its own."""
    try:
        magic.Token.validate(case.forge(NOW_S, AUDIENCE, ALICE))
    except magic_admin.error.MagicError:
        return False
    except Exception:  # noqa: BLE001 - the question is whether there is any
        return True
    return False


def test_foreign_exceptions_is_still_so(magic: magic_admin.Magic) -> None:
    """Dozens of crafted tokens get out by exceptions that are not magic-admin's."""
    assert sum(escapes(case, magic) for case in CASES) >= 30


async def test_same_wire_format(magic: magic_admin.Magic, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our calls are, but for the User-Agent, those that magic-admin makes."""
    fake = FakeMagic()
    fake.add_user(ALICE.issuer, "alice@example.com")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with fake.serving() as url, MagicApi(SECRET_KEY, url) as api:
        monkeypatch.setattr(ResourceComponent, "_base_url", url)
        theirs = await asyncio.to_thread(magic.User.get_metadata_by_issuer, ALICE.issuer)
        ours = await api.user(ALICE.issuer)
    assert ours is not None
    assert theirs.data["email"] == ours.email
    first, second = (asked(call) for call in fake.calls)
    assert first == second


def asked(call: Call) -> tuple[object, ...]:
    url = urlsplit(call.path_and_query)
    key = call.headers["X-Magic-Secret-Key"]
    return call.method, url.path, parse_qs(url.query, strict_parsing=True), key


def test_state_is_global_is_still_so() -> None:
    """A second instance takes over from the first: so there is one client id in a process."""
    program = """
import magic_admin
first = magic_admin.Magic(api_secret_key="a", client_id="did:magic:first")
second = magic_admin.Magic(api_secret_key="b", client_id="did:magic:second")
print(magic_admin.client_id, first.Token is second.Token)
"""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "did:magic:second True\n"

"""Which credentials are looked for follows from the config."""

import time
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from gateway.core.errors import (
    InvalidApiKey,
    InvalidToken,
    KeysUnavailable,
    RateLimited,
    Refusal,
)
from gateway.core.identity import AuthMethod
from gateway.core.route import Route
from gateway.runtime.services.authn import authenticator, credential_cookies, credential_headers
from gateway.runtime.services.identity import identity_services
from tests.fakes.heads import request_head
from tests.fakes.jwts import ABSENT, claims, signed
from tests.fakes.ports import RecordingLimiter
from tests.fakes.services import fake_process, settings_of

ANY = Route("any", "/*", "app", accept=frozenset({AuthMethod.API_KEY, AuthMethod.DID_TOKEN}))
KEYS = "credentials: {api_keys: {header: X-Key}}"
KEY = "gwk_none"
PARTY = {"aud": ABSENT, "azp": "p"}


async def refused(
    more: str, field: tuple[str, str], limiter: RecordingLimiter
) -> type[Refusal] | None:
    """Why a request with ``field`` is refused by a gateway with ``more`` in its config."""
    settings = settings_of(more)
    async with fake_process(settings) as process, AsyncExitStack() as stack:
        identity = identity_services(settings, process, stack)
        stage = authenticator(settings, process, identity, limiter, stack)
        head = request_head(field)
        try:
            await stage.identify(head, ANY, head.peer)
        except Refusal as refusal:
            return type(refusal)
    return None


@pytest.mark.parametrize(
    ("more", "field", "expected"),
    [
        pytest.param("", ("Authorization", f"Bearer {KEY}"), InvalidToken, id="not-enabled"),
        pytest.param(KEYS, ("Authorization", f"Bearer {KEY}"), InvalidApiKey, id="enabled"),
        pytest.param(KEYS, ("X-Key", KEY), InvalidApiKey, id="in-its-header"),
    ],
)
async def test_a_kind_is_looked_for_where_it_is_enabled(
    more: str, field: tuple[str, str], expected: type[Refusal]
) -> None:
    """Else its token is a malformed DID token."""
    assert expected is await refused(more, field, RecordingLimiter([]))


async def test_failures_are_charged_to_the_configured_limit() -> None:
    """Each refused credential costs its client."""
    diary: list[str] = []
    limiter = RecordingLimiter(diary, ["failures"])
    more = "limits: {failures: {rate: 5/minute}}"
    found = await refused(more, ("Authorization", "Bearer x"), limiter)
    assert (RateLimited, ["limit failures of 203.0.113.9"]) == (found, diary)


async def test_refusals_of_blocked_clients_count_as_those_of_the_limit() -> None:
    """No limiter decides about them; the second of these is one."""
    settings = settings_of("limits: {failures: {rate: 1/minute}}")
    async with fake_process(settings) as process, AsyncExitStack() as stack:
        identity = identity_services(settings, process, stack)
        stage = authenticator(settings, process, identity, process.local, stack)
        head = request_head(("Authorization", "Bearer x"))
        for expected, refused in ((InvalidToken, 0), (RateLimited, 1)):
            with pytest.raises(expected):
                await stage.identify(head, ANY, head.peer)
            assert refused == process.wire.counters.limits["failures"].refused


JWTS = """
credentials:
  jwt:
    - {issuer: a, azp: [p], jwks_file: /f, from: {cookie: __session}}
    - {issuer: b, azp: [p], jwks_file: /f, from: {cookie: __session}}
    - {issuer: c, audience: g, jwks_file: /f, from: {header: Cf-Access-Jwt-Assertion}}
    - {issuer: d, audience: g, jwks_file: /f}
"""


async def test_an_issuer_is_believed_in_its_own_source() -> None:
    """Issuers may share one; `Authorization` is one of each issuer."""
    now_s = time.time()
    accepts = replace(ANY, accept=frozenset({AuthMethod.JWT}))

    async def believed(issuer: str, field: str, form: str) -> bool:
        token = signed(claims(now_s, iss=issuer, **({"aud": "g"} if issuer in "cd" else PARTY)))
        head = request_head((field, form.format(token)))
        try:
            await stage.identify(head, accepts, head.peer)
        except KeysUnavailable:  # the file is not there: the claims were good
            return True
        except InvalidToken:
            return False
        return False

    settings = settings_of(JWTS)
    async with fake_process(settings) as process, AsyncExitStack() as stack_:
        identity = identity_services(settings, process, stack_)
        stage = authenticator(settings, process, identity, RecordingLimiter([]), stack_)
        for field, form, expected in (
            ("Authorization", "Bearer {}", "abcd"),
            ("Cookie", "__session={}", "ab"),
            ("CF-Access-JWT-Assertion", "{}", "c"),
        ):
            assert expected == "".join([i for i in "abcd" if await believed(i, field, form)])


def test_cookies_and_fields_of_jwts_hold_credentials() -> None:
    """Each is named once."""
    settings = settings_of(JWTS)
    assert ("__session",) == credential_cookies(settings)
    assert ("cf-access-jwt-assertion",) == credential_headers(settings)


def test_headers_that_hold_credentials() -> None:
    """Apps do not see them."""
    assert [("X-Key",), ()] == [credential_headers(settings_of(more)) for more in (KEYS, "")]

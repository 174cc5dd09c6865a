"""Which credentials are looked for follows from the config."""

from contextlib import AsyncExitStack

import pytest

from gateway.core.errors import InvalidApiKey, InvalidToken, RateLimited, Refusal
from gateway.core.identity import AuthMethod
from gateway.core.route import Route
from gateway.runtime.services.authn import authenticator, credential_headers
from gateway.runtime.services.identity import identity_services
from tests.fakes.heads import request_head
from tests.fakes.ports import RecordingLimiter
from tests.fakes.services import fake_process, settings_of

ANY = Route("any", "/*", "app", accept=frozenset({AuthMethod.API_KEY, AuthMethod.DID_TOKEN}))
KEYS = "credentials: {api_keys: {header: X-Key}}"
KEY = "gwk_none"


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


def test_headers_that_hold_credentials() -> None:
    """Apps do not see them."""
    assert [("X-Key",), ()] == [credential_headers(settings_of(more)) for more in (KEYS, "")]

"""Authentication that takes down its verdicts."""

from dataclasses import replace

import pytest

from gateway.authn.credentials import AmbientSource, Credential
from gateway.authn.failure_limit import FailureLimit
from gateway.core.errors import (
    AmbiguousCredentials,
    CredentialNotAccepted,
    InvalidToken,
    SessionEnded,
    Unauthenticated,
)
from gateway.core.identity import AuthMethod, Identity
from gateway.core.limit import Limit
from gateway.core.request import Outbound
from gateway.core.route import Auth, Route
from gateway.explain.credentials import (
    ASSUMED,
    CredentialVerdicts,
    TracedSessions,
    TracedVerifier,
    note_block,
)
from gateway.explain.fingerprint import SHORT
from gateway.explain.trace import Details
from gateway.ratelimit.entry import read_entry
from gateway.ratelimit.lists import LimitLists, ListKind
from gateway.ratelimit.matcher import Matcher
from tests.fakes.explained import TracedPipeline, traced
from tests.fakes.heads import request_head
from tests.fakes.memory import FakeClock
from tests.fakes.pipelines import BEARER, CLIENT, COOKIE, FIRST, SESSION, pipeline_for
from tests.fakes.ports import (
    ISSUER,
    SESSION_IDENTITY,
    TOKEN_IDENTITY,
    KnownSessions,
    KnownTokens,
    RecordingLimiter,
)

MINE = Route("mine", "/*", "app")
PUBLIC = replace(MINE, auth=Auth.NONE)
LIMITED = replace(MINE, limits=(FIRST,))
SOURCE = AmbientSource(AuthMethod.JWT, "cf-access", is_cookie=True)


def pipeline(route: Route, assumed: Identity | None = None) -> TracedPipeline:
    return traced(pipeline_for(route), route, assumed=assumed)


async def test_the_caller_is_told() -> None:
    """By the credential that proved it."""
    for route in (MINE, LIMITED):  # read at once, and after a wait
        under = pipeline(route)
        assert isinstance(await under.outcome(request_head(BEARER)), Outbound)
        told = under.told("credentials")
        assert {"issuer": ISSUER, "email": "alice@example.com", "by": "did-token"} == told[
            "identity"
        ]
        [each] = told["credentials"]
        assert ("did-token", SHORT) == (each["kind"], each["fingerprint"])


@pytest.mark.parametrize(
    ("route", "fields", "refusal"),
    [
        pytest.param(MINE, (), Unauthenticated, id="none"),
        pytest.param(LIMITED, (), Unauthenticated, id="none-after-a-wait"),
        pytest.param(MINE, (BEARER, BEARER), AmbiguousCredentials, id="two"),
        pytest.param(LIMITED, (BEARER, BEARER), AmbiguousCredentials, id="two-after-a-wait"),
        pytest.param(MINE, (("Authorization", "Bearer"),), InvalidToken, id="malformed"),
    ],
)
async def test_a_request_that_authenticates_no_caller_is_told(
    route: Route, fields: tuple[tuple[str, str], ...], refusal: type[Exception]
) -> None:
    """Once, with what the route demands."""
    under = pipeline(route)
    assert isinstance(await under.outcome(request_head(*fields)), refusal)
    told = under.told("credentials")
    assert ("refused", "required", []) == (
        *(told[name] for name in ("verdict", "auth", "credentials")),
    )


async def test_a_public_route_looks_at_no_credential() -> None:
    """Nor at an identity that is assumed."""
    under = pipeline(PUBLIC, SESSION_IDENTITY)
    assert isinstance(await under.outcome(request_head(BEARER)), Outbound)
    assert ("none", []) == (*(under.told("credentials")[n] for n in ("auth", "credentials")),)


@pytest.mark.parametrize(
    ("accept", "identity", "kind"),
    [
        pytest.param(MINE.accept, SESSION_IDENTITY, "session", id="session"),
        pytest.param({AuthMethod.DID_TOKEN}, SESSION_IDENTITY, "did-token", id="token"),
    ],
)
async def test_an_identity_is_assumed(
    accept: set[AuthMethod], identity: Identity, kind: str
) -> None:
    """By a kind of credential that the route takes."""
    route = replace(MINE, accept=frozenset(accept))
    under_test = pipeline_for(route)
    verdicts = CredentialVerdicts(identity)
    real = under_test.pipeline.stages.authenticator
    real._sessions = TracedSessions(KnownSessions([], {}), verdicts)
    tokens = TracedVerifier(KnownTokens([], {}), verdicts)
    real._verifiers = {AuthMethod.DID_TOKEN: tokens}
    under = traced(under_test, route, assumed=identity)
    under.stages.authenticator._verdicts = verdicts  # type: ignore[attr-defined] # traced
    assert isinstance(await under.outcome(request_head()), Outbound)
    assert [{"kind": kind, "assumed": True, "verdict": "valid", "issuer": ISSUER}] == under.told(
        "credentials"
    )["credentials"]
    assert tokens.knows(ASSUMED)


async def test_an_identity_of_a_kind_that_the_route_does_not_take_is_refused() -> None:
    """A program where people are expected."""
    program = replace(TOKEN_IDENTITY, method=AuthMethod.API_KEY)
    under = pipeline(MINE, program)
    assert isinstance(await under.outcome(request_head()), CredentialNotAccepted)
    [each] = under.told("credentials")["credentials"]
    assert "the route does not accept this kind" == each["why"]


def described(verdicts: CredentialVerdicts, credential: Credential) -> Details:
    """What is told of a credential, without its fingerprint."""
    told = verdicts.of(credential, MINE)
    del told["fingerprint"]
    return told


async def test_each_credential_has_its_verdict() -> None:
    """Those that were not looked at, too."""
    verdicts = CredentialVerdicts()
    sessions = TracedSessions(KnownSessions([], {"good": SESSION_IDENTITY}), verdicts)
    tokens = TracedVerifier(KnownTokens([], {"good": TOKEN_IDENTITY}), verdicts)
    assert SESSION_IDENTITY == await sessions.find("good")
    with pytest.raises(SessionEnded):
        await sessions.find("ended")
    with pytest.raises(InvalidToken):
        await tokens.verify(ASSUMED)
    session, token = AuthMethod.SESSION, AuthMethod.DID_TOKEN
    assert {"kind": "session", "verdict": "valid", "issuer": ISSUER} == described(
        verdicts, Credential(session, "good")
    )
    assert {
        "kind": "session",
        "verdict": "refused",
        "code": "session_ended",
        "reason": "unknown",
    } == described(verdicts, Credential(session, "ended"))
    assert {"kind": "did-token", "verdict": "not_checked", "why": "not looked at"} == described(
        verdicts, Credential(token, "other")
    )
    assert "cf-access" == described(verdicts, Credential(AuthMethod.JWT, "x", SOURCE))["source"]
    assert not tokens.knows("other")


async def test_a_credential_is_never_told() -> None:
    """Neither a cookie nor a token."""
    under = pipeline(MINE)
    await under.outcome(request_head(SESSION, ("Authorization", "Bearer c2VjcmV0")))
    told = str(under.told("credentials"))
    assert ("c2VjcmV0" in told, f"{COOKIE}=good" in told) == (False, False)


@pytest.mark.parametrize(
    ("limit", "used_up", "exempt", "is_blocked"),
    [
        pytest.param(Limit("failures", 5, 60), "failures", "", True, id="used-up"),
        pytest.param(Limit("failures", 5, 60), "", "", False, id="not-used-up"),
        pytest.param(Limit("failures", 5, 60), "failures", CLIENT, False, id="not-counted"),
        pytest.param(Limit("failures", 5, 60, is_shadow=True), "failures", "", False, id="shadow"),
    ],
)
async def test_a_client_whose_failures_used_up_their_limit_is_blocked(
    limit: Limit, used_up: str, exempt: str, is_blocked: bool
) -> None:
    """As a gateway that refused it before has noted."""
    lists = LimitLists()
    if exempt:
        lists.put("failures", ListKind.ALLOW, "config", Matcher([read_entry(exempt)]))
    failures = FailureLimit(RecordingLimiter([], {used_up}), FakeClock(), limit, lists=lists)
    client = request_head().peer
    await note_block(failures, client)
    assert is_blocked == (failures.blocked_until.peek(client.limit_key) is not None)

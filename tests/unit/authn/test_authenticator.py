"""Authentication: every pair of credential states, and its outcome."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import NamedTuple

import pytest

from gateway.authn.authenticator import Authenticator
from gateway.authn.credentials import AmbientSource, CredentialReader, Credentials
from gateway.authn.failure_limit import FailureLimit
from gateway.config.credentials import AUTH_METHODS
from gateway.core.errors import (
    AmbiguousCredentials,
    ExpiredApiKey,
    ExpiredToken,
    InvalidApiKey,
    InvalidToken,
    MagicUnavailable,
    RateLimited,
    Refusal,
    RevokedApiKey,
    RevokedCertificate,
    SessionEnded,
    StoreUnavailable,
    Unauthenticated,
)
from gateway.core.identity import AuthMethod, Identity, User
from gateway.core.limit import Limit
from gateway.core.reasons import UnauthenticatedReason
from gateway.core.request import Certificate, RequestHead
from gateway.core.route import Auth, Route
from gateway.ratelimit.local import LocalLimiter
from gateway.routing.client_address import client_at
from tests.fakes.credentials import API_KEY_HEADER, BEARERS
from tests.fakes.heads import request_head
from tests.fakes.ports import (
    SESSION_IDENTITY,
    TOKEN_IDENTITY,
    Diary,
    KnownSessions,
    KnownTokens,
)

COOKIE = "__Host-session"
SOURCE = AmbientSource(AuthMethod.JWT, "__session", is_cookie=True)
MALFORMED = "not one"
NOW_S = 1_800_000_000.0
BOB = User("did:ethr:0x" + "cd" * 20)

REQUIRED = Route("required", "/*", "app", accept=frozenset(AUTH_METHODS))
OPTIONAL = replace(REQUIRED, name="optional", auth=Auth.OPTIONAL)
PUBLIC = replace(REQUIRED, name="public", auth=Auth.NONE)
SIGN_IN = replace(REQUIRED, name="sign-in", is_sign_in=True)
DEFAULT_KINDS = Route("people", "/*", "app")
PROGRAMS_ONLY = replace(REQUIRED, accept=frozenset({AuthMethod.API_KEY}))

TOKENS: Mapping[str, Identity | Refusal] = {
    "good": TOKEN_IDENTITY,
    "bobs": replace(TOKEN_IDENTITY, user=BOB),
    "expired": ExpiredToken("over"),
    "unknown": StoreUnavailable("slow"),
    "magic": MagicUnavailable("slow"),
}
JWTS: Mapping[str, Identity | Refusal] = {
    f"{name}.a.b": replace(known, method=AuthMethod.JWT) if isinstance(known, Identity) else known
    for name, known in TOKENS.items()
}
AMBIENT: Mapping[str, Identity | Refusal] = {
    **JWTS,
    "forged": InvalidToken("signature is by none of the issuer's keys", is_forged=True),
    MALFORMED: InvalidToken("malformed"),
}
API_KEYS: Mapping[str, Identity | Refusal] = {
    "gwk_good": replace(TOKEN_IDENTITY, method=AuthMethod.API_KEY),
    "gwk_bobs": replace(TOKEN_IDENTITY, method=AuthMethod.API_KEY, user=BOB),
    "gwk_expired": ExpiredApiKey("over"),
    "gwk_revoked": RevokedApiKey("over"),
    "gwk_forged": InvalidApiKey("no such key"),
    "gwk_": InvalidApiKey("malformed"),
    "not one": InvalidApiKey("malformed"),
    "gwk_unknown": StoreUnavailable("slow"),
}
AMBIENT_TEXTS = {"forged": "forged", "malformed": MALFORMED}
SESSIONS: Mapping[str, Identity | Refusal] = {
    "good": SESSION_IDENTITY,
    "bobs": replace(SESSION_IDENTITY, user=BOB),
    "expired": SessionEnded("expired"),
    "unknown": StoreUnavailable("slow"),
}


class StageUnderTest(NamedTuple):
    """The stage under test, and the calls to the ports behind it."""

    stage: Authenticator
    diary: Diary
    tokens: KnownTokens
    counted: list[str]


def stage_under_test(limit: Limit | None = None) -> StageUnderTest:
    """A stage that knows the tokens and sessions above."""
    diary: Diary = []
    counted: list[str] = []
    tokens = KnownTokens(diary, TOKENS)
    clock = lambda: NOW_S  # noqa: E731 - a clock that stands still
    failures = FailureLimit(LocalLimiter(clock), clock, limit or Limit("failures", 1000, 60))
    stage = Authenticator(
        CredentialReader(COOKIE, BEARERS, [API_KEY_HEADER], [SOURCE]),
        KnownSessions(diary, SESSIONS),
        {
            AuthMethod.DID_TOKEN: tokens,
            AuthMethod.JWT: KnownTokens(diary, JWTS),
            AuthMethod.API_KEY: KnownTokens(diary, API_KEYS),
        },
        failures,
        certified,
        lambda metric, label: counted.append(f"{metric.name} {label}"),
        {SOURCE: KnownTokens(diary, AMBIENT)},
    )
    return StageUnderTest(stage, diary, tokens, counted)


def bearer(text: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {text}"


def ambient(state: str) -> tuple[str, str]:
    return "Cookie", f"__session={AMBIENT_TEXTS.get(state, f'{state}.a.b')}"


def cookie(text: str) -> tuple[str, str]:
    return "Cookie", f"{COOKIE}={text}"


async def outcome(
    stage: Authenticator,
    head: RequestHead,
    route: Route = REQUIRED,
    sent: Credentials | None = None,
) -> str:
    """The name of the refusal, or the method and user of the identity."""
    try:
        identity = await stage.identify(head, route, head.peer, sent)
    except Refusal as refusal:
        return type(refusal).__name__
    if identity is None:
        return "anonymous"
    return f"{identity.method}{' of bob' if identity.user == BOB else ''}"


# --- pairs -------------------------------------------------------------------------------------

# The states of one credential stand before the rows, those of the other over the columns. `·` is
# as the first column has it: what was sent on purpose and is refused, is refused whatever stands
# beside it. A kind's own name, and those of its refusals, stand in for it: `did-token` for `jwt`.

BESIDE_A_COOKIE = """
          | missing        | good        | bobs           | expired        | malformed      | unknown
missing   | Unauthenticated | session    | session of bob | SessionEnded   | SessionEnded   | StoreUnavailable
good      | did-token      | did-token   | Conflicting    | did-token      | did-token      | StoreUnavailable
bobs      | did-token of bob | Conflicting | did-token of bob | did-token of bob | did-token of bob | StoreUnavailable
expired   | ExpiredToken   | ·           | ·              | ·              | ·              | ·
malformed | InvalidToken   | ·           | ·              | ·              | ·              | ·
forged    | InvalidToken   | ·           | ·              | ·              | ·              | ·
unknown   | StoreUnavailable | ·         | ·              | ·              | ·              | ·
magic     | MagicUnavailable | ·         | ·              | ·              | ·              | ·
"""  # noqa: E501 - a table reads best as a table

KEY_BESIDE_A_COOKIE = """
          | missing        | good        | bobs           | expired        | malformed      | unknown
good      | api-key        | api-key     | Conflicting    | api-key        | api-key        | StoreUnavailable
bobs      | api-key of bob | Conflicting | api-key of bob | api-key of bob | api-key of bob | StoreUnavailable
expired   | ExpiredApiKey  | ·           | ·              | ·              | ·              | ·
revoked   | RevokedApiKey  | ·           | ·              | ·              | ·              | ·
malformed | InvalidApiKey  | ·           | ·              | ·              | ·              | ·
forged    | InvalidApiKey  | ·           | ·              | ·              | ·              | ·
unknown   | StoreUnavailable | ·         | ·              | ·              | ·              | ·
"""  # noqa: E501 - a table reads best as a table

TOKEN_BESIDE_A_KEY = """
          | good        | bobs             | expired       | revoked       | malformed     | forged        | unknown
good      | did-token   | Conflicting      | ExpiredApiKey | RevokedApiKey | InvalidApiKey | InvalidApiKey | StoreUnavailable
bobs      | Conflicting | did-token of bob | ExpiredApiKey | RevokedApiKey | InvalidApiKey | InvalidApiKey | StoreUnavailable
expired   | ExpiredToken | ·               | ·             | ·             | ·             | ·             | ·
malformed | InvalidToken | ·               | ·             | ·             | ·             | ·             | ·
forged    | InvalidToken | ·               | ·             | ·             | ·             | ·             | ·
unknown   | StoreUnavailable | ·           | ·             | ·             | ·             | ·             | ·
magic     | MagicUnavailable | ·           | ·             | ·             | ·             | ·             | ·
"""  # noqa: E501 - a table reads best as a table

ANONYMOUS_INSTEAD = {"Unauthenticated", "SessionEnded"}
"""Refusals that mean an anonymous caller where authentication is optional."""

Field = tuple[str, str]


class Pair(NamedTuple):
    """Two credentials in some states, and the expected outcome."""

    rows: str
    row: str
    columns: str
    column: str
    expected: str
    alone: str
    """Outcome of the row's credential alone."""

    @property
    def head(self) -> RequestHead:
        fields = (field(self.rows, self.row), field(self.columns, self.column))
        return request_head(*(line for line in fields if line is not None))


def field(kind: str, state: str) -> Field | None:
    """The line of a credential of ``kind``; None where it is missing."""
    if state == "missing":
        return None
    match kind:
        case "cookie" | "ambient":
            text = MALFORMED if state == "malformed" else state
            return cookie(text) if kind == "cookie" else ambient(state)
        case "key":
            return "X-API-Key", MALFORMED if state == "malformed" else f"gwk_{state}"
        case "bearer key":
            return bearer("gwk_" if state == "malformed" else f"gwk_{state}")
        case "jwt":
            return bearer(MALFORMED if state == "malformed" else f"{state}.a.b")
    return bearer(MALFORMED if state == "malformed" else state)


def read(table: str, rows: str, columns: str) -> Iterator[Pair]:
    """The pairs of a table."""
    head, *lines = [
        [cell.strip() for cell in line.split("|")] for line in table.strip("\n").splitlines()
    ]
    for row, *outcomes in lines:
        for column, cell in zip(head[1:], outcomes, strict=True):
            expected = outcomes[0] if cell == "·" else cell
            if rows == "jwt":
                expected = expected.replace("did-token", "jwt")
                outcomes[0] = outcomes[0].replace("did-token", "jwt")
            expected = "ConflictingCredentials" if expected == "Conflicting" else expected
            yield Pair(rows, row, columns, column, expected, outcomes[0])


PAIRS = [
    *read(BESIDE_A_COOKIE, "did-token", "cookie"),
    *read(BESIDE_A_COOKIE, "jwt", "cookie"),
    *read(KEY_BESIDE_A_COOKIE, "key", "cookie"),
    *read(KEY_BESIDE_A_COOKIE, "bearer key", "cookie"),
    *read(TOKEN_BESIDE_A_KEY, "did-token", "key"),
    *read(TOKEN_BESIDE_A_KEY, "jwt", "key"),
]

each_pair = pytest.mark.parametrize(
    "pair", PAIRS, ids=lambda pair: f"{pair.row}-{pair.rows}-{pair.column}-{pair.columns}"
)


@each_pair
async def test_every_pair_where_authentication_is_required(pair: Pair) -> None:
    """Invalid credentials are refused; valid ones have to name one identity."""
    assert pair.expected == await outcome(stage_under_test().stage, pair.head)


@each_pair
async def test_every_pair_where_authentication_is_optional(pair: Pair) -> None:
    """An ended session means anonymous; a credential sent on purpose is refused."""
    expected = "anonymous" if pair.expected in ANONYMOUS_INSTEAD else pair.expected
    assert expected == await outcome(stage_under_test().stage, pair.head, OPTIONAL)


@each_pair
async def test_every_pair_on_a_public_route(pair: Pair) -> None:
    """No credential is checked."""
    stage, diary, *_ = stage_under_test()
    assert "anonymous" == await outcome(stage, pair.head, PUBLIC)
    assert [] == diary


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair.columns == "cookie"])
async def test_every_pair_where_a_session_is_created(pair: Pair) -> None:
    """A token replaces any session: this is how users switch accounts."""
    expected = pair.expected if pair.row == "missing" else pair.alone
    assert expected == await outcome(stage_under_test().stage, pair.head, SIGN_IN)


# A certificate without a listed name, or with a revoked one, counts as absent.
BESIDE_A_CERTIFICATE = """
          | alice              | bobs                      | unlisted         | revoked            | unsure
missing   | client-certificate | client-certificate of bob | Unauthenticated  | RevokedCertificate | StoreUnavailable
good      | session            | Conflicting               | session          | session            | StoreUnavailable
bobs      | Conflicting        | session of bob            | session of bob   | session of bob     | StoreUnavailable
expired   | client-certificate | client-certificate of bob | SessionEnded     | SessionEnded       | StoreUnavailable
malformed | client-certificate | client-certificate of bob | SessionEnded     | SessionEnded       | StoreUnavailable
unknown   | StoreUnavailable   | StoreUnavailable          | StoreUnavailable | StoreUnavailable   | StoreUnavailable
"""  # noqa: E501 - a table
TOKEN_BESIDE_A_CERTIFICATE = """
          | alice            | bobs             | unlisted         | revoked
good      | did-token        | Conflicting      | did-token        | did-token
bobs      | Conflicting      | did-token of bob | did-token of bob | did-token of bob
expired   | ExpiredToken     | ·                | ·                | ·
malformed | InvalidToken     | ·                | ·                | ·
forged    | InvalidToken     | ·                | ·                | ·
unknown   | StoreUnavailable | ·                | ·                | ·
magic     | MagicUnavailable | ·                | ·                | ·
"""

CERTIFIED = [
    *read(BESIDE_A_CERTIFICATE, "cookie", "certificate"),
    *read(TOKEN_BESIDE_A_CERTIFICATE, "did-token", "certificate"),
    *read(TOKEN_BESIDE_A_CERTIFICATE, "jwt", "certificate"),
]


async def certified(certificate: Certificate) -> Identity | None:
    """Verify a certificate; two serials are listed, and two others tell of failures."""
    if certificate.serial == "revoked":
        raise RevokedCertificate
    if certificate.serial == "unsure":
        raise StoreUnavailable
    known = replace(TOKEN_IDENTITY, method=AuthMethod.CLIENT_CERTIFICATE)
    return {"alice": known, "bobs": replace(known, user=BOB)}.get(certificate.serial)


def shown(head: RequestHead, serial: str) -> RequestHead:
    """Move a request to a connection with a certificate."""
    certificate = Certificate((), serial, 0, 1)
    return head._replace(peer=head.peer._replace(certificate=certificate))


@pytest.mark.parametrize("pair", CERTIFIED)
async def test_every_pair_with_a_certificate(pair: Pair) -> None:
    """Like a cookie, a certificate is sent unasked; it comes last."""
    line = field(pair.rows, pair.row)
    head = shown(request_head(*([line] if line else [])), pair.column)
    assert pair.expected == await outcome(stage_under_test().stage, head)


async def test_a_certificate_counts_where_a_route_accepts_it() -> None:
    """Elsewhere it only opens the connection."""
    head = shown(request_head(), "alice")
    assert "client-certificate" == await outcome(stage_under_test().stage, head, OPTIONAL)
    assert "Unauthenticated" == await outcome(stage_under_test().stage, head, DEFAULT_KINDS)
    assert "anonymous" == await outcome(stage_under_test().stage, head, PUBLIC)


async def test_a_revoked_certificate_is_anonymous_where_that_is_allowed() -> None:
    """As a session that has ended: both are sent unasked."""
    head = shown(request_head(), "revoked")
    assert "anonymous" == await outcome(stage_under_test().stage, head, OPTIONAL)


async def test_the_certificate_of_a_proxy_is_not_the_clients() -> None:
    """It authenticates the proxy, not the requests that it forwards."""
    head = shown(request_head(), "alice")
    behind = client_at(ip_address("198.51.100.7"))
    with pytest.raises(Unauthenticated):
        await stage_under_test().stage.identify(head, REQUIRED, behind)


# --- JWTs that browsers send by themselves -------------------------------------------------------

# The ambient JWT stands over the columns.
BESIDE_AN_AMBIENT_JWT = """
          | good           | bobs             | expired        | malformed      | forged         | unknown
missing   | jwt            | jwt of bob       | ExpiredToken   | InvalidToken   | InvalidToken   | StoreUnavailable
good      | session        | Conflicting      | session        | session        | session        | StoreUnavailable
bobs      | Conflicting    | session of bob   | session of bob | session of bob | session of bob | StoreUnavailable
expired   | jwt            | jwt of bob       | SessionEnded   | SessionEnded   | SessionEnded   | StoreUnavailable
unknown   | StoreUnavailable | ·              | ·              | ·              | ·              | ·
"""  # noqa: E501 - a table reads best as a table
TOKEN_BESIDE_AN_AMBIENT_JWT = """
          | good             | bobs             | expired          | malformed        | forged           | unknown
good      | did-token        | Conflicting      | did-token        | did-token        | did-token        | StoreUnavailable
bobs      | Conflicting      | did-token of bob | did-token of bob | did-token of bob | did-token of bob | StoreUnavailable
expired   | ExpiredToken     | ·                | ·                | ·                | ·                | ·
malformed | InvalidToken     | ·                | ·                | ·                | ·                | ·
forged    | InvalidToken     | ·                | ·                | ·                | ·                | ·
"""  # noqa: E501 - a table reads best as a table

AMBIENT_PAIRS = [
    *read(BESIDE_AN_AMBIENT_JWT, "cookie", "ambient"),
    *read(TOKEN_BESIDE_AN_AMBIENT_JWT, "did-token", "ambient"),
]


@pytest.mark.parametrize("pair", AMBIENT_PAIRS)
async def test_every_pair_with_an_ambient_jwt(pair: Pair) -> None:
    """A dead one counts as absent; a valid one must name the same identity as all others."""
    assert pair.expected == await outcome(stage_under_test().stage, pair.head)
    is_dead = pair.row in ("missing", "expired") and pair.rows == "cookie"
    refused = pair.expected in ("ExpiredToken", "InvalidToken", "SessionEnded")
    expected = "anonymous" if is_dead and refused else pair.expected
    assert expected == await outcome(stage_under_test().stage, pair.head, OPTIONAL)


async def test_an_ambient_jwt_is_ignored_where_the_route_accepts_none() -> None:
    """It is not even verified: browsers send it unasked."""
    stage, diary, *_ = stage_under_test()
    assert "Unauthenticated" == await outcome(stage, request_head(ambient("bobs")), DEFAULT_KINDS)
    both = request_head(cookie("good"), ambient("bobs"))
    assert "session" == await outcome(stage, both, DEFAULT_KINDS)
    assert "did-token" == await outcome(
        stage, request_head(bearer("good"), ambient("bobs")), SIGN_IN
    )
    assert ["find good", "verify good"] == diary


async def test_only_a_forged_ambient_jwt_is_charged() -> None:
    """Browsers repeat expired ones, and cookies of other apps; both are counted in metrics."""
    stage, _, _, counted = stage_under_test(TWO)
    for state in ("expired", "malformed") * 3:
        assert "anonymous" == await outcome(stage, request_head(ambient(state)), OPTIONAL)
    assert ["authentications jwt,refused"] * 6 == counted
    forged = [await outcome(stage, request_head(ambient("forged"))) for _ in range(3)]
    assert ["InvalidToken", "InvalidToken", "RateLimited"] == forged
    assert "RateLimited" == await outcome(stage, request_head(ambient("good")))
    assert "session" == await outcome(stage, request_head(cookie("good")))


# --- one at a time -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([cookie("good")], ["find good"], id="cookie"),
        pytest.param([bearer("good")], ["verify good"], id="token"),
        pytest.param(
            [cookie("good"), bearer("good")], ["verify good", "find good"], id="both-are-looked-at"
        ),
        pytest.param(
            [cookie("good"), bearer("forged")], ["verify forged"], id="a-refused-token-is-the-end"
        ),
        pytest.param([("Authorization", "Basic YTpi")], [], id="basic-is-not-ours"),
        pytest.param(
            [cookie("good"), ("Authorization", "Basic YTpi")], ["find good"], id="beside-basic"
        ),
        pytest.param([cookie("good"), cookie("other")], [], id="two-cookies"),
        pytest.param([bearer("good"), bearer("good")], [], id="two-tokens"),
    ],
)
async def test_each_credential_is_verified_once(
    fields: list[tuple[str, str]], asked: list[str]
) -> None:
    """Those sent on purpose come first."""
    stage, diary, *_ = stage_under_test()
    await outcome(stage, request_head(*fields))
    assert asked == diary


@pytest.mark.parametrize("route", [REQUIRED, OPTIONAL, SIGN_IN])
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([cookie("good"), cookie("bobs")], id="two-cookies"),
        pytest.param([cookie("good"), cookie("bobs"), bearer("good")], id="beside-a-token"),
        pytest.param([bearer("good"), bearer("bobs")], id="two-tokens"),
    ],
)
async def test_two_credentials_of_a_kind_are_refused(
    fields: list[tuple[str, str]], route: Route
) -> None:
    """Picking one could pick the attacker's."""
    assert "AmbiguousCredentials" == await outcome(
        stage_under_test().stage, request_head(*fields), route
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (bearer("forged"), "did-token,refused"),
        (bearer("expired.a.b"), "jwt,refused"),
        (bearer("gwk_revoked"), "api-key,refused"),
        (cookie("expired"), "session,refused"),
    ],
)
async def test_refused_credentials_are_counted_by_kind(line: Field, expected: str) -> None:
    """Accepted ones are counted with the request."""
    here = stage_under_test()
    await outcome(here.stage, request_head(line))
    assert [f"authentications {expected}"] == here.counted
    await outcome(here.stage, request_head(bearer("good")))
    await outcome(here.stage, request_head(bearer("unknown")))
    assert 1 == len(here.counted)


# --- what a route takes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param([bearer("good")], "CredentialNotAccepted", id="token"),
        pytest.param([bearer("forged")], "CredentialNotAccepted", id="it-is-not-verified"),
        pytest.param([cookie("good")], "Unauthenticated", id="browsers-send-cookies-unasked"),
        pytest.param([cookie("unknown")], "Unauthenticated", id="it-is-not-even-looked-up"),
        pytest.param([cookie("good"), bearer("good")], "CredentialNotAccepted", id="both"),
    ],
)
@pytest.mark.parametrize("auth", [Auth.REQUIRED, Auth.OPTIONAL])
async def test_a_kind_that_a_route_does_not_accept(
    fields: list[tuple[str, str]], expected: str, auth: Auth
) -> None:
    """A credential sent on purpose is refused; a cookie is ignored."""
    stage, diary, *_ = stage_under_test()
    expected = "anonymous" if (expected, auth) == ("Unauthenticated", Auth.OPTIONAL) else expected
    assert expected == await outcome(
        stage, request_head(*fields), replace(PROGRAMS_ONLY, auth=auth)
    )
    assert [] == diary


@pytest.mark.parametrize("field", [cookie("good"), bearer("good")])
async def test_a_route_accepts_sessions_and_did_tokens_by_default(field: tuple[str, str]) -> None:
    """Sessions and DID tokens."""
    assert "anonymous" != await outcome(
        stage_under_test().stage, request_head(field), DEFAULT_KINDS
    )


# --- failures ----------------------------------------------------------------------------------

TWO = Limit("failures", 2, 60)
FORGED = request_head(bearer("forged"))


async def test_a_used_up_failure_limit_blocks_all_new_credentials() -> None:
    """Neither valid nor invalid ones are verified."""
    stage, diary, *_ = stage_under_test(TWO)
    expected = [await outcome(stage, FORGED) for _ in range(3)]
    assert ["InvalidToken", "InvalidToken", "RateLimited"] == expected
    assert ["verify forged", "verify forged"] == diary
    assert "RateLimited" == await outcome(stage, request_head(bearer("good")))
    assert ["verify forged", "verify forged"] == diary


async def test_credentials_verified_before_pass_a_blocked_address() -> None:
    """Failures of another client do not block them."""
    stage, _, tokens, _ = stage_under_test(TWO)
    tokens.familiar.add("good")
    for _ in range(3):
        await outcome(stage, FORGED)
    assert "did-token" == await outcome(stage, request_head(bearer("good")))
    assert "session" == await outcome(stage, request_head(cookie("good")))


async def test_a_malformed_token_counts_as_a_failure() -> None:
    """It is refused as malformed while the limit has room."""
    stage, *_ = stage_under_test(TWO)
    expected = [await outcome(stage, request_head(bearer(MALFORMED))) for _ in range(3)]
    assert ["InvalidToken", "InvalidToken", "RateLimited"] == expected


@pytest.mark.parametrize("fields", [[cookie("expired")], [bearer("expired")], [bearer("magic")]])
async def test_dead_cookies_and_expired_tokens_are_no_failures(
    fields: list[tuple[str, str]],
) -> None:
    """Honest clients send them."""
    stage, *_ = stage_under_test(TWO)
    for _ in range(5):
        assert "RateLimited" != await outcome(stage, request_head(*fields))


async def test_a_client_over_the_limit_is_told_when_to_come_back() -> None:
    """The refusal holds the state of the limit."""
    stage, *_ = stage_under_test(TWO)
    for _ in range(2):
        await outcome(stage, FORGED)
    with pytest.raises(RateLimited) as refusal:
        await stage.identify(FORGED, REQUIRED, FORGED.peer)
    assert 0 < refusal.value.state.retry_after_s <= 2 * TWO.window_s
    assert not refusal.value.state.allowed


# --- what needs no wait ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([bearer("good")], ["did-token"], id="bearer"),
        pytest.param([cookie("good"), bearer("good")], ["did-token", "session"], id="both"),
        pytest.param([("Cookie", "theme=dark")], [], id="other-cookie"),
        pytest.param([bearer(MALFORMED)], None, id="malformed"),
    ],
)
async def test_credentials_read_before_are_not_read_again(
    fields: list[tuple[str, str]], expected: list[str] | None
) -> None:
    """`identify` decides the same by what `read_now` has returned as by the fields."""
    stage, *_ = stage_under_test()
    head = request_head(*fields)
    sent = stage.read_now(head, REQUIRED)
    assert expected == (None if sent is None else [method for method, _, _ in sent])
    with_fields = await outcome(stage, head)
    assert with_fields == await outcome(stage, head, sent=sent)
    if sent is not None:
        assert with_fields == await outcome(stage, request_head(), sent=sent)


def test_a_public_route_reads_no_credentials() -> None:
    """They are for the app; two of a kind are no fault."""
    stage, *_ = stage_under_test()
    head = request_head(bearer("a"), bearer("b"))
    assert () == stage.read_now(head, PUBLIC)
    with pytest.raises(AmbiguousCredentials):
        stage.read_now(head, OPTIONAL)


def test_a_request_without_credentials_is_refused_where_nothing_else_may_identify_it() -> None:
    """A certificate may; and a route may let an anonymous caller pass."""
    stage, *_ = stage_under_test()
    anonymous = request_head()
    refusal = stage.refusal_without(REQUIRED, anonymous.peer)
    assert isinstance(refusal, Unauthenticated)
    assert UnauthenticatedReason.NO_CREDENTIAL == refusal.reason
    assert stage.refusal_without(OPTIONAL, anonymous.peer) is None
    assert stage.refusal_without(PUBLIC, anonymous.peer) is None
    assert stage.refusal_without(REQUIRED, shown(anonymous, "alice").peer) is None

"""Who may use the dashboard."""

from urllib.parse import quote

import orjson
import pytest

from gateway.admin.access import (
    SIGNED_IN_S,
    AdminAccess,
    AdminRequest,
    CameBy,
    Operator,
    Proof,
    own_page_refusal,
    verdict,
)
from gateway.authn.certificate import pattern
from gateway.core.audit import AuditEntry, AuditEvent
from gateway.core.request import Certificate

TOKEN = "a token for tests that is long enough"
KNOWN = frozenset({"localhost"})
HERE = {"Host": "localhost:9090"}
NOW_S = 1_800_000_000.0
NAMES = (pattern("*@example.com"),)
ALWAYS = (0, 4_000_000_000_000)

LET_IN = (200, "")
TOKEN_NEEDED = (401, "token_required")
CERTIFICATE_NEEDED = (403, "certificate_required")
NOT_LOCAL = (403, "not_local")
NO_PERSON = (403, "forbidden")
READ_ONLY = (403, "read_only")

SOME_PROOFS = (Proof.TOKEN, Proof.COOKIE, Proof.CERTIFICATE)
RULES: list[tuple[tuple[CameBy, ...], tuple[Proof, ...], bool, bool, tuple[int, str]]] = [
    # how it came, what it proves, a token is set, names are set, what comes of it
    ((CameBy.LOCAL,), tuple(Proof), False, False, LET_IN),
    ((CameBy.NETWORK,), tuple(Proof), False, False, NOT_LOCAL),
    ((CameBy.LOCAL, CameBy.NETWORK), (Proof.NONE, Proof.PERSON), True, False, TOKEN_NEEDED),
    ((CameBy.LOCAL, CameBy.NETWORK), (Proof.NONE, Proof.PERSON), True, True, TOKEN_NEEDED),
    ((CameBy.LOCAL, CameBy.NETWORK), (Proof.NONE, Proof.PERSON), False, True, CERTIFICATE_NEEDED),
    ((CameBy.LOCAL, CameBy.NETWORK), SOME_PROOFS, True, False, LET_IN),
    ((CameBy.LOCAL, CameBy.NETWORK), SOME_PROOFS, True, True, LET_IN),
    ((CameBy.LOCAL, CameBy.NETWORK), SOME_PROOFS, False, True, LET_IN),
    *(
        ((CameBy.ROUTE,), proofs, token, names, expected)
        for token in (False, True)
        for names in (False, True)
        for proofs, expected in (
            ((Proof.PERSON,), LET_IN),
            ((Proof.NONE, *SOME_PROOFS), NO_PERSON),
        )
    ),
]
CASES = {
    (way, proof, has_token, has_names): expected
    for ways, proofs, has_token, has_names, expected in RULES
    for way in ways
    for proof in proofs
}


def test_the_table_has_all_cases() -> None:
    """Of each way, proof, token and names; each once."""
    every = {
        (way, proof, token, names)
        for way in CameBy
        for proof in Proof
        for token in (False, True)
        for names in (False, True)
    }
    assert every == set(CASES)
    assert len(CASES) == sum(len(ways) * len(proofs) for ways, proofs, *_ in RULES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
@pytest.mark.parametrize("is_read_only", [False, True])
@pytest.mark.parametrize("changes", [False, True])
def test_who_may(case: tuple[CameBy, Proof, bool, bool], is_read_only: bool, changes: bool) -> None:
    """As the table says; read-only is said to those alone who may look."""
    way, proof, has_token, has_names = case
    expected = CASES[case]
    if expected == LET_IN and is_read_only and changes:
        expected = READ_ONLY
    told = verdict(
        *(way, proof),
        has_token=has_token,
        has_names=has_names,
        is_read_only=is_read_only,
        changes=changes,
    )
    assert expected == (LET_IN if told is None else told[:2])


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/api/people", False),
        ("HEAD", "/", False),
        ("POST", "/api/explain", False),
        ("POST", "/sign-out", False),
        ("POST", "/api/revocations", True),
        ("POST", "/api/promote", True),
        ("POST", "/api/actions/{action}", True),
        ("DELETE", "/api/explained", True),
    ],
)
def test_what_changes_something(method: str, path: str, expected: bool) -> None:
    """All but reading, explaining, and signing in and out; so a route that is added later does."""
    assert expected is AdminRequest(method, path, HERE, "unix:").changes


def _asked(
    peer: str = "192.0.2.1",
    cookie: str = "",
    certificate: Certificate | None = None,
    **fields: str,
) -> AdminRequest:
    headers = {**HERE, **{name.replace("_", "-"): value for name, value in fields.items()}}
    return AdminRequest("GET", "/api/people", headers, peer, cookie, certificate)


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("127.0.0.1", CameBy.LOCAL),
        ("127.9.9.9", CameBy.LOCAL),
        ("::1", CameBy.LOCAL),
        ("::ffff:127.0.0.1", CameBy.LOCAL),
        ("unix:", CameBy.LOCAL),
        ("", CameBy.NETWORK),
        ("10.0.0.1", CameBy.NETWORK),
        ("::ffff:10.0.0.1", CameBy.NETWORK),
        ("192.0.2.1%eth0", CameBy.NETWORK),
    ],
)
def test_the_peer_of_the_socket_says_whether_it_is_this_machine(
    peer: str, expected: CameBy
) -> None:
    """A unix socket is on it."""
    assert expected is AdminAccess(KNOWN).way(_asked(peer))


@pytest.mark.parametrize(
    "name",
    [
        *("Forwarded", "Via", "X_Forwarded_For", "X_Real_IP", "True_Client_IP", "CF_Connecting_IP"),
        *("X_Forwarded_Proto", "X_Forwarded_Host", "x_forwarded_port", "X_FORWARDED_SERVER"),
        *("X_Envoy_External_Address", "X_Original_Forwarded_For", "X_Original_URI", "X_Client_IP"),
    ],
)
def test_a_proxy_on_this_machine_needs_the_token(name: str) -> None:
    """It may forward for the whole internet, and its peer is on loopback all the same."""
    for peer in ("127.0.0.1", "unix:"):
        asked = _asked(peer, "", None, **{name: "127.0.0.1"})
        denied = AdminAccess(KNOWN).denial(asked, NOW_S)
        assert "not_local" == (denied.code if denied else None)
        access = AdminAccess(KNOWN, TOKEN)
        assert access.denial(asked._replace(cookie=access.cookie(NOW_S)), NOW_S) is None


def test_a_proxy_that_adds_no_field_needs_the_token_where_it_speaks_http_1_0() -> None:
    """As nginx does by default; neither a browser nor a command does."""
    asked = _asked("127.0.0.1")
    assert AdminAccess(KNOWN).way(asked) is CameBy.LOCAL
    assert AdminAccess(KNOWN).way(asked._replace(version=(1, 0))) is CameBy.NETWORK
    assert AdminAccess(KNOWN).way(_asked("::1", X_Request_Id="1", Accept="*/*")) is CameBy.LOCAL


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (f"Bearer {TOKEN}", None),
        (f"bearer  {TOKEN}", None),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Basic {TOKEN}", 401),
        ("Bearer", 401),
        ("Bearer \udcff", 401),
        ("", 401),
    ],
)
def test_with_a_token_everyone_needs_it(field: str, expected: int | None) -> None:
    """Also on the machine itself; with it, a request may come from anywhere."""
    access = AdminAccess(KNOWN, TOKEN)
    for peer in ("127.0.0.1", "192.0.2.1", "unix:"):
        denied = access.denial(_asked(peer, Authorization=field), NOW_S)
        assert expected == (denied.status if denied else None)


def test_a_cookie_stands_for_the_token_until_it_ends() -> None:
    """It cannot be lengthened, and another token ends it."""
    access = AdminAccess(KNOWN, TOKEN)
    cookie = access.cookie(NOW_S)
    assert TOKEN not in cookie

    def denied(cookie: str, now_s: float = NOW_S, by: AdminAccess = access) -> bool:
        return by.denial(_asked(cookie=cookie), now_s) is not None

    assert not denied(cookie)
    assert not denied(cookie, NOW_S + SIGNED_IN_S - 1)
    assert denied(cookie, NOW_S + SIGNED_IN_S)
    ends, _, seal = cookie.partition(".")
    assert denied(f"{int(ends) + 1}.{seal}")
    assert denied(f"{ends}.{'0' * 64}")
    assert denied("")
    assert denied(cookie, by=AdminAccess(KNOWN, TOKEN + "!"))


def test_no_token_is_never_the_token() -> None:
    """A form that is sent empty opens nothing, nor does a cookie that is sealed with none."""
    assert not AdminAccess(KNOWN).is_token("")
    assert not AdminAccess(KNOWN, TOKEN).is_token("")
    cookie = AdminAccess(KNOWN).cookie(NOW_S)
    assert Proof.NONE is AdminAccess(KNOWN, names=NAMES).proof(_asked(cookie=cookie), NOW_S)


@pytest.mark.parametrize(
    ("certificate", "expected"),
    [
        (Certificate((("email", "ada@example.com"),), "1", *ALWAYS), "cert:ada@example.com"),
        (Certificate((("email", "ada@example.org"),), "1", *ALWAYS), None),
        (Certificate((("cn", "ada@example.com"),), "1", *ALWAYS), None),
        (Certificate((("email", "ada@example.com"),), "1", 0, int(NOW_S * 1000)), None),
        (None, None),
    ],
)
def test_a_certificate_with_a_name_is_as_good_as_the_token(
    certificate: Certificate | None, expected: str | None
) -> None:
    """Its name is the actor; one that has ended, or has another name, proves nothing."""
    asked = _asked(certificate=certificate)
    for token in ("", TOKEN):
        access = AdminAccess(KNOWN, token, names=NAMES)
        assert (access.denial(asked, NOW_S) is None) is (expected is not None)
        if expected is not None:
            assert Operator(expected, "192.0.2.1") == access.operator(asked, NOW_S)
    assert Proof.NONE is AdminAccess(KNOWN, TOKEN).proof(asked, NOW_S)


def _told(**user: object) -> str:
    return quote(orjson.dumps({"user": user}).decode())


def test_the_gateway_names_the_person() -> None:
    """Who is signed in, and from where; the private listener believes no such field."""
    told = _told(issuer="did:ethr:0xA", email="ada@example.com")
    asked = _asked("unix:", X_Gateway_Identity=told, X_Gateway_Client="192.0.2.9")
    route = AdminAccess(is_route=True)
    assert route.denial(asked, NOW_S) is None
    ada = Operator("did:ethr:0xA", "192.0.2.9", "ada@example.com")
    assert ada == route.operator(asked, NOW_S)
    for access in (AdminAccess(KNOWN), AdminAccess(KNOWN, TOKEN)):
        assert Operator("admin-api", "unix:") == access.operator(asked, NOW_S)
    assert AdminAccess(KNOWN, TOKEN).denial(asked, NOW_S) is not None


@pytest.mark.parametrize("told", ["", "x", "%7B%7D", "1", "%7B%22user%22%3A1%7D", _told(email="a")])
def test_without_a_person_the_route_shows_nothing(told: str) -> None:
    """Neither does a token help there."""
    asked = _asked("unix:", X_Gateway_Identity=told, Authorization=f"Bearer {TOKEN}")
    for access in (AdminAccess(is_route=True), AdminAccess(token=TOKEN, is_route=True)):
        denied = access.denial(asked, NOW_S)
        assert NO_PERSON == (denied[:2] if denied else None)


def test_a_page_of_another_origin_cannot_use_the_route() -> None:
    """The pipeline has chosen the route by Host, so any is known there."""
    told = _told(issuer="did:ethr:0xA", email="ada@example.com")
    route = AdminAccess(is_route=True)
    host = {"Host": "ops.example.com", "X_Gateway_Identity": told}
    assert (
        route.denial(_asked("unix:", "", None, **host, Origin="https://ops.example.com"), NOW_S)
        is None
    )
    for field in ({"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "same-site"}):
        denied = route.denial(_asked("unix:", "", None, **host, **field), NOW_S)
        assert (403, "forbidden") == (denied[:2] if denied else None)


def test_behind_a_proxy_that_rewrites_the_host_pages_are_those_of_the_public_url() -> None:
    """Of that origin alone; a foreign page is none, whatever the proxy writes."""
    told = _told(issuer="did:ethr:0xA", email="ada@example.com")
    route = AdminAccess(frozenset({"app.example.com"}), is_route=True)
    host = {"Host": "10.0.0.7:8080", "X_Gateway_Identity": told}
    own = _asked("unix:", "", None, **host, Origin="https://app.example.com")
    assert route.denial(own, NOW_S) is None
    for origin in ("https://evil.example", "https://app.example.com:8443", "null", "https://"):
        foreign = _asked("unix:", "", None, **host, Origin=origin)
        assert route.denial(foreign, NOW_S) is not None


def test_an_operator_signs_a_line_of_the_audit_file() -> None:
    """The email address is beside the issuer, which lasts."""
    entry = AuditEntry(AuditEvent.DRAINED, "", "gateway", details={"a": 1})
    signed = Operator("did:ethr:0xA", "192.0.2.9", "ada@example.com").sign(entry)
    assert ("did:ethr:0xA", "192.0.2.9") == (signed.actor, signed.origin)
    assert {"a": 1, "email": "ada@example.com"} == signed.details
    assert {"a": 1} == Operator().sign(entry).details


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
        {"Origin": "http://localhost:9090", "Referer": "http://localhost:9090/"},
        {"Origin": "https://LOCALHOST:9090"},
    ],
)
def test_pages_of_the_listener_may(fields: dict[str, str]) -> None:
    """And programs, which send no such field."""
    assert own_page_refusal({**HERE, **fields}, KNOWN) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://localhost"},
        {"Origin": "http://localhost:9090.evil.example"},
        {"Referer": "http://evil.example/http://localhost:9090/"},
        {"Host": "evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
    ],
)
def test_other_pages_may_not(fields: dict[str, str]) -> None:
    """Another port is another origin; a foreign host may have been pointed here."""
    assert own_page_refusal({**HERE, **fields}, KNOWN) is not None

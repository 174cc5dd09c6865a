"""Request fields: strip first, write second, so that no client forges the gateway's."""

from dataclasses import replace
from ipaddress import ip_address
from urllib.parse import unquote

import h11
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.credentials import AUTH_METHODS
from gateway.core.identity import AuthMethod, Identity, User
from gateway.core.request import ReceivedLines, ValueWithMemo
from gateway.core.route import Auth, Route
from gateway.headers.fields import normalise_name
from gateway.headers.hop_by_hop import HOP_BY_HOP
from gateway.headers.request import (
    DEFAULT_IDENTITY_NAMES,
    INTERNAL_IDENTITY,
    IdentityNames,
    RequestFields,
    encode_value,
    internal_identity,
)
from gateway.routing.client_address import client_at
from tests.fakes.heads import WRITTEN, field_lines, multidict, read_lines, request_head
from tests.fakes.ports import ISSUER, SESSION_IDENTITY, TOKEN_IDENTITY

Fields = list[tuple[str, str]]

COOKIE = "__Host-session"
HOST = "app.example.com"
CLIENT = client_at(ip_address("203.0.113.9"))

PROTECTED = Route("protected", "/*", "app")
PUBLIC = Route("public", "/*", "app", auth=Auth.NONE)
TRUSTING = replace(PROTECTED, forward_credentials=True)
PAGES = replace(PROTECTED, is_internal=True)
DASHBOARD = replace(PROTECTED, name="dashboard", is_dashboard=True)

ALICE = replace(TOKEN_IDENTITY, user=User(ISSUER, "alice@example.com", "0xab", "+15550100"))

FROM = ("X-Gateway-Client", "203.0.113.9")
"""The line that the gateway's own pages get with each request."""

MOVED = replace(PUBLIC, prefix="/api", hidden_prefix="/api")
NAMED = replace(PUBLIC, rewrites_host=True)

PUNCTUATION = "!#$%&'*+-.^_`|~"
"""The punctuation of field names (RFC 9110 section 5.6.2)."""


def forwarded(
    *fields: tuple[str, str],
    route: Route = PUBLIC,
    identity: Identity | None = None,
    names: IdentityNames | None = None,
    host: str | None = HOST,
) -> Fields:
    """Rewrite a request with ``fields``; return the lines that the app gets."""
    rewriter = RequestFields(names or IdentityNames(), COOKIE, HOST)
    head = request_head(*fields, host=host)
    return read_lines(rewriter.rewrite(head, route, CLIENT, "https", identity))


def kept(*fields: tuple[str, str], route: Route = PUBLIC) -> Fields:
    """Return the lines that the app gets beside those that the gateway writes."""
    seen = forwarded(*fields, route=route)
    cut = len(seen) - len(WRITTEN)
    assert seen[cut:] == WRITTEN
    return seen[:cut]


# --- requests: what the gateway writes ------------------------------------------------------------


def test_forwarding_fields_are_written() -> None:
    """Host, Via, the address, scheme and host of the client, and the id of the log line."""
    assert WRITTEN == forwarded()


def test_identity_fields_are_written() -> None:
    """Each claim of Magic has a field of its own."""
    expected = [
        *WRITTEN,
        ("X-User-Issuer", ISSUER),
        ("X-User-Email", "alice@example.com"),
        ("X-User-Public-Address", "0xab"),
        ("X-User-Phone", "+15550100"),
        ("X-Auth-Method", "did-token"),
    ]
    assert expected == forwarded(route=PROTECTED, identity=ALICE)


def test_absent_claims_are_left_out() -> None:
    """A claim that is absent or empty makes no field."""
    identity = replace(ALICE, user=User(ISSUER, email=None, phone=""))
    expected = [*WRITTEN, ("X-User-Issuer", ISSUER), ("X-Auth-Method", "did-token")]
    assert expected == forwarded(identity=identity)


@pytest.mark.parametrize("method", AUTH_METHODS)
def test_the_auth_method_is_written(method: AuthMethod) -> None:
    """It is a word of a closed list; a field of the client is dropped."""
    said = ("X-Auth-Method", "evil")
    seen = forwarded(said, route=PROTECTED, identity=replace(ALICE, method=method))
    assert [method] == [value for name, value in seen if name == "X-Auth-Method"]
    assert "X-Auth-Method" not in dict(forwarded(said))


def test_the_config_names_the_identity_fields() -> None:
    """An app that reads other names gets those."""
    remote = ("Remote-User", "Remote-Email", "Remote-Address", "Remote-Phone")
    names = IdentityNames(*remote, "Remote-Groups", "Remote-Permissions")
    known = replace(ALICE, roles=("admin",), permissions=("billing:read",))
    seen = forwarded(route=PROTECTED, identity=known, names=names)
    assert [name for name, _ in seen[len(WRITTEN) :]] == [*names, "X-Auth-Method"]


@pytest.mark.parametrize(
    ("permissions", "expected"),
    [(("billing:read", "users/list"), ["billing:read,users/list"]), ((), []), (None, [])],
)
def test_permissions_are_told_to_the_app(
    permissions: tuple[str, ...] | None, expected: list[str]
) -> None:
    """Those of the caller alone: a field of the client is dropped, however it is spelled."""
    forged = [
        (name, "billing:write")
        for name in (
            "X-User-Permissions",
            "x_user.permissions",
            "X_USER_PERMISSIONS",
            "X-User+Permissions",
        )
    ]
    seen = forwarded(*forged, route=PROTECTED, identity=replace(ALICE, permissions=permissions))
    assert expected == [value for name, value in seen if "permissions" in name.lower()]


def test_http_1_0_without_host_is_for_the_public_host() -> None:
    """An app always gets a Host."""
    assert WRITTEN == forwarded(host=None)


def test_the_host_that_was_matched_is_forwarded() -> None:
    """Host is written once, as it came; other host fields of the client are dropped."""
    seen = forwarded(("X-Forwarded-Host", "evil.example"), host="App.Example.com:8080")
    hosts = [value for name, value in seen if "host" in name.lower()]
    assert ["App.Example.com:8080"] * 2 == hosts


def test_only_the_gateways_own_pages_get_the_session_key() -> None:
    """An app gets the identity; the pages get the session and the authentication too."""
    to_app = forwarded(route=PROTECTED, identity=SESSION_IDENTITY)
    to_pages = forwarded(route=PAGES, identity=SESSION_IDENTITY)
    assert [*to_app, FROM] == [*to_pages[:-2], to_pages[-1]]
    name, value = to_pages[-2]
    assert INTERNAL_IDENTITY == name
    told = orjson.loads(unquote(value))
    assert "session:1" == told["session_key"]
    assert ISSUER == told["user"]["issuer"]


def test_a_forged_internal_identity_is_dropped() -> None:
    """Without an identity the pages get no identity line, whatever the client sent."""
    forged = read_lines(internal_identity(SESSION_IDENTITY))
    assert [*WRITTEN, FROM] == forwarded(*forged, route=PAGES)


# --- requests: what the gateway strips ------------------------------------------------------------

_RESERVED = [
    *sorted(DEFAULT_IDENTITY_NAMES),
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Uri",
    "X-Forwarded-Prefix",
    "X-Forwarded-Port",
    "X-Forwarded-Anything",
    "X-Gateway-Identity",
    "X-Gateway-Assertion",
    "X-Gateway-Client",
    "X-Gateway-Replaced",
    "X-Request-Id",
    "X-Auth-Method",
    "X-Real-IP",
    "Forwarded",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-Original-URL",
    "X-Rewrite-URL",
]


OF_ALL_KINDS = [PUBLIC, PROTECTED, TRUSTING, PAGES, DASHBOARD]


@pytest.mark.parametrize("route", OF_ALL_KINDS, ids=lambda r: r.name)
@pytest.mark.parametrize("mark", PUNCTUATION)
def test_no_spelling_of_the_gateways_names_reaches_an_app(mark: str, route: Route) -> None:
    """Whatever punctuation stands for hyphens, in any case, on any route."""
    aliases = [
        cased
        for name in _RESERVED
        for alias in (name.replace("-", mark), name.replace("-", mark, 1))
        for cased in (alias, alias.lower(), alias.upper(), alias.swapcase())
    ]
    expected = [*WRITTEN, FROM] if route.is_internal or route.is_dashboard else WRITTEN
    assert expected == forwarded(*((alias, "evil") for alias in aliases), route=route)


def test_the_dashboard_is_told_the_person_and_an_app_is_not() -> None:
    """All of the identity, in the field that clients cannot send."""
    told = dict(forwarded(route=DASHBOARD, identity=ALICE))
    person = orjson.loads(unquote(told["X-Gateway-Identity"]))["user"]
    assert (ISSUER, "alice@example.com") == (person["issuer"], person["email"])
    assert FROM[1] == told[FROM[0]]
    assert "X-Gateway-Identity" not in dict(forwarded(route=PROTECTED, identity=ALICE))


@pytest.mark.parametrize("mark", PUNCTUATION)
def test_no_spelling_of_a_configured_name_reaches_an_app(mark: str) -> None:
    """Names of the config are protected like the default ones, which stay protected."""
    names = IdentityNames(issuer="Remote_User")
    alias = f"rEMOTE{mark}USER"
    seen = forwarded((alias, "evil"), ("X-User-Issuer", "evil"), names=names, identity=ALICE)
    assert [("Remote_User", ISSUER)] == [
        (n, v) for n, v in seen if normalise_name(n) == "remote-user"
    ]
    assert "evil" not in dict(seen).values()


def test_a_client_cannot_fill_in_an_absent_claim() -> None:
    """Where Magic knows no phone, the app gets none (CVE-2026-30851)."""
    identity = replace(ALICE, user=User(ISSUER))
    seen = forwarded(("X-User-Phone", "+1"), ("X-User-Email", "boss@x"), identity=identity)
    assert [*WRITTEN, ("X-User-Issuer", ISSUER), ("X-Auth-Method", "did-token")] == seen


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP | {"content-length"}))
@pytest.mark.parametrize("mark", ["-", "_"])
def test_hop_by_hop_fields_are_dropped(name: str, mark: str) -> None:
    """They are about the client's connection; the next one is framed anew."""
    alias = name.replace("-", mark)
    assert [] == kept((alias, "1"), (alias.upper(), "1"))


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        pytest.param(["X-Trace"], ["X-Other", "Cookie", "Authorization"], id="one-name"),
        pytest.param(["x-trace"], ["X-Other", "Cookie", "Authorization"], id="any-case"),
        pytest.param(["close, X-Trace , x-other"], ["Cookie", "Authorization"], id="a-list"),
        pytest.param(["X-Trace", "X-Other"], ["Cookie", "Authorization"], id="two-fields"),
        pytest.param(
            ["keep-alive", "X-Trace"], ["X-Other", "Cookie", "Authorization"], id="a-second-field"
        ),
        pytest.param(["cookie, authorization"], ["X-Trace", "X-Other"], id="credentials"),
        pytest.param(
            ["keep-alive"], ["X-Trace", "X-Other", "Cookie", "Authorization"], id="nothing-named"
        ),
        pytest.param(["", ","], ["X-Trace", "X-Other", "Cookie", "Authorization"], id="empty"),
        pytest.param(["é, \udcff"], ["X-Trace", "X-Other", "Cookie", "Authorization"], id="junk"),
    ],
)
def test_fields_that_connection_names_are_dropped(
    connection: list[str], expected: list[str]
) -> None:
    """The client nominates hop-by-hop fields (RFC 9110 section 7.6.1)."""
    sent = [("X-Trace", "1"), ("X-Other", "2"), ("Cookie", "a=1"), ("Authorization", "Basic x")]
    seen = kept(*(("Connection", line) for line in connection), *sent)
    assert expected == [name for name, _ in seen]


@pytest.mark.parametrize("connection", ["X-Trace", "keep-alive, x-trace", "Close,X-Trace"])
@pytest.mark.parametrize("name", ["Connection", "connection"])
def test_fields_are_dropped_where_connection_alone_depends_on_its_value(
    name: str, connection: str
) -> None:
    """The names of the other fields say all of them."""
    sent = [("X-Trace", "1"), ("X-Other", "2")]
    assert sent == kept((name, "keep-alive"), *sent)
    assert sent[1:] == kept((name, connection), *sent)


def test_what_is_left_of_cookies_stays_in_its_place() -> None:
    """Also behind fields that are dropped."""
    sent = [("X-A", "1"), ("TE", "x"), ("Cookie", f"{COOKIE}=s; a=1"), ("X-B", "2"), ("X-C", "3")]
    assert [("X-A", "1"), ("Cookie", "a=1"), ("X-B", "2"), ("X-C", "3")] == kept(*sent)


def test_connection_cannot_remove_the_gateways_fields() -> None:
    """Naming them strips the client's fields alone (GHSA-w9mr-28mw-j8hg, CVE-2024-45410)."""
    ours = [name for name, _ in WRITTEN] + list(IdentityNames())
    connection = ("Connection", ", ".join([*ours, *map(str.lower, ours)]))
    assert forwarded(identity=ALICE) == forwarded(connection, identity=ALICE)


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        pytest.param([f"{COOKIE}=s"], [], id="ours-alone"),
        pytest.param([f"{COOKIE}=s; a=1"], ["a=1"], id="ours-first"),
        pytest.param([f"a=1; {COOKIE}=s"], ["a=1"], id="ours-last"),
        pytest.param([f"a=1; {COOKIE}=s; b=2"], ["a=1; b=2"], id="ours-in-the-middle"),
        pytest.param([f"{COOKIE}=s; {COOKIE}=t"], [], id="ours-twice"),
        pytest.param(["a=1", f"{COOKIE}=s", "b=2"], ["a=1", "b=2"], id="in-fields-of-their-own"),
        pytest.param(["a=1; b=2"], ["a=1; b=2"], id="none-of-ours"),
        pytest.param([f"{COOKIE}2=s"], [f"{COOKIE}2=s"], id="a-longer-name"),
        pytest.param([f" {COOKIE} =s"], [], id="space-around-the-name"),
        pytest.param([""], [""], id="an-empty-field"),
    ],
)
def test_no_app_gets_the_secret_of_a_session(cookies: list[str], expected: list[str]) -> None:
    """The session cookie is cut out of the others, which keep every octet."""
    seen = kept(*(("Cookie", cookie) for cookie in cookies))
    assert [("Cookie", cookie) for cookie in expected] == seen


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        pytest.param("Bearer abc", [], id="a-token"),
        pytest.param("bEARER abc", [], id="a-token-in-any-case"),
        pytest.param("Bearer", [], id="no-token-at-all"),
        pytest.param("Bearer\tabc", [], id="a-token-behind-a-tab"),
        pytest.param("Bearer,abc", [], id="a-token-behind-a-comma"),
        pytest.param("Bearer=abc", [], id="a-token-behind-an-equals-sign"),
        pytest.param("Bearerish abc", ["Bearerish abc"], id="a-longer-scheme"),
        pytest.param("NTLM,abc", [], id="a-scheme-of-connections-with-a-comma"),
        pytest.param("Basic YTpi", ["Basic YTpi"], id="another-scheme-is-the-apps"),
        pytest.param("", [""], id="an-empty-field"),
    ],
)
def test_no_app_gets_a_did_token(authorization: str, expected: list[str]) -> None:
    """It could impersonate the user elsewhere; credentials for the app itself pass."""
    seen = kept(("Authorization", authorization))
    assert [("Authorization", value) for value in expected] == seen


def test_an_app_gets_the_credentials_where_the_config_says_so() -> None:
    """``forward_credentials`` passes token and cookie unchanged."""
    sent = [("Authorization", "Bearer abc"), ("Cookie", f"{COOKIE}=s; a=1")]
    assert sent == kept(*sent, route=TRUSTING)


@pytest.mark.parametrize("name", ["X-API-Key", "x-api-key"])
@pytest.mark.parametrize("configured", ["X-API-Key", ""])
def test_an_api_key_is_for_the_gateway(name: str, configured: str) -> None:
    """Where keys are configured; otherwise the field is the app's."""
    rewriter = RequestFields(IdentityNames(), COOKIE, HOST, credential_headers=(configured,))
    for route in (PROTECTED, TRUSTING):
        head = request_head((name, "gwk_secret"))
        seen = read_lines(rewriter.rewrite(head, route, CLIENT, "https", None))
        is_kept = route is TRUSTING or not configured
        assert is_kept == ((name, "gwk_secret") in seen)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param([f"{COOKIE}=s; __session=x.y.z; a=1"], ["a=1"], id="in-one-field"),
        pytest.param(
            ["__session=x.y.z", "a=1;__session=x.y.z ", f"{COOKIE}=s"], ["a=1"], id="in-several"
        ),
        pytest.param(["__session =x; __session\t=y"], [], id="with-space"),
        pytest.param(["__session2=x; __SESSION=y"], ["__session2=x; __SESSION=y"], id="others"),
    ],
)
def test_cookies_that_hold_credentials_are_for_the_gateway(
    sent: list[str], expected: list[str]
) -> None:
    """Every other pair stays; ``forward_credentials`` passes all."""
    rewriter = RequestFields(IdentityNames(), COOKIE, HOST, credential_cookies=("__session",))
    head = request_head(*(("Cookie", value) for value in sent))
    for route in (PUBLIC, PROTECTED, TRUSTING):
        seen = read_lines(rewriter.rewrite(head, route, CLIENT, "https", None))
        cookies = [value for name, value in seen if name == "Cookie"]
        assert (sent if route is TRUSTING else expected) == cookies


@pytest.mark.parametrize("name", ["X_API_Key", "X.API-Key", "x-api!key"])
def test_other_spellings_of_the_api_key_field_are_dropped(name: str) -> None:
    """Also where the real field passes: the gateway has not verified them."""
    rewriter = RequestFields(IdentityNames(), COOKIE, HOST, credential_headers=("X-API-Key",))
    for route in (PROTECTED, TRUSTING):
        head = request_head((name, "gwk_another"))
        assert b"gwk_another" not in rewriter.rewrite(head, route, CLIENT, "https", None)


FOREIGN = [
    *("Remote-User", "Remote-Email", "Remote-Name", "Remote-Groups", "X-Remote-User"),
    *("X-WEBAUTH-USER", "X-WEBAUTH-EMAIL", "X-WEBAUTH-GROUPS", "X-Auth-Request-User"),
    *("X-Auth-Request-Email", "X-Auth-Request-Access-Token", "X-Forwarded-User"),
    *("X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username"),
    *("X-Pomerium-Jwt-Assertion", "X-Pomerium-Claim-Email", "X-authentik-username"),
    *("X-authentik-groups", "Cf-Access-Jwt-Assertion", "Cf-Access-Authenticated-User-Email"),
    *("X-Envoy-External-Address", "X-Original-Forwarded-For", "Fastly-Client-IP"),
    *("X-Url-Scheme", "Front-End-Https", "True-Client-IP", "CF-Connecting-IP"),
]


@pytest.mark.parametrize("name", FOREIGN)
def test_fields_of_other_gateways_are_dropped(name: str) -> None:
    """In every spelling that some app reads alike: a client could pose as any user."""
    spellings = {name, name.lower(), name.upper(), *(name.replace("-", c) for c in PUNCTUATION)}
    for route in (PUBLIC, PROTECTED, TRUSTING):
        assert [] == kept(*((spelling, "evil") for spelling in sorted(spellings)), route=route)


@pytest.mark.parametrize(
    "name", ["Remote-Users", "Remote", "X-Auth-Requests", "Cf-Ray", "X-Envoy-Attempt-Count"]
)
def test_fields_of_similar_names_pass(name: str) -> None:
    """What other gateways write for another purpose is none of an identity."""
    assert [(name, "a")] == kept((name, "a"))


def test_an_upstream_may_let_a_field_of_another_gateway_pass() -> None:
    """That one alone, and in no other spelling; other routes drop it as before."""
    passing = replace(PUBLIC, passed_fields=frozenset({"x-forwarded-user", "remote-name"}))
    sent = [("X-Forwarded-User", "a"), ("REMOTE-NAME", "b")]
    dropped = [("X_Forwarded_User", "c"), ("Remote.Name", "d"), ("X-Forwarded-Email", "e")]
    assert sent == kept(*sent, *dropped, route=passing)
    assert [] == kept(*sent, *dropped)


def test_a_passed_field_is_kept_apart_in_a_memo() -> None:
    """The lines for one app never reach another one."""
    head = request_head(("Remote-User", "a"), ("Authorization", "Bearer x"))._replace(memo={})
    rewriter = RequestFields(IdentityNames(), COOKIE, HOST)
    remote = ("Remote-User", "a")
    bearer = ("Authorization", "Bearer x")
    for passed, is_trusting, expected in 2 * [
        (frozenset[str](), False, []),
        (frozenset({"remote-user"}), False, [remote]),
        (frozenset({"remote-user"}), True, [remote, bearer]),
        (frozenset({"remote-name"}), True, [bearer]),
        (frozenset[str](), True, [bearer]),
    ]:
        route = replace(PUBLIC, passed_fields=passed, forward_credentials=is_trusting)
        found = read_lines(rewriter.rewrite(head, route, CLIENT, "https", None))
        assert expected == [line for line in found if line not in WRITTEN]


def test_what_the_gateway_writes_never_passes() -> None:
    """Also where an upstream would let it pass: the client's field is replaced."""
    names = IdentityNames(issuer="Remote-User")
    rewriter = RequestFields(names, COOKIE, HOST)
    passed = frozenset({"remote-user", "x-forwarded-for", "x-gateway-identity", "x-user-email"})
    sent = [(name, "evil") for name in passed]
    route = replace(PROTECTED, passed_fields=passed)
    seen = read_lines(rewriter.rewrite(request_head(*sent), route, CLIENT, "https", ALICE))
    assert "evil" not in dict(seen).values()
    assert ("Remote-User", ISSUER) in seen


def test_a_credential_in_a_field_of_another_gateway_is_the_gateways() -> None:
    """It goes on only where credentials do, as any other."""
    name = "Cf-Access-Jwt-Assertion"
    rewriter = RequestFields(IdentityNames(), COOKIE, HOST, credential_headers=(name,))
    for route in (PUBLIC, TRUSTING):
        lines = rewriter.rewrite(request_head((name, "a.b.c")), route, CLIENT, "https", None)
        assert (route is TRUSTING) == ((name, "a.b.c") in read_lines(lines))


def test_all_other_fields_pass_unchanged() -> None:
    """Order, case and repetition stay, and so do octets that are no UTF-8."""
    sent = [
        ("aCCEPT", "*/*"),
        ("X-Custom", "1"),
        ("x_custom", "2"),
        ("X-Custom", "3, 4"),
        ("X-Userland", "5"),
        ("X-User-Agent", "6"),
        ("X-Empty", ""),
        ("Origin", "https://other.example"),
    ]
    assert sent == kept(*sent)
    assert [("X-Odd", "\xff\xc3\xa9")] == kept(("X-Odd", "\udcff\xe9"))


_NAMES = st.from_regex(r"\A[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}\Z") | st.builds(
    lambda name, mark: name.replace("-", mark),
    st.sampled_from([*_RESERVED, "Host", "Cookie", "Connection", "Via", "Content-Length", "TE"]),
    st.sampled_from(PUNCTUATION),
)
_VALUES = st.text(st.characters(max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=12).map(
    lambda value: value.strip("\xa0\x85 ")
)


@given(st.lists(st.tuples(_NAMES, _VALUES), max_size=12), st.text(max_size=20))
def test_the_app_reads_one_identity_whatever_was_sent(sent: Fields, email: str) -> None:
    """A strict parser reads the result; the gateway's lines are there once, and no forged ones."""
    identity = replace(ALICE, user=User(ISSUER, email=email.encode("utf-8", "ignore").decode()))
    rewriter = RequestFields(IdentityNames(), COOKIE, HOST)
    lines = tuple(f"{name}: {value}".encode("latin-1") for name, value in sent)
    head = request_head(*sent)._replace(lines=ReceivedLines(tuple(name for name, _ in sent), lines))
    block = rewriter.rewrite(head, PROTECTED, CLIENT, "https", identity)

    app = h11.Connection(h11.SERVER)
    app.receive_data(b"GET / HTTP/1.1\r\n" + block + b"\r\n")
    request = app.next_event()
    assert isinstance(request, h11.Request)
    read = [(normalise_name(name.decode("latin-1")), value) for name, value in request.headers]
    assert len(read) <= len(sent) + len(WRITTEN) + len(IdentityNames()) + 1
    for name, value in [*WRITTEN, ("X-User-Issuer", ISSUER)]:
        if name != "Via":  # a list: those of proxies before us may stay
            assert [value.encode()] == [told for key, told in read if key == name.lower()]
    emails = [unquote(told.decode("ascii")) for key, told in read if key == "x-user-email"]
    assert [identity.user.email] * bool(identity.user.email) == emails


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        pytest.param("alice@example.com", "alice@example.com", id="ascii-stays"),
        pytest.param("+15550100", "+15550100", id="a-plus-sign-stays"),
        pytest.param("a\r\nX-User-Issuer: b", "a%0D%0AX-User-Issuer:%20b", id="a-line-break"),
        pytest.param("a\0b\tc\x7f", "a%00b%09c%7F", id="controls"),
        pytest.param("zoë@example.com", "zo%C3%AB@example.com", id="utf-8-is-encoded"),
        pytest.param("100%25", "100%2525", id="the-percent-sign-is-encoded"),
        pytest.param(" alice ", "%20alice%20", id="space-that-a-recipient-would-cut-off"),
        pytest.param("\u2028\u202e", "%E2%80%A8%E2%80%AE", id="line-and-direction-marks"),
    ],
)
def test_a_claim_cannot_leave_its_line(claim: str, expected: str) -> None:
    """Visible ASCII stays readable, the rest is percent-encoded."""
    assert expected == encode_value(claim)


@given(st.text())
def test_a_claim_can_be_read_back(claim: str) -> None:
    """Decoding gives exactly what Magic knows, also after a recipient stripped the value."""
    encoded = encode_value(claim)
    assert claim == unquote(encoded.strip())
    assert encoded.isascii()
    assert encoded.isprintable()


@pytest.mark.parametrize("scheme", ["NTLM", "Negotiate", "kerberos"])
def test_schemes_that_authenticate_a_connection_do_not_pass(scheme: str) -> None:
    """Connections to the app are shared: the next user would be authenticated too."""
    assert [] == kept(("Authorization", f"{scheme} TlRMTVNTUAAB"))


def test_the_cache_of_identity_lines_is_bounded() -> None:
    """The oldest lines make room; an identity that comes again has the same lines."""
    fields = RequestFields(IdentityNames(), COOKIE, "localhost", max_identities=3)
    people = [replace(ALICE, user=User(f"did:ethr:0x{number}")) for number in range(10)]
    first = [fields._identity_block(identity) for identity in people]

    assert 3 == len(fields._identity_blocks)
    assert first == [fields._identity_block(identity) for identity in people]
    assert fields._identity_block(people[-1]) is fields._identity_block(people[-1])


def test_the_hidden_prefix_is_written() -> None:
    """By the gateway alone: the client's fields of that name are dropped."""
    seen = forwarded(("X-Forwarded-Prefix", "/evil"), ("X_Forwarded_Prefix", "/e"), route=MOVED)
    assert [("X-Forwarded-Prefix", "/api")] == [
        (name, value) for name, value in seen if normalise_name(name) == "x-forwarded-prefix"
    ]


def test_a_rewritten_host_is_left_to_the_connection() -> None:
    """It is added when the server is chosen; X-Forwarded-Host keeps the client's."""
    seen = forwarded(route=NAMED)
    assert "Host" not in dict(seen)
    assert HOST == dict(seen)["X-Forwarded-Host"]


def test_a_memo_is_kept_apart_by_route_and_config() -> None:
    """It never carries the lines of one kind of route to another, nor of one config to the next."""
    head = request_head(("Authorization", "Bearer x"), ("X-A", "b"))._replace(memo={})
    seeing = Route("raw", "/raw/*", "app", auth=Auth.NONE, forward_credentials=True)
    hiding_a = IdentityNames(issuer="X-A")
    for names, route, expected in 2 * [
        (IdentityNames(), PUBLIC, [("X-A", "b")]),
        (IdentityNames(), seeing, [("Authorization", "Bearer x"), ("X-A", "b")]),
        (hiding_a, PUBLIC, []),
    ]:
        rewriter = REWRITERS.setdefault(names, RequestFields(names, COOKIE, HOST))
        found = read_lines(rewriter.rewrite(head, route, CLIENT, "https", None))
        assert expected == [line for line in found if line not in WRITTEN]


_SPECIAL_FIELDS = st.one_of(
    st.tuples(
        st.sampled_from(["Cookie", "cookie"]),
        st.sampled_from([f"{COOKIE}=s", f"{COOKIE}=s; a=1", "a=1", f"a=1;{COOKIE}=s", ";", ""]),
    ),
    st.tuples(
        st.sampled_from(["Authorization", "AUTHORIZATION"]),
        st.sampled_from(["Bearer a", "bearer a", "Basic x", "Bearer", "NTLM a", "Bearer,a", ""]),
    ),
    st.tuples(
        st.sampled_from(["Connection", "connection"]),
        st.sampled_from(["keep-alive", "Close", "keep-alive, X-A", "cookie", "x-a", ""]),
    ),
    st.tuples(
        st.sampled_from(["X-A", "Accept", "X-API-Key", "x_api_key", "X-User-Email", "Via", "TE"]),
        st.sampled_from(["1", "2"]),
    ),
)


@given(st.lists(_SPECIAL_FIELDS, max_size=6), st.booleans())
def test_lines_pass_by_the_names_of_all_as_each_by_itself(
    sent: Fields, forward_credentials: bool
) -> None:
    """Also where the value of a cookie comes again, and the names do."""
    rewriter = _WITH_KEYS
    route = replace(PROTECTED, forward_credentials=forward_credentials)
    head = request_head(*sent)
    each = [*rewriter._strip_each(head, route, rewriter._policy), b""]
    with_memos = [(name, ValueWithMemo.begin(value)) for name, value in head.headers.items()]
    again = head._replace(headers=multidict(*with_memos))
    for same in (head, again, again):
        assert b"\r\n".join(each) == rewriter._strip(same, route, rewriter._policy)


_WITH_KEYS = RequestFields(IdentityNames(), COOKIE, HOST, credential_headers=("X-API-Key",))


def test_what_is_left_of_a_cookie_field_is_found_once_for_each_config() -> None:
    """It is kept with the value; another config has other cookies."""
    value = ValueWithMemo.begin(f"a=1; {COOKIE}=s; other=t")
    head = request_head()._replace(
        headers=multidict(("Host", HOST), ("Cookie", value)), lines=field_lines(("Cookie", value))
    )
    left = []
    for name in (COOKIE, "other", COOKIE, "other"):
        rewriter = _BY_COOKIE.setdefault(name, RequestFields(IdentityNames(), name, HOST))
        left.append(rewriter._strip(head, PROTECTED, rewriter._policy))
    assert left[:2] == [b"Cookie: a=1; other=t\r\n", f"Cookie: a=1; {COOKIE}=s\r\n".encode()]
    assert left[:2] == left[2:]
    again, known = _BY_COOKIE["other"], value.left
    assert left[3] == again._strip(head, PROTECTED, again._policy)
    assert known is value.left


_BY_COOKIE: dict[str, RequestFields] = {}


def test_what_is_kept_of_the_names_of_heads_is_bounded() -> None:
    """A client may send ever new ones, and long heads."""
    rewriter = RequestFields(IdentityNames(), COOKIE, HOST)
    for i in range(1000):
        rewriter.rewrite(request_head((f"X-{i}", "1")), PUBLIC, CLIENT, "https", None)
    shapes = rewriter._policy.shapes
    assert 0 < len(shapes) <= 128
    known = len(shapes)
    long = [(f"X-Long-{i}", "1") for i in range(40)]
    lines = rewriter.rewrite(request_head(*long), PUBLIC, CLIENT, "https", None)
    assert known == len(shapes)
    assert long == [line for line in read_lines(lines) if line not in WRITTEN]


REWRITERS: dict[IdentityNames, RequestFields] = {}


def test_a_traceback_shows_names_of_fields_and_no_values() -> None:
    """Values may be credentials."""
    lines = ReceivedLines(("Cookie",), (b"Cookie: session=secret",))
    assert "ReceivedLines(('Cookie',))" == repr(lines)

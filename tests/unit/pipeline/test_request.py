"""The stages of a request: their order, and what each decides."""

from contextlib import suppress
from dataclasses import replace

import pytest

from gateway.authn.login_redirect import LoginPage
from gateway.authn.return_to import ReturnTo
from gateway.core.errors import (
    AmbiguousCredentials,
    BadHost,
    BadTarget,
    CrossSite,
    Forbidden,
    MagicUnavailable,
    NoRoute,
    RateLimited,
    Refusal,
    SignInFirst,
    StoreUnavailable,
    Unauthenticated,
    UnsupportedMethod,
    UnsupportedUpgrade,
)
from gateway.core.problem import problem
from gateway.core.record import RequestRecord
from gateway.core.request import (
    RequestHead,
)
from gateway.core.route import (
    Grant,
    Rule,
)
from gateway.pipeline.request import RequestPipeline
from gateway.routing.client_address import ClientIp
from gateway.sessions.cookie import Cookie
from tests.fakes.heads import request_head
from tests.fakes.pipelines import (
    BEARER,
    CLIENT,
    COOKIE,
    FIRST,
    HOST,
    KEEPING,
    PRIVATE,
    PROXY,
    PUBLIC,
    SECOND,
    SESSION,
    WITH_SOCKETS,
    admitted,
    only_outbound,
    outcome,
    pipeline_for,
    sent_fields,
)
from tests.fakes.ports import (
    ISSUER,
    TOKEN_IDENTITY,
)


async def test_an_admitted_request_carries_all_that_goes_upstream() -> None:
    """Route, method, canonical target, identity and field lines."""
    outbound = await admitted(request_head(BEARER, method="PUT", target="/%41?b=%41"))
    assert (PRIVATE, "PUT", TOKEN_IDENTITY) == (outbound.route, outbound.method, outbound.identity)
    assert "/A?b=%41" == outbound.target.wire
    assert [ISSUER] == sent_fields(outbound, "X-User-Issuer")
    assert [CLIENT] == sent_fields(outbound, "X-Forwarded-For")


async def test_a_path_may_be_rewritten_upstream() -> None:
    """It is matched, limited and logged as the client sent it."""
    moved = replace(PUBLIC, path="/api/*", prefix="/api", new_prefix="/v2", hidden_prefix="/api")
    record = RequestRecord()
    asked = request_head(target="/api/x?y")
    outbound = only_outbound(await pipeline_for(moved).pipeline.admit(asked, record))
    assert ("/v2/x?y", "/api/x") == (outbound.target.wire, record.path)
    assert ["/api"] == sent_fields(outbound, "X-Forwarded-Prefix")


# --- the order of the stages ----------------------------------------------------------------------


async def test_limits_are_charged_before_authentication() -> None:
    """The limits of the route in their order, then the credential."""
    two = replace(PRIVATE, limits=(FIRST, SECOND))
    pipeline, diary = pipeline_for(two)
    await admitted(request_head(BEARER), pipeline)
    assert [f"limit first of {CLIENT}", f"limit second of {CLIENT}", "verify good"] == diary


@pytest.mark.parametrize(
    ("used_up", "expected"),
    [
        pytest.param("first", [f"limit first of {CLIENT}"], id="the-first-limit"),
        pytest.param("second", [f"limit second of {CLIENT}"], id="the-second"),
    ],
)
@pytest.mark.parametrize("credential", [BEARER, SESSION], ids=["token", "cookie"])
async def test_a_used_up_limit_ends_the_request(
    used_up: str, expected: list[str], credential: tuple[str, str]
) -> None:
    """No credential is verified, so that guessing is limited; the other limit is not charged."""
    pipeline, diary = pipeline_for(replace(PRIVATE, limits=(FIRST, SECOND)), used_up=used_up)
    with pytest.raises(RateLimited, match=used_up) as refusal:
        await admitted(request_head(credential), pipeline)
    assert used_up == refusal.value.state.limit.name
    assert expected == diary


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(request_head(BEARER, target="/a/../b"), id="a-bad-target"),
        pytest.param(request_head(BEARER, target="/a%2Fb"), id="an-encoded-slash"),
        pytest.param(request_head(BEARER, host="a b"), id="a-bad-host"),
        pytest.param(request_head(BEARER, method="TRACE"), id="a-refused-method"),
    ],
)
async def test_a_malformed_request_is_refused_before_any_port(head: RequestHead) -> None:
    """It costs neither store nor signature check."""
    pipeline, diary = pipeline_for()
    with pytest.raises(Refusal):
        await admitted(head, pipeline)
    assert [] == diary


async def test_without_a_route_no_port_is_called() -> None:
    """There is no limit to charge."""
    pipeline, diary = pipeline_for(PUBLIC)
    with pytest.raises(NoRoute):
        await admitted(request_head(BEARER), pipeline)
    assert [] == diary


async def test_ipv6_clients_are_limited_by_their_64_prefix() -> None:
    """A household shares one."""
    pipeline, diary = pipeline_for()
    await admitted(request_head(BEARER, peer="2001:db8:1:2::7"), pipeline)
    assert "limit first of 2001:db8:1:2::/64" == diary[0]


# --- who it is ------------------------------------------------------------------------------------

_DEAD = ("Cookie", f"{COOKIE}=dead")


@pytest.mark.parametrize("target", ["/", "/optional/"])
@pytest.mark.parametrize(
    ("field", "expected"),
    [
        pytest.param(
            ("Cookie", f"{COOKIE}=store"), StoreUnavailable, id="the-session-cannot-be-looked-up"
        ),
        pytest.param(
            ("Authorization", "Bearer store"), StoreUnavailable, id="the-token-cannot-be-looked-up"
        ),
        pytest.param(
            ("Authorization", "Bearer magic"), MagicUnavailable, id="the-issuer-cannot-be-known"
        ),
    ],
)
async def test_an_unavailable_store_is_not_an_anonymous_caller(
    target: str, field: tuple[str, str], expected: type[Refusal]
) -> None:
    """Not even where authentication is optional."""
    with pytest.raises(expected):
        await admitted(request_head(field, target=target))


@pytest.mark.parametrize("target", ["/", "/optional/", "/public/"])
@pytest.mark.parametrize(
    "fields", [[], [SESSION], [BEARER]], ids=["no-credential", "cookie", "token"]
)
async def test_an_app_gets_identity_fields_of_verified_callers_alone(
    target: str, fields: list[tuple[str, str]]
) -> None:
    """Whatever identity fields the client sends."""
    head = request_head(
        *fields, ("X-User-Issuer", "evil"), ("x_user_issuer", "evil"), target=target
    )
    try:
        outbound = await admitted(head)
    except Unauthenticated:
        return
    assert [ISSUER] * (outbound.identity is not None) == sent_fields(outbound, "X-User-Issuer")
    assert b"evil" not in outbound.fields


async def test_a_navigation_is_redirected_to_the_login_page() -> None:
    """Programs get a 401; so do browsers where there is no page."""
    login = LoginPage(f"https://{HOST}", "/_gateway", ReturnTo(f"https://{HOST}", "/_gateway"))
    without, _ = pipeline_for(PRIVATE)
    pipeline = RequestPipeline(replace(without.stages, login=login))
    navigating = ("Sec-Fetch-Mode", "navigate")
    with pytest.raises(SignInFirst) as refusal:
        await admitted(request_head(navigating, target="/x?y"), pipeline)
    assert "/_gateway/login?return_to=/x%3Fy" == refusal.value.location
    assert "Unauthenticated" == await outcome(request_head(), pipeline)
    assert "Unauthenticated" == await outcome(request_head(navigating), without)


# --- may they -------------------------------------------------------------------------------------

_ELSEWHERE = ("Origin", "https://evil.example")


@pytest.mark.parametrize(
    ("target", "fields", "expected"),
    [
        pytest.param("/", [SESSION, _ELSEWHERE], "CrossSite", id="a-cookie-from-elsewhere"),
        pytest.param("/", [SESSION], "CrossSite", id="a-cookie-from-who-knows-where"),
        pytest.param("/", [SESSION, ("Origin", f"https://{HOST}")], "session", id="our-own-page"),
        pytest.param("/", [BEARER, _ELSEWHERE], "did-token", id="a-token-from-elsewhere"),
        pytest.param("/", [BEARER, SESSION, _ELSEWHERE], "did-token", id="a-token-beside-a-cookie"),
        pytest.param("/optional/", [SESSION, _ELSEWHERE], "CrossSite", id="optional"),
        pytest.param(
            "/optional/", [_DEAD, _ELSEWHERE], "anonymous", id="an-ended-session-is-anonymous"
        ),
        pytest.param("/public/", [SESSION, _ELSEWHERE], "anonymous", id="public"),
    ],
)
async def test_cross_site_changes_with_a_cookie_are_refused(
    target: str, fields: list[tuple[str, str]], expected: str
) -> None:
    """Only our own pages may use it to change state (CSRF)."""
    assert expected == await outcome(request_head(*fields, method="POST", target=target))


async def test_the_origin_is_checked_after_authentication() -> None:
    """The log then names the user that the attack was aimed at."""
    record = RequestRecord()
    with pytest.raises(CrossSite):
        await pipeline_for().pipeline.admit(
            request_head(SESSION, _ELSEWHERE, method="POST"), record
        )
    assert (ISSUER, "session") == (record.issuer, record.auth_method)


# --- where to -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
@pytest.mark.parametrize("target", ["/public/", "app.example.com:443", "*"])
async def test_connect_and_trace_are_never_forwarded(method: str, target: str) -> None:
    """CONNECT tunnels past us, TRACE echoes credentials back."""
    with pytest.raises(UnsupportedMethod, match=method):
        await admitted(request_head(method=method, target=target))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param("/public/a", "/public/a", id="plain"),
        pytest.param("/keep/a%2fb", "/keep/a%2Fb", id="an-encoded-slash-where-it-is-kept"),
        pytest.param("/keep/a%5cb", "/keep/a%5Cb", id="an-encoded-backslash-where-it-is-kept"),
        pytest.param("/public/a;x=1/b", "/public/a;x=1/b", id="parameters-that-change-no-route"),
        pytest.param("/public/?a=%2F..", "/public/?a=%2F..", id="anything-in-the-query"),
        pytest.param("/public/a%2Fb", None, id="an-encoded-slash"),
        pytest.param("/public/a%2fb", None, id="an-encoded-slash-in-lower-case"),
        pytest.param("/public/a%5cb", None, id="an-encoded-backslash"),
        pytest.param("/keep%2F..%2Fadmin", None, id="an-encoded-way-out-by-name"),
        pytest.param("/keep/..%2Fadmin", None, id="an-encoded-way-up"),
        pytest.param("/keep/a%2F..%5Cb", None, id="an-encoded-way-up-by-backslash"),
        pytest.param("/keep/%2Fb", None, id="an-encoded-empty-segment"),
        pytest.param("/public;x/../a", None, id="a-way-up"),
        pytest.param("/public/;x/a", None, id="parameters-that-hide-an-empty-segment"),
        pytest.param("*", None, id="asterisk-form"),
    ],
)
async def test_the_matched_path_is_the_forwarded_path(target: str, expected: str | None) -> None:
    """Ambiguous paths are refused."""
    pipeline = pipeline_for(PUBLIC, KEEPING, replace(PUBLIC, name="all", path="/*")).pipeline
    if expected is None:
        with pytest.raises(BadTarget):
            await admitted(request_head(target=target), pipeline)
    else:
        outbound = await admitted(request_head(target=target), pipeline)
        assert expected == outbound.target.wire


@pytest.mark.parametrize(
    ("target", "is_refused"),
    [
        pytest.param("/admin;x/users", True, id="a-private-prefix-with-parameters"),
        pytest.param("/admin;/users", True, id="a-private-prefix-with-empty-parameters"),
        pytest.param("/admin;x", True, id="the-private-prefix-itself"),
        pytest.param("/admin/users;x", False, id="parameters-below-the-prefix"),
        pytest.param("/other;x/users", False, id="parameters-elsewhere"),
        pytest.param("/open%2Fadmin", False, id="an-encoded-slash-that-leads-nowhere-else"),
        pytest.param("/admin%2Fusers", True, id="a-private-prefix-behind-an-encoded-slash"),
        pytest.param("/admin%5Cusers", True, id="a-private-prefix-behind-an-encoded-backslash"),
        pytest.param("/admin;x%2Fusers", True, id="both"),
    ],
)
async def test_all_readings_of_a_path_match_one_route(target: str, is_refused: bool) -> None:
    """A path that is public here and private to the app is refused (CVE-2025-66490)."""
    open_to_all = replace(KEEPING, name="open", path="/*")
    admin = replace(PRIVATE, name="admin", path="/admin/*", keep_encoded_slashes=True)
    pipeline = pipeline_for(open_to_all, admin).pipeline
    expected = "BadTarget" if is_refused else None
    seen = await outcome(request_head(target=target, method="GET"), pipeline)
    assert expected == (seen if seen == "BadTarget" else None)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        pytest.param(request_head(host="app.example.com"), "named", id="the-host-of-a-route"),
        pytest.param(request_head(host="APP.example.COM"), "named", id="in-any-case"),
        pytest.param(request_head(host="app.example.com."), "named", id="with-the-last-dot"),
        pytest.param(request_head(host="app.example.com:8080"), "named", id="with-a-port"),
        pytest.param(request_head(host="other.example.com"), "any", id="another-host"),
        pytest.param(request_head(host="[0:0::1]"), "six", id="an-ipv6-host-in-any-spelling"),
        pytest.param(
            request_head(host=None, version=(1, 0)), "named", id="http-1.0-without-host-means-ours"
        ),
        pytest.param(request_head(host="", version=(1, 0)), "named", id="http-1.0-with-empty-host"),
        pytest.param(request_head(version=(1, 0)), "named", id="http-1.0-with-host"),
        pytest.param(
            request_head(target="http://app.example.com/"), "named", id="absolute-form-that-agrees"
        ),
        pytest.param(
            request_head(target="HTTPS://APP.example.com./", host="app.Example.com"),
            "named",
            id="absolute-form-that-agrees-in-any-case",
        ),
        pytest.param(request_head(host=None), BadHost, id="no-host"),
        pytest.param(request_head(host=""), BadHost, id="an-empty-host"),
        pytest.param(request_head(host="u@app.example.com"), BadHost, id="userinfo"),
        pytest.param(request_head(host="app.example.com/x"), BadHost, id="a-path-in-host"),
        pytest.param(request_head(host="a,app.example.com"), BadHost, id="two-hosts-in-one"),
        pytest.param(
            request_head(target="http://other.example.com/"), BadHost, id="absolute-form-differs"
        ),
        pytest.param(
            request_head(target="http://app.example.com:81/"), BadHost, id="it-differs-in-the-port"
        ),
        pytest.param(
            request_head(target="http://other.example.com/", host=None, version=(1, 0)),
            BadHost,
            id="absolute-form-of-another-host-without-host",
        ),
        pytest.param(request_head(target="ftp://app.example.com/"), BadTarget, id="another-scheme"),
        pytest.param(
            request_head(target="http://u@app.example.com/"), BadTarget, id="userinfo-in-the-target"
        ),
    ],
)
async def test_host_and_target_name_one_host(
    head: RequestHead, expected: str | type[Refusal]
) -> None:
    """In one spelling; otherwise the request is refused."""
    public = replace(PUBLIC, path="/*")
    pipeline = pipeline_for(
        replace(public, name="named", host="app.example.com"),
        replace(public, name="six", host="[::1]"),
        replace(public, name="any"),
    ).pipeline
    if isinstance(expected, str):
        assert expected == (await admitted(head, pipeline)).route.name
    else:
        with pytest.raises(expected):
            await admitted(head, pipeline)


# --- where from -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client_ip", "trusts_proxies", "peer", "expected"),
    [
        pytest.param(ClientIp.PEER, False, CLIENT, CLIENT, id="the-peer"),
        pytest.param(ClientIp.PEER, True, PROXY, PROXY, id="the-peer-even-behind-a-proxy"),
        pytest.param(ClientIp.X_FORWARDED_FOR, True, PROXY, "198.51.100.7", id="what-ours-says"),
        pytest.param(ClientIp.X_FORWARDED_FOR, True, CLIENT, CLIENT, id="not-what-another-says"),
        pytest.param(ClientIp.X_FORWARDED_FOR, False, PROXY, PROXY, id="no-trusted-proxies"),
    ],
)
async def test_the_client_address_is_read_as_configured(
    client_ip: ClientIp, trusts_proxies: bool, peer: str, expected: str
) -> None:
    """Limits, log and app see one address, which a client cannot choose."""
    pipeline, diary = pipeline_for(client_ip=client_ip, trusts_proxies=trusts_proxies)
    said = ("X-Forwarded-For", "1.1.1.1, 198.51.100.7")
    record = RequestRecord()
    asked = request_head(BEARER, said, peer=peer)
    outbound = only_outbound(await pipeline.admit(asked, record))
    assert expected == record.client
    assert [expected] == sent_fields(outbound, "X-Forwarded-For")
    assert f"limit first of {expected}" == diary[0]


@pytest.mark.parametrize(
    ("trusts_proxies", "peer", "said", "expected"),
    [
        pytest.param(True, PROXY, ["https"], "https", id="our-proxy-says-https"),
        pytest.param(True, PROXY, ["http"], "http", id="our-proxy-says-http"),
        pytest.param(True, PROXY, [], "https", id="our-proxy-says-nothing"),
        pytest.param(True, PROXY, ["http", "http"], "https", id="it-is-said-twice"),
        pytest.param(True, PROXY, ["http,https"], "https", id="a-list-is-said"),
        pytest.param(True, PROXY, ["javascript"], "https", id="another-scheme-is-said"),
        pytest.param(True, CLIENT, ["http"], "https", id="a-client-says-http"),
        pytest.param(False, PROXY, ["http"], "https", id="no-trusted-proxies"),
    ],
)
async def test_the_scheme_is_reported_by_a_trusted_proxy(
    trusts_proxies: bool, peer: str, said: list[str], expected: str
) -> None:
    """
    Else it is that of public_url.

    An app must not build links by a client's word (CVE-2026-33495).
    """
    pipeline = pipeline_for(trusts_proxies=trusts_proxies).pipeline
    fields = [("X-Forwarded-Proto", scheme) for scheme in said]
    outbound = await admitted(request_head(*fields, target="/public/", peer=peer), pipeline)
    assert [expected] == sent_fields(outbound, "X-Forwarded-Proto")


@pytest.mark.parametrize(
    ("client_ip", "fields", "client", "scheme"),
    [
        pytest.param("peer", ["f", "x"], PROXY, "http", id="the-address-is-the-peers"),
        pytest.param("x-forwarded-for", ["f", "x"], "192.0.2.1", "http", id="x-forwarded"),
        pytest.param("forwarded", ["f", "x"], "192.0.2.2", "https", id="forwarded"),
        pytest.param("x-forwarded-for", ["f"], PROXY, "https", id="only-the-other-one"),
        pytest.param("forwarded", ["x"], PROXY, "https", id="only-the-other-ones"),
        pytest.param("proxy-protocol", ["f", "x"], PROXY, "https", id="said-before-the-request"),
    ],
)
async def test_only_the_configured_forwarding_field_counts(
    client_ip: str, fields: list[str], client: str, scheme: str
) -> None:
    """Proxies may pass the others on as the client sent them."""
    sent = {
        "f": [("Forwarded", "for=192.0.2.2;proto=https")],
        "x": [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "http")],
    }
    pipeline = pipeline_for(trusts_proxies=True, client_ip=ClientIp(client_ip)).pipeline
    lines = [line for name in fields for line in sent[name]]
    outbound = await admitted(request_head(*lines, target="/public/", peer=PROXY), pipeline)
    assert [client] == sent_fields(outbound, "X-Forwarded-For")
    assert [scheme] == sent_fields(outbound, "X-Forwarded-Proto")


async def test_a_tls_connection_is_https() -> None:
    """Whatever public_url says."""
    stages = pipeline_for().pipeline.stages
    clients = replace(stages.clients, public_origin="http://app.example.com")
    pipeline = RequestPipeline(replace(stages, clients=clients))
    head = request_head(target="/public/")
    over_tls = head._replace(peer=head.peer._replace(scheme="https"))
    assert ["http"] == sent_fields(await admitted(head, pipeline), "X-Forwarded-Proto")
    assert ["https"] == sent_fields(await admitted(over_tls, pipeline), "X-Forwarded-Proto")


@pytest.mark.parametrize(
    "field",
    [
        ("X-Forwarded-Uri", "/public/"),
        ("X-Original-URL", "/public/"),
        ("X-Rewrite-URL", "/public/"),
        ("X-Forwarded-Host", "other.example.com"),
        ("X-Forwarded-Prefix", "/public"),
        ("X-HTTP-Method-Override", "GET"),
        ("User-Agent", "kube-probe/1.30"),
        ("Upgrade", "h2c"),
    ],
    ids=lambda field: field[0],
)
async def test_header_fields_do_not_choose_the_route(field: tuple[str, str]) -> None:
    """Only the request line and Host do."""
    with pytest.raises(Unauthenticated):
        await admitted(request_head(field, target="/admin"))


@pytest.mark.parametrize("query", ["auth=none", "allowed_groups=all", "/public/", "x=/../public/"])
async def test_a_query_does_not_choose_the_route(query: str) -> None:
    """Parameters never select a policy."""
    with pytest.raises(Unauthenticated):
        await admitted(request_head(target=f"/admin?{query}"))


# --- upgrades -------------------------------------------------------------------------------------

PUBLIC_SOCKETS = replace(PUBLIC, upgrades=frozenset({"websocket", "chat/2"}))


def upgrade(*fields: tuple[str, str], to: str = "websocket", target: str = "/") -> RequestHead:
    """A request for an upgrade of its connection."""
    return request_head(*fields, target=target)._replace(upgrade=to)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        pytest.param(upgrade(BEARER), "did-token", id="with-a-token"),
        pytest.param(
            upgrade(SESSION, ("Origin", f"https://{HOST}")), "session", id="from-our-own-page"
        ),
        pytest.param(upgrade(), "Unauthenticated", id="without-credential"),
        pytest.param(upgrade(SESSION), "CrossSite", id="from-no-page"),
        pytest.param(
            upgrade(SESSION, ("Sec-Fetch-Site", "same-origin")), "CrossSite", id="metadata-alone"
        ),
        pytest.param(
            upgrade(SESSION, ("Origin", "https://evil.example")), "CrossSite", id="another-site"
        ),
        pytest.param(
            upgrade(BEARER, ("Origin", "https://evil.example")), "did-token", id="no-cookie"
        ),
        pytest.param(upgrade(BEARER, to="chat/2"), "did-token", id="ignored-on-this-route"),
        pytest.param(upgrade(to="chat/2", target="/public/"), "anonymous", id="on-that-route"),
        pytest.param(upgrade(to="h2c", target="/public/"), "anonymous", id="h2c-is-ignored"),
        pytest.param(
            upgrade(SESSION, ("Origin", "https://evil.example"), to="h2c"),
            "session",
            id="no-upgrade",
        ),
        pytest.param(upgrade(to="websocket/13", target="/public/"), "UnsupportedUpgrade", id="13"),
    ],
)
async def test_an_upgrade_needs_authentication_and_our_origin(
    head: RequestHead, expected: str
) -> None:
    """Browsers let any page open sockets, with our cookie."""
    assert expected == await outcome(head, pipeline_for(WITH_SOCKETS, PUBLIC_SOCKETS).pipeline)


async def test_an_upgrade_is_charged() -> None:
    """Like any request, and before it is checked."""
    with pytest.raises(RateLimited):
        await admitted(upgrade(BEARER), pipeline_for(WITH_SOCKETS, used_up="first").pipeline)


async def test_routes_list_no_upgrade_by_default() -> None:
    """Neither do the gateway's own pages."""
    with pytest.raises(UnsupportedUpgrade):
        await admitted(upgrade(BEARER))


# --- what the log will say ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        pytest.param(
            request_head(BEARER, target="/a?b"),
            RequestRecord(CLIENT, HOST, "private", "/a", ISSUER, "did-token"),
            id="admitted-by-token",
        ),
        pytest.param(
            request_head(SESSION, host="APP.example.com:80"),
            RequestRecord(CLIENT, HOST, "private", "/", ISSUER, "session"),
            id="admitted-by-cookie",
        ),
        pytest.param(
            request_head(target="/public/a"),
            RequestRecord(CLIENT, HOST, "public", "/public/a"),
            id="admitted-anonymously",
        ),
        pytest.param(
            request_head(target="/private"),
            RequestRecord(CLIENT, HOST, "private", "/private"),
            id="refused-without-credential",
        ),
        pytest.param(
            request_head(target="/a%2Fb"),
            RequestRecord(CLIENT),
            id="refused-for-its-path",
        ),
        pytest.param(
            request_head(target="/../a"), RequestRecord(CLIENT), id="refused-for-its-target"
        ),
    ],
)
async def test_the_record_holds_what_each_stage_found(
    head: RequestHead, expected: RequestRecord
) -> None:
    """For the access log, also of refused requests."""
    record = RequestRecord()
    with suppress(Refusal):
        await pipeline_for().pipeline.admit(head, record)
    assert replace(expected, scheme="https") == record


# --- who may --------------------------------------------------------------------------------------

ADMINS = replace(PRIVATE, allow=(Rule(roles=frozenset({"admin"})),))
ADMIN = Grant("admin", Rule(emails=frozenset({"alice@example.com"})))


async def test_rules_see_the_roles_of_the_caller() -> None:
    """Roles are looked up first; the app gets them, too."""
    with pytest.raises(Forbidden):
        await admitted(request_head(BEARER), pipeline_for(ADMINS).pipeline)
    outbound = await admitted(request_head(BEARER), pipeline_for(ADMINS, grants=(ADMIN,)).pipeline)
    assert outbound.identity is not None
    assert (("admin",), ["admin"]) == (
        outbound.identity.roles,
        sent_fields(outbound, "X-User-Roles"),
    )


async def test_a_cross_site_request_is_refused_before_the_rules() -> None:
    """The refusal does not reveal the rights of the user."""
    asked = request_head(SESSION, ("Origin", "https://evil.example"), method="POST")
    assert "CrossSite" == await outcome(asked, pipeline_for(ADMINS).pipeline)


# --- cookies that others have set in our name ---------------------------------------------------


async def test_two_cookies_are_refused_and_the_foreign_ones_cleared() -> None:
    """The browser's next request carries our own cookie alone."""
    cookies = ("Cookie", f"{COOKIE}=good; {COOKIE}=evil")
    with pytest.raises(AmbiguousCredentials) as refused:
        await pipeline_for().pipeline.admit(
            request_head(cookies, target="/a?b=/c"), RequestRecord()
        )

    _, reply = problem(refused.value, "id")
    cleared = [value for name, value in reply.fields if name == "Set-Cookie"]
    assert list(Cookie("__Secure-session", secure=True).clear_foreign(HOST, "/a")) == cleared
    assert cleared


async def test_two_tokens_clear_no_cookie() -> None:
    """Browsers do not send tokens on their own."""
    tokens = [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]
    with pytest.raises(AmbiguousCredentials) as refused:
        await pipeline_for().pipeline.admit(request_head(*tokens), RequestRecord())

    assert () == refused.value.clears


# --- what is decided without a wait ---------------------------------------------------------------

TWO = ("Cookie", f"{COOKIE}=good; {COOKIE}=evil")
TWICE_LIMITED = replace(PRIVATE, limits=(FIRST, SECOND))


@pytest.mark.parametrize(
    ("head", "used_up", "expected", "charged"),
    [
        pytest.param(request_head(), "", Unauthenticated, 2, id="no-credential"),
        pytest.param(request_head(SESSION), SECOND.name, RateLimited, 1, id="limit"),
        pytest.param(request_head(SESSION), FIRST.name, RateLimited, 1, id="first-limit"),
        pytest.param(request_head(target="/../a"), "", BadTarget, 0, id="target"),
        pytest.param(upgrade(SESSION), "", UnsupportedUpgrade, 2, id="upgrade"),
        pytest.param(request_head(TWO), "", AmbiguousCredentials, 2, id="ambiguous"),
    ],
)
def test_what_needs_no_wait_is_refused_by_the_call(
    head: RequestHead, used_up: str, expected: type[Refusal], charged: int
) -> None:
    """Nothing is awaited; all limits are charged, or one refuses and none is."""
    under_test = pipeline_for(TWICE_LIMITED, used_up=used_up)
    with pytest.raises(expected):
        _ = under_test.pipeline.admit(head, RequestRecord())
    assert charged == len(under_test.diary)


@pytest.mark.parametrize("waits", [FIRST.name, SECOND.name])
async def test_limits_come_first_where_one_has_to_wait(waits: str) -> None:
    """All are charged together, once, and then a request without a credential is refused."""
    under_test = pipeline_for(TWICE_LIMITED, waits=waits)
    admitting = under_test.pipeline.admit(request_head(), RequestRecord())
    assert [] == under_test.diary
    with pytest.raises(Unauthenticated):
        await admitting
    assert [FIRST.name, SECOND.name] == [line.split()[1] for line in under_test.diary]


async def test_a_limit_that_waits_refuses_like_others() -> None:
    """No later limit is charged, and no credential is looked at."""
    under_test = pipeline_for(TWICE_LIMITED, used_up=FIRST.name, waits=FIRST.name)
    with pytest.raises(RateLimited):
        await under_test.pipeline.admit(request_head(BEARER), RequestRecord())
    assert 1 == len(under_test.diary)

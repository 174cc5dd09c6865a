"""Forward-auth checks: decided like the requests that they describe."""

from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.assertion.cache import AssertionCache
from gateway.authn.login_redirect import LoginPage
from gateway.authn.return_to import ReturnTo
from gateway.core.errors import (
    NoRoute,
    Refusal,
    SignInByProxy,
    SignInFirst,
)
from gateway.core.identity import Identity
from gateway.core.record import RequestRecord
from gateway.core.request import (
    Reply,
    RequestHead,
    Target,
)
from gateway.core.route import (
    Route,
)
from gateway.pipeline.request import RequestPipeline
from gateway.routing.client_address import ClientIp
from tests.fakes.heads import request_head
from tests.fakes.pipelines import (
    ASKED_ABOUT,
    BEARER,
    CLIENT,
    HOST,
    KEEPING,
    OPTIONAL,
    PAGES,
    PRIVATE,
    PROXY,
    PUBLIC,
    SESSION,
    WITH_SOCKETS,
    admitted,
    check,
    outcome,
    pipeline_for,
    sent_fields,
)
from tests.fakes.ports import (
    ISSUER,
)


def asked() -> RequestPipeline:
    """A gateway that a proxy in front asks."""
    routes = (*PAGES, WITH_SOCKETS, OPTIONAL, PUBLIC, KEEPING, ASKED_ABOUT)
    return pipeline_for(*routes, trusts_proxies=True).pipeline


async def verdict(head: RequestHead) -> str:
    """The name of the refusal, or the issuer that the response names."""
    try:
        reply = await asked().admit(head, RequestRecord())
    except Refusal as refusal:
        return type(refusal).__name__
    assert isinstance(reply, Reply)
    assert 200 == reply.status
    return dict(reply.fields)["X-User-Email"] or "anonymous"


_PIECES = ("..", ".", ";", "%2e", "%2F", "%5c", "%00", "%252e", "\\", "#", "?", "*", "@", " ", "é")
SOCKET = ("Sec-WebSocket-Key", "x")
ALICE = "alice@example.com"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        pytest.param(check(BEARER), ALICE, id="token"),
        pytest.param(check(SESSION), ALICE, id="session"),
        pytest.param(check(), "Unauthenticated", id="no-credential"),
        pytest.param(check(uri="/public/x"), "anonymous", id="public"),
        pytest.param(check(BEARER, uri="/public/x"), "anonymous", id="public-needs-no-credential"),
        pytest.param(check(uri="/optional/x"), "anonymous", id="optional"),
        pytest.param(check(BEARER, uri="/asked/x"), ALICE, id="route-without-upstream"),
        pytest.param(check(BEARER, peer=CLIENT), "UntrustedPeer", id="a-client"),
        pytest.param(check(SESSION, method="POST"), "CrossSite", id="post-from-nowhere"),
        pytest.param(
            check(SESSION, ("Origin", f"https://{HOST}"), method="POST"), ALICE, id="post"
        ),
        pytest.param(check(SESSION, SOCKET), "CrossSite", id="socket-from-nowhere"),
        pytest.param(check(SESSION, SOCKET, ("Origin", f"https://{HOST}")), ALICE, id="socket"),
        pytest.param(check(BEARER, ("Upgrade", "h2c")), "UnsupportedUpgrade", id="h2c"),
        pytest.param(check(method="CONNECT"), "UnsupportedMethod", id="connect"),
        pytest.param(check(uri="/public/../private"), "BadTarget", id="dots"),
        pytest.param(check(uri="/public/%2e%2e/private"), "BadTarget", id="escaped-dots"),
        pytest.param(check(uri="/public/..;/private"), "BadTarget", id="dots-with-parameters"),
        pytest.param(check(uri="//public/x"), "BadTarget", id="empty-segment"),
        pytest.param(check(uri="/public%2fx"), "BadTarget", id="encoded-slash"),
        pytest.param(check(uri="/keep/a%2Fb"), "anonymous", id="encoded-slash-kept"),
        pytest.param(check(uri="/public/x#y"), "BadTarget", id="fragment"),
        pytest.param(check(uri="/public/x\x7f"), "BadTarget", id="control"),
        pytest.param(check(uri="public"), "BadTarget", id="no-slash"),
        pytest.param(check(uri="*", method="OPTIONS"), "BadTarget", id="asterisk"),
        pytest.param(check(uri=f"http://{HOST}/public/x"), "anonymous", id="absolute-form"),
        pytest.param(check(uri="http://evil/public/x"), "BadHost", id="another-authority"),
        pytest.param(check(host=""), "BadHost", id="empty-host"),
        pytest.param(check(host="a, b"), "BadHost", id="two-hosts"),
        pytest.param(check(uri="/_gateway/login"), "NoRoute", id="our-own-page"),
        pytest.param(check(uri="/_gateway/verify"), "NoRoute", id="a-check-of-checks"),
        pytest.param(check(("X-Forwarded-Uri", "/public/x")), "BadOriginal", id="two-accounts"),
    ],
)
async def test_a_check_is_decided_like_the_request(head: RequestHead, expected: str) -> None:
    """By its method, target, Host and credentials, not by those of the check."""
    assert expected == await verdict(head)


@given(
    st.lists(st.sampled_from(["/", "public", "private", "optional", "asked", *_PIECES])).map(
        "".join
    ),
    st.sampled_from(["GET", "POST", "OPTIONS", "TRACE"]),
    st.lists(
        st.sampled_from([BEARER, SESSION, SOCKET, ("Origin", f"https://{HOST}")]), unique=True
    ),
)
async def test_a_check_and_its_request_have_the_same_outcome(
    target: str, method: str, fields: list[tuple[str, str]]
) -> None:
    """Neither admits what the other refuses."""
    routes = (*PAGES, WITH_SOCKETS, OPTIONAL, PUBLIC, KEEPING, replace(ASKED_ABOUT, upstream="app"))
    upgrade = "websocket" if SOCKET in fields else ""
    head = request_head(*fields, target=target, method=method)._replace(upgrade=upgrade)
    expected = await outcome(head, pipeline_for(*routes).pipeline)
    found = await verdict(check(*fields, uri=target, method=method))
    assert found == {"did-token": ALICE, "session": ALICE}.get(expected, expected)


@pytest.mark.parametrize(
    ("words", "kind"), [("Original", SignInByProxy), ("Forwarded", SignInFirst)]
)
async def test_a_check_redirects_to_the_login_page(words: str, kind: type[SignInFirst]) -> None:
    """Or, for a proxy that accepts no redirect, by a 401 that names the page."""
    login = LoginPage(f"https://{HOST}", "/_gateway", ReturnTo(f"https://{HOST}", "/_gateway"))
    said = [
        (name.replace("Original", words), value)
        for name, value in check(("Sec-Fetch-Mode", "navigate")).headers.items()
        if name != "Host"
    ]
    head = request_head(*said, target="/_gateway/verify", peer=PROXY)
    with pytest.raises(SignInFirst) as refusal:
        await RequestPipeline(replace(asked().stages, login=login)).admit(head, RequestRecord())
    assert kind is type(refusal.value)
    assert f"https://{HOST}/_gateway/login?return_to=/private%3Fx" == refusal.value.location


async def test_a_check_charges_the_limits_of_the_request() -> None:
    """For the client that the proxy names."""
    pipeline, diary = pipeline_for(
        *PAGES, PRIVATE, client_ip=ClientIp.X_FORWARDED_FOR, trusts_proxies=True
    )
    await pipeline.admit(check(BEARER, ("X-Forwarded-For", CLIENT)), RequestRecord())
    assert [f"limit first of {CLIENT}", "verify good"] == diary


async def test_a_check_is_answered_with_the_assertion() -> None:
    """It is made for the described request and its app."""

    class Signing:
        def line(
            self, identity: Identity, route: Route, head: RequestHead, target: Target
        ) -> bytes:
            said = f"{identity.method} {route.name} {head.method} {target.wire}"
            return f"X-Gateway-Assertion: {said}\r\n".encode()

    pipeline = RequestPipeline(
        replace(asked().stages, assertions=cast("AssertionCache", Signing()))
    )
    reply = await pipeline.admit(check(BEARER, uri="/asked/x?y"), RequestRecord())
    assert isinstance(reply, Reply)
    assert "did-token asked-about GET /asked/x?y" == dict(reply.fields)["X-Gateway-Assertion"]
    outbound = await admitted(request_head(BEARER, target="/x"), pipeline)
    assert ["did-token private GET /x"] == sent_fields(outbound, "X-Gateway-Assertion")


async def test_a_check_is_logged_as_the_request() -> None:
    """With its route and path, and marked as a check."""
    record = RequestRecord()
    await asked().admit(check(BEARER), record)
    expected = RequestRecord(PROXY, HOST, "private", "/private", ISSUER, "did-token", checked="GET")
    expected.scheme = "https"
    assert expected == record


async def test_a_route_without_upstream_is_for_checks_alone() -> None:
    """A request for it is refused."""
    with pytest.raises(NoRoute):
        await asked().admit(request_head(BEARER, target="/asked/x"), RequestRecord())

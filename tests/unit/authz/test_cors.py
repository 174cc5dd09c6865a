"""CORS policies and preflights."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authz.cors import (
    ANY,
    answer_fields,
    asked_method,
    policy,
    preflight_answer,
    replaced,
)
from gateway.core.errors import CrossSite
from gateway.core.reasons import CrossSiteReason
from gateway.core.route import Cors
from tests.fakes.heads import multidict, request_head

SHOP = "https://shop.example.com"
ORIGIN = ("Origin", SHOP)
ASKS = ("Access-Control-Request-Method", "POST")


def made(
    *origins: str, credentials: bool = False, expose: tuple[str, ...] = ("Retry-After",)
) -> Cors:
    """Make the policy of a route."""
    return policy(
        origins,
        methods={"POST", "GET"},
        headers=("Authorization", "Content-Type"),
        expose=expose,
        credentials=credentials,
        max_age_s=600.0,
        passes_preflights=False,
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param([ORIGIN, ASKS], "POST", id="preflight"),
        pytest.param([ORIGIN, ASKS, ("Content-Length", "0")], "POST", id="no-body-said-twice"),
        pytest.param(
            [ORIGIN, ASKS, ("Access-Control-Request-Headers", "x")], "POST", id="with-headers"
        ),
        pytest.param([("Origin", "null"), ASKS], "POST", id="sandboxed"),
        pytest.param([ASKS], None, id="no-origin"),
        pytest.param([ORIGIN], None, id="asks-for-no-method"),
        pytest.param([ORIGIN, ORIGIN, ASKS], None, id="two-origins"),
        pytest.param([ORIGIN, ASKS, ASKS], None, id="two-methods"),
        pytest.param([ORIGIN, ASKS, ("Content-Length", "1")], None, id="body"),
        pytest.param([ORIGIN, ASKS, ("Content-Length", "00")], None, id="odd-length"),
        pytest.param([ORIGIN, ASKS, ("Transfer-Encoding", "chunked")], None, id="chunked-body"),
        pytest.param([ORIGIN, ASKS, ("Cookie", "a=b")], None, id="cookie"),
        pytest.param([ORIGIN, ASKS, ("Authorization", "Bearer x")], None, id="token"),
        pytest.param([ORIGIN, ASKS, ("Proxy-Authorization", "Basic x")], None, id="proxy"),
        pytest.param([ORIGIN, (ASKS[0], "post")], None, id="lower-case"),
        pytest.param([ORIGIN, (ASKS[0], "")], None, id="no-method"),
        pytest.param([ORIGIN, (ASKS[0], "A" * 40)], None, id="too-long"),
        pytest.param([ORIGIN, (ASKS[0], "GET, POST")], None, id="several"),
    ],
)
def test_preflights_are_recognised(fields: list[tuple[str, str]], expected: str | None) -> None:
    """What browsers send is one; a request with credentials or a body is not."""
    assert expected == asked_method(request_head(*fields, method="OPTIONS"))


def test_no_other_method_and_no_upgrade_is_a_preflight() -> None:
    """Its other fields do not matter."""
    assert asked_method(request_head(ORIGIN, ASKS, method="GET")) is None
    upgrade = request_head(ORIGIN, ASKS, method="OPTIONS")._replace(upgrade="websocket")
    assert asked_method(upgrade) is None


@pytest.mark.parametrize(
    ("cors", "headers", "expected"),
    [
        pytest.param(
            made(SHOP),
            [ORIGIN],
            {
                "Access-Control-Allow-Origin": SHOP,
                "Vary": "Origin",
                "Access-Control-Expose-Headers": "Retry-After",
            },
            id="listed",
        ),
        pytest.param(
            made("https://a.example", SHOP, credentials=True, expose=()),
            [ORIGIN],
            {
                "Access-Control-Allow-Origin": SHOP,
                "Access-Control-Allow-Credentials": "true",
                "Vary": "Origin",
            },
            id="with-credentials",
        ),
        pytest.param(made(SHOP), [], {"Vary": "Origin"}, id="no-origin"),
        pytest.param(made(SHOP), [ORIGIN, ORIGIN], {"Vary": "Origin"}, id="two-origins"),
        pytest.param(made(), [ORIGIN], {"Vary": "Origin"}, id="no-origin-listed"),
        pytest.param(
            made(ANY, expose=()), [ORIGIN], {"Access-Control-Allow-Origin": "*"}, id="any"
        ),
        pytest.param(
            made(ANY, expose=()), [], {"Access-Control-Allow-Origin": "*"}, id="any-even-none"
        ),
    ],
)
def test_answer_fields(
    cors: Cors, headers: list[tuple[str, str]], expected: dict[str, str]
) -> None:
    """The request's origin alone is named, and Vary tells caches that it matters."""
    assert expected == dict(answer_fields(cors, multidict(*headers)))


_STRANGERS = [
    *("null", "", "*", "https://evil.example", "https://shop.example.com.evil.example"),
    *("http://shop.example.com", "https://shop.example.com:443", "https://SHOP.example.com"),
    *("https://shop.example.com/", " https://shop.example.com", "https://evilshop.example.com"),
    *("https://a.shop.example.com", "https://shop.example.com, https://evil.example", "shop"),
]


@pytest.mark.parametrize("origin", _STRANGERS, ids=repr)
def test_origins_that_are_not_listed(origin: str) -> None:
    """No part of a listed origin, and no similar one, is accepted."""
    cors = made(SHOP, credentials=True)
    headers = multidict(("Origin", origin), ASKS)
    assert (("Vary", "Origin"),) == answer_fields(cors, headers)
    with pytest.raises(CrossSite, match=CrossSiteReason.PREFLIGHT_FOREIGN):
        preflight_answer(cors, headers)
    assert origin not in cors.credentialed


def test_the_answer_to_a_preflight() -> None:
    """It holds the policy of the route; the browser compares it with the request."""
    reply = preflight_answer(made(SHOP, credentials=True), multidict(ORIGIN, ASKS))
    assert (204, b"") == (reply.status, reply.body)
    assert {
        "Access-Control-Allow-Origin": SHOP,
        "Access-Control-Allow-Credentials": "true",
        "Vary": "Origin",
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": "Authorization, Content-Type",
        "Access-Control-Max-Age": "600",
    } == dict(reply.fields)


def test_any_origin_has_no_credentials() -> None:
    """With a star, no page acts with a user's session."""
    cors = made(ANY)
    reply = preflight_answer(cors, multidict(("Origin", "https://evil.example"), ASKS))
    assert "*" == dict(reply.fields)["Access-Control-Allow-Origin"]
    assert "Access-Control-Allow-Credentials" not in dict(reply.fields)
    assert frozenset() == cors.credentialed


def test_only_with_credentials_pages_act_with_the_session() -> None:
    """A page that may read public responses may not act as the user."""
    assert frozenset() == made(SHOP).credentialed
    assert {SHOP} == made(SHOP, credentials=True).credentialed
    assert replace(made(SHOP), passes_preflights=True).passes_preflights


def test_cors_fields_of_the_app_are_replaced() -> None:
    """In any case of letters; all other lines stay, in their order."""
    block = (
        b"Content-Type: text/plain\r\naccess-control-allow-origin: *\r\nVary: Accept\r\n"
        b"Access-Control-Allow-Credentials: true\r\nX: access-control-\r\n"
        b"ACCESS-CONTROL-MAX-AGE: 1\r\n"
    )
    expected = b"Content-Type: text/plain\r\nVary: Accept\r\nX: access-control-\r\nours\r\n"
    assert expected == replaced(block, b"ours\r\n")


@given(st.lists(st.tuples(st.from_regex(r"[A-Za-z-]{1,30}", fullmatch=True), st.text(max_size=9))))
def test_nothing_but_cors_is_replaced(fields: list[tuple[str, str]]) -> None:
    """All other lines are kept byte by byte."""
    lines = [
        f"{name}: {value}\r\n".encode().replace(b"\n", b"").replace(b"\r", b"") + b"\r\n"
        for name, value in fields
    ]
    kept = [line for line in lines if not line.lower().startswith(b"access-control-")]
    assert b"".join([*kept, b"x\r\n"]) == replaced(b"".join(lines), b"x\r\n")

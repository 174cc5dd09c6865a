"""The request that a forward-auth check describes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadOriginal
from gateway.core.request import Client, RequestHead
from gateway.pipeline.checked_request import _identity_fields, allowed_reply, checked_request
from tests.fakes.heads import request_head

PLACE = "/_gateway/verify"
METHOD, URI, HOST = "POST", "/a?b=%2F", "shop.example.com"
Fields = tuple[tuple[str, str], ...]


def x_original(method: str = METHOD, uri: str = URI, host: str = HOST) -> Fields:
    """What nginx says, by our snippet."""
    names = ("X-Original-Method", "X-Original-URI", "X-Original-Host")
    return tuple(zip(names, (method, uri, host), strict=True))


def x_forwarded(method: str = METHOD, uri: str = URI, host: str = HOST) -> Fields:
    """What Traefik and Caddy say."""
    names = ("X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host")
    return tuple(zip(names, (method, uri, host), strict=True))


@pytest.mark.parametrize(
    ("fields", "method", "target"),
    [
        pytest.param(x_original(), "GET", PLACE, id="nginx"),
        pytest.param(x_forwarded(), "GET", PLACE, id="traefik-caddy"),
        pytest.param((), "POST", PLACE + URI, id="envoy"),
        pytest.param(x_forwarded(), "GET", f"{PLACE}?c=d", id="caddy-leaves-the-query-there"),
        pytest.param((*x_original(), *x_forwarded()), "GET", PLACE, id="two-that-agree"),
        pytest.param((*x_original(), *x_forwarded()[:1]), "GET", PLACE, id="and-a-part-of-one"),
        pytest.param(x_forwarded(), "POST", PLACE + URI, id="fields-and-path-that-agree"),
        pytest.param(
            tuple((name.lower(), value) for name, value in x_original()), "GET", PLACE, id="case"
        ),
    ],
)
def test_a_check_describes_one_request(fields: Fields, method: str, target: str) -> None:
    """Method, target and Host are the client's, in every convention of proxies."""
    host = HOST if method == "POST" else "gateway.internal"
    asked = checked_request(request_head(*fields, method=method, target=target, host=host), PLACE)
    assert (METHOD, URI, [HOST]) == (asked.method, asked.target, asked.headers.getall("Host"))
    assert not [name for name in asked.headers if name.startswith(("X-Original", "X-Forwarded-"))]


@pytest.mark.parametrize(
    ("fields", "target", "reason"),
    [
        pytest.param((), PLACE, "no description", id="nothing"),
        pytest.param(x_original()[1:], PLACE, "no description", id="no-method"),
        pytest.param(x_original()[:2], PLACE, "no description", id="no-host"),
        pytest.param(x_original()[::2], PLACE, "no description", id="no-uri"),
        pytest.param(
            (*x_original()[:2], *x_forwarded()[2:]),
            PLACE,
            "no description",
            id="whole-in-two-halves",
        ),
        pytest.param(
            (*x_original(), *x_forwarded(uri="/public")), PLACE, "disagree", id="another-uri"
        ),
        pytest.param(
            (*x_original(), *x_forwarded(method="GET")), PLACE, "disagree", id="another-method"
        ),
        pytest.param((*x_original(), *x_forwarded(host="x")), PLACE, "disagree", id="another-host"),
        pytest.param(
            (*x_original(), ("X-Forwarded-Uri", "")), PLACE, "disagree", id="an-empty-one"
        ),
        pytest.param(
            (*x_forwarded(), ("X-Original-URI", "/public")), PLACE, "disagree", id="a-part-of-one"
        ),
        pytest.param(x_forwarded(uri="/public"), PLACE + URI, "disagree", id="field-against-path"),
        pytest.param(
            (*x_original(), ("x-original-uri", "/public")), PLACE, "repeated", id="uri-twice"
        ),
        pytest.param((*x_original(), *x_original()[:1]), PLACE, "repeated", id="the-same-twice"),
        pytest.param((("Host", "x"),), PLACE + URI, "repeated", id="host-twice"),
        pytest.param(x_original(method=""), PLACE, "no method", id="empty-method"),
        pytest.param(x_original(method="get"), PLACE, "no method", id="lower-case"),
        pytest.param(x_original(method="GET, POST"), PLACE, "no method", id="two-methods"),
        pytest.param(x_original(method="GET\x00"), PLACE, "no method", id="control"),
        pytest.param((), f"{PLACE}?/public", "no description", id="no-target-in-the-query"),
        pytest.param(x_original(), "/_gateway/%76erify", "path of checks", id="spelt-otherwise"),
        pytest.param(x_original(), f"http://a{PLACE}", "path of checks", id="absolute-form"),
    ],
)
def test_unclear_descriptions_are_refused(fields: Fields, target: str, reason: str) -> None:
    """Those that are missing, incomplete or contradictory; there is no fallback."""
    with pytest.raises(BadOriginal, match=reason):
        checked_request(request_head(*fields, target=target, host=HOST), PLACE)


def test_fields_of_the_client_are_kept() -> None:
    """Credentials, Origin and the peer stay; the memo is of other fields."""
    kept = (("Authorization", "Bearer x"), ("Cookie", "a=b"), ("Origin", "https://a"))
    head = request_head(*x_original(), *kept, target=PLACE, version=(1, 0))._replace(memo={})
    asked = checked_request(head, PLACE)
    assert (head.peer, head.request_id, (1, 1), None) == (
        asked.peer,
        asked.request_id,
        asked.version,
        asked.memo,
    )
    assert kept == tuple(field for field in asked.headers.items() if field in kept)


def test_the_connection_of_the_proxy_is_not_the_clients() -> None:
    """Its certificate, for example, must not authenticate every client."""
    head = request_head(*x_original(), target=PLACE)
    known = {"address", "text", "limit_key", "scheme"}
    others: dict[str, Any] = {name: object() for name in Client._fields if name not in known}
    asked = checked_request(head._replace(peer=head.peer._replace(**others)), PLACE)
    assert head.peer == asked.peer


def test_every_member_of_a_head_is_decided_about() -> None:
    """A new member of `RequestHead` needs a decision in `checked_request`: keep it or reset it."""
    assert {
        *("method", "target", "version", "headers", "lines"),
        *("peer", "request_id", "memo", "upgrade"),
    } == set(RequestHead._fields)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param((), "", id="none"),
        pytest.param((("Sec-WebSocket-Key", "x"),), "websocket", id="key"),
        pytest.param((("sec-websocket-version", "13"),), "websocket", id="version"),
        pytest.param((("Upgrade", "H2C"),), "h2c", id="upgrade"),
        pytest.param((("Upgrade", "a"), ("Upgrade", "b")), "a,b", id="two"),
        pytest.param((("Upgrade", "a"), ("Sec-WebSocket-Key", "x")), "a", id="not-what-it-seems"),
    ],
)
def test_upgrades_are_recognised(fields: Fields, expected: str) -> None:
    """Proxies drop Upgrade from checks, but leave the ``Sec-WebSocket-`` fields."""
    head = request_head(*x_original(), *fields, target=PLACE)
    assert expected == checked_request(head, PLACE).upgrade


@given(st.text(), st.text(), st.text())
def test_any_description_is_kept_or_refused(method: str, uri: str, host: str) -> None:
    """The described request holds exactly what the proxy sent."""
    head = request_head(*x_forwarded(method, uri, host), target=PLACE)
    try:
        asked = checked_request(head, PLACE)
    except BadOriginal:
        return
    assert (method, uri, host) == (asked.method, asked.target, asked.headers["Host"])


def test_an_allowing_response_holds_every_identity_field() -> None:
    """Unknown ones are empty, so that they replace forged ones."""
    reply = allowed_reply(("X-User-Issuer", "X-User-Email"), b"X-User-Issuer: did:x: y\r\n")
    assert (200, b"") == (reply.status, reply.body)
    assert {
        "X-User-Issuer": "did:x: y",
        "X-User-Email": "",
        "Cache-Control": "no-store",
    } == dict(reply.fields)


def test_an_assertion_is_sent_and_not_cached() -> None:
    """It replaces its empty field; each is for one request alone."""
    names, lines = ("X-User-Issuer", "X-Gateway-Assertion"), b"X-User-Issuer: did:z\r\n"
    assert ("X-Gateway-Assertion", "") in allowed_reply(names, lines).fields
    remembered = _identity_fields.cache_info().currsize
    for token in ("a.b.c", "d.e.f"):
        reply = allowed_reply(names, lines, f"X-Gateway-Assertion: {token}\r\n".encode())
        assert [token] == [value for name, value in reply.fields if name == "X-Gateway-Assertion"]
        assert ("X-User-Issuer", "did:z") in reply.fields
    assert remembered == _identity_fields.cache_info().currsize

"""CORS preflights: answered without credentials, by the route of the requested method."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from gateway.authz.cors import policy
from gateway.core.errors import (
    Forbidden,
    MethodNotAllowed,
    NoRoute,
    Unauthenticated,
)
from gateway.core.record import RequestRecord
from gateway.core.request import (
    Reply,
)
from gateway.core.route import (
    Auth,
    Route,
    Rule,
)
from tests.fakes.heads import request_head
from tests.fakes.pipelines import (
    BEARER,
    CLIENT,
    FIRST,
    PAGES,
    PRIVATE,
    SESSION,
    admitted,
    check,
    only_outbound,
    outcome,
    pipeline_for,
)

SHOP = "https://shop.example.com"
PREFLIGHT = (("Origin", SHOP), ("Access-Control-Request-Method", "POST"))


def shared(*, passes: bool = False, **about: Any) -> Route:
    """A route that the shop's pages may use."""
    cors = policy(
        [SHOP],
        methods=["POST"],
        headers=["Authorization"],
        expose=[],
        credentials=True,
        max_age_s=60,
        passes_preflights=passes,
    )
    return Route("shared", "/shared", "app", methods=frozenset({"POST"}), cors=cors, **about)


OTHERS = Route("others", "/shared", "app")
"""Takes the other methods of the path of `shared`."""


async def test_a_preflight_is_answered_without_authentication() -> None:
    """Its route is that of the requested method, and its limits are charged."""
    pipeline, diary = pipeline_for(shared(limits=(FIRST,)), PRIVATE)
    head = request_head(*PREFLIGHT, method="OPTIONS", target="/shared")
    record = RequestRecord()
    reply = await pipeline.admit(head, record)
    assert isinstance(reply, Reply)
    assert (204, "shared") == (reply.status, record.route)
    assert [f"limit first of {CLIENT}"] == diary


async def test_a_forwarded_preflight_is_anonymous() -> None:
    """The app gets neither credentials nor identity, even where it may get both."""
    pipeline, diary = pipeline_for(shared(passes=True, forward_credentials=True), PRIVATE)
    head = request_head(*PREFLIGHT, method="OPTIONS", target="/shared")
    outbound = await admitted(head, pipeline)
    assert ("OPTIONS", None, b"") == (outbound.method, outbound.identity, outbound.cors)
    assert (Auth.NONE, False) == (outbound.route.auth, outbound.route.forward_credentials)
    assert [] == diary


@pytest.mark.parametrize(
    "rules",
    [
        {"deny": (Rule(networks=(ip_network(f"{CLIENT}/32"),)),)},
        {"allow": (Rule(networks=(ip_network("198.18.0.0/15"),)),)},
    ],
    ids=["deny", "allow"],
)
async def test_rules_about_networks_apply_to_preflights(rules: dict[str, Any]) -> None:
    """A forbidden address gets no answer."""
    pipeline, _ = pipeline_for(shared(passes=True, **rules), PRIVATE)
    with pytest.raises(Forbidden):
        await admitted(request_head(*PREFLIGHT, method="OPTIONS", target="/shared"), pipeline)


async def test_preflights_are_not_cached() -> None:
    """Entries of callers would be evicted for them."""
    pipeline, _ = pipeline_for(
        shared(passes=True, deny=(Rule(methods=frozenset({"PUT"})),)), PRIVATE
    )
    for _ in range(3):
        await admitted(request_head(*PREFLIGHT, method="OPTIONS", target="/shared"), pipeline)
    assert {} == pipeline.stages.authoriser.permissions._known


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        pytest.param("/other", "POST", id="a-route-without-cors"),
        pytest.param("/shared", "PUT", id="another-route-for-that-method"),
        pytest.param("/shared", "TRACE", id="a-method-that-is-never-served"),
    ],
)
async def test_options_without_a_listed_policy_is_a_request_like_any(
    target: str, asked: str
) -> None:
    """It needs the same credentials."""
    fields = ("Origin", SHOP), ("Access-Control-Request-Method", asked)
    pipeline, _ = pipeline_for(shared(), OTHERS, PRIVATE)
    head = request_head(*fields, method="OPTIONS", target=target)
    assert "Unauthenticated" == await outcome(head, pipeline)


@pytest.mark.parametrize("asked", ["PUT", "TRACE", "FOO"])
async def test_a_preflight_for_a_method_of_no_route_is_not_allowed(asked: str) -> None:
    """It is never judged by a broader route; ``Allow`` lists the methods of the path."""
    fields = ("Origin", SHOP), ("Access-Control-Request-Method", asked)
    pipeline, _ = pipeline_for(shared(), PRIVATE)
    with pytest.raises(MethodNotAllowed) as caught:
        await admitted(request_head(*fields, method="OPTIONS", target="/shared"), pipeline)
    assert ("POST",) == caught.value.allowed


async def test_a_preflight_without_route_is_refused() -> None:
    """Where nothing matches, nothing is answered."""
    pipeline, _ = pipeline_for(shared())
    head = request_head(*PREFLIGHT, method="OPTIONS", target="/nowhere")
    with pytest.raises(NoRoute):
        await admitted(head, pipeline)


async def test_a_check_is_never_a_preflight() -> None:
    """The exemption would admit every OPTIONS request that a proxy asks about."""
    pipeline, _ = pipeline_for(shared(), OTHERS, PRIVATE, *PAGES, trusts_proxies=True)
    about = check(*PREFLIGHT, method="OPTIONS", uri="/shared")
    with pytest.raises(Unauthenticated):
        await pipeline.admit(about, RequestRecord())


async def test_responses_carry_the_cors_fields_of_their_route() -> None:
    """Refusals and responses of the app."""
    head = request_head(BEARER, ("Origin", SHOP), method="POST", target="/shared")
    for passes, expected in ((False, True), (True, False)):
        record = RequestRecord()
        pipeline, _ = pipeline_for(shared(passes=passes))
        outbound = only_outbound(await pipeline.admit(head, record))
        assert ("Access-Control-Allow-Origin", SHOP) in record.fields
        assert expected == (b"Access-Control-Allow-Origin: " + SHOP.encode() in outbound.cors)


async def test_a_listed_origin_may_use_the_session() -> None:
    """On the route that lists it."""
    pipeline, _ = pipeline_for(shared(), PRIVATE)
    head = request_head(SESSION, ("Origin", SHOP), method="POST", target="/shared")
    assert "session" == await outcome(head, pipeline)
    assert "CrossSite" == await outcome(head._replace(target="/other"), pipeline)


async def test_a_preflight_for_a_route_without_upstream_finds_nothing() -> None:
    """Such a route is only checked for a proxy in front, which answers preflights itself."""
    pipeline, diary = pipeline_for(replace(shared(limits=(FIRST,)), upstream=""))
    with pytest.raises(NoRoute):
        await admitted(request_head(*PREFLIGHT, method="OPTIONS", target="/shared"), pipeline)
    assert [] == diary

"""Stages that take down what they find: each decides as it always does."""

from dataclasses import replace

import pytest

from gateway.authz.cors import policy
from gateway.core.errors import (
    BadTarget,
    CrossSite,
    DeniedByLimit,
    Forbidden,
    MethodNotAllowed,
    NoRoute,
    RateLimited,
    Refusal,
    UnsupportedUpgrade,
)
from gateway.core.identity import User
from gateway.core.limit import UNCHARGED, Limit, LimitState, Spend
from gateway.core.request import Outbound, Reply
from gateway.core.route import Auth, Grant, Route, Rule
from gateway.explain.stages import ChargeRecorder
from gateway.ratelimit.entry import read_entry
from gateway.ratelimit.lists import LimitLists, ListKind
from gateway.ratelimit.matcher import Matcher
from gateway.routing.client_address import ClientIp
from tests.fakes.explained import TracedPipeline, traced
from tests.fakes.heads import request_head
from tests.fakes.pipelines import BEARER, FIRST, HOST, SECOND, SESSION, pipeline_for
from tests.fakes.ports import ISSUER, SESSION_IDENTITY

OPEN = Route("open", "/*", "app", auth=Auth.NONE)
LIMITED = replace(OPEN, name="limited", path="/limited/*", limits=(FIRST, SECOND))
PLACES = Limit("places", 2, 60, algorithm="concurrency")
EACH = Limit("each", 5, 60, per=("issuer",))
MINE = Route("mine", "/mine/*", "app", identity_limits=(EACH,), concurrency=(PLACES,))
GET_ONLY = replace(OPEN, name="get", path="/get", methods=frozenset({"GET"}))
STAFF = Route(
    "staff",
    "/staff/*",
    "app",
    allow=(Rule(roles=frozenset({"staff"}), methods=frozenset({"GET"})),),
    deny=(Rule(emails=frozenset({"eve@example.com"})),),
)
ROUTES = (OPEN, LIMITED, MINE, GET_ONLY, STAFF)


def pipeline(*, used_up: str = "", grants: tuple[Grant, ...] = ()) -> TracedPipeline:
    """Return a traced pipeline for all routes."""
    return traced(pipeline_for(*ROUTES, used_up=used_up, grants=grants), *ROUTES)


async def test_client_target_and_route_are_told() -> None:
    """In the order in which they are found."""
    under = pipeline()
    assert isinstance(await under.outcome(request_head(target="/get?a=b")), Outbound)
    assert ["client", "target", "route", "limits", "credentials"] == under.names()
    client = under.told("client")
    assert ("203.0.113.9", "peer", []) == tuple(
        client[name] for name in ("client", "read_from", "hops")
    )
    target = under.told("target")
    assert ("/get?a=b", "/get?a=b", HOST) == (*(target[n] for n in ("raw", "canonical", "host")),)
    route = under.told("route")
    assert "get" == route["route"]
    assert ["get", "open"] == [each["route"] for each in route["candidates"]]


async def test_the_field_that_names_the_client_is_told() -> None:
    """Whether or not it was believed."""
    under = traced(pipeline_for(OPEN, client_ip=ClientIp.X_FORWARDED_FOR), OPEN)
    await under.outcome(request_head(("X-Forwarded-For", "1.1.1.1")))
    client = under.told("client")
    assert ("X-Forwarded-For", ["1.1.1.1"]) == (client["read_from"], client["lines"])


@pytest.mark.parametrize(
    ("method", "target", "host", "refusal", "stage"),
    [
        pytest.param("GET", "/%2e%2e/x", HOST, BadTarget, "target", id="target"),
        pytest.param("POST", "/get", HOST, MethodNotAllowed, "route", id="method"),
        pytest.param("GET", "/get/x", "", NoRoute, "route", id="no-route"),
    ],
)
async def test_a_request_without_a_route_tells_the_stage_that_refused(
    method: str, target: str, host: str, refusal: type[Refusal], stage: str
) -> None:
    """With the candidates, where there are any."""
    under = traced(pipeline_for(GET_ONLY), GET_ONLY)
    head = request_head(method=method, target=target, host=host or None, version=(1, 0))
    assert isinstance(await under.outcome(head), refusal)
    told = under.told(stage)
    assert "refused" == told["verdict"]
    if refusal is MethodNotAllowed:
        assert ["does not list the method POST"] == [each["lost"] for each in told["candidates"]]


async def test_a_path_that_the_app_gets_is_told() -> None:
    """Where a route strips a prefix."""
    route = replace(OPEN, path="/app/*", prefix="/app", hidden_prefix="/app")
    under = traced(pipeline_for(route), route)
    await under.outcome(request_head(target="/app/x"))
    assert "/x" == under.told("route")["forwarded_path"]


async def test_a_preflight_is_told() -> None:
    """The method that it asks about decides."""
    cors = policy(
        ["https://shop.example.com"],
        methods=["GET"],
        headers=[],
        expose=[],
        credentials=False,
        max_age_s=1,
        passes_preflights=False,
    )
    route = replace(GET_ONLY, cors=cors, limits=(FIRST,))
    under = traced(pipeline_for(route), route)
    head = request_head(
        ("Origin", "https://shop.example.com"),
        ("Access-Control-Request-Method", "GET"),
        method="OPTIONS",
        target="/get",
    )
    assert isinstance(await under.outcome(head), Reply)
    assert "GET" == under.told("route")["preflight_for"]
    assert ["first"] == [each["limit"] for each in under.told("limits")["limits"]]


async def test_limits_are_told_with_their_callers() -> None:
    """Those before authentication, those after it, and places."""
    under = pipeline()
    await under.outcome(request_head(target="/limited/x"))
    assert [("first", "203.0.113.9", 299), ("second", "203.0.113.9", 49)] == [
        (each["limit"], each["caller"], each["remaining"])
        for each in under.told("limits")["limits"]
    ]
    under = pipeline()
    assert isinstance(await under.outcome(request_head(BEARER, target="/mine/x")), Outbound)
    assert [ISSUER] == [each["caller"] for each in under.told("identity_limits")["limits"]]
    assert ["places"] == [each["limit"] for each in under.told("concurrency")["limits"]]
    assert [] == under.told("limits")["limits"]


@pytest.mark.parametrize(
    ("name", "stage"),
    [("second", "limits"), ("each", "identity_limits"), ("places", "concurrency")],
)
async def test_a_limit_that_refuses_is_told(name: str, stage: str) -> None:
    """With those beside it."""
    under = pipeline(used_up=name)
    target = "/limited/x" if stage == "limits" else "/mine/x"
    head = request_head(BEARER, target=target)
    assert isinstance(await under.outcome(head), RateLimited)
    told = under.told(stage)
    assert ("refused", "rate_limited") == (told["verdict"], told["code"])
    assert name in [each["limit"] for each in told["limits"] if not each["allowed"]]


def test_a_shadow_limit_that_would_refuse_is_told() -> None:
    """It lets the request pass."""
    limit = Limit("watched", 1, 60, is_shadow=True)
    recorder = ChargeRecorder()
    recorder.note(Spend(limit, "a"), LimitState(limit, True, UNCHARGED, -1.0, 0.0))
    [told] = recorder.collect()
    assert (True, True, 0, False) == tuple(
        told[name] for name in ("allowed", "would_refuse", "remaining", "known")
    )
    assert [] == recorder.collect()


async def test_what_charges_nothing_passes_on_what_it_is_asked() -> None:
    """The recorder stands before the limiter that is looked at."""
    under = pipeline()
    limiter = under.stages.limits.limiter
    assert limiter.spend_now(FIRST, "a") is None
    assert limiter.spend_all_now([Spend(FIRST, "a")]) is None
    await limiter.spend(FIRST, "a")
    await limiter.settle(Spend(FIRST, "a", 2))
    assert 1 == len(under.stages.limits.charges.collect())  # type: ignore[attr-defined] # traced


@pytest.mark.parametrize(("entry", "stage"), [("203.0.113.0/24", "limits"), (ISSUER, "deny_lists")])
async def test_a_deny_list_that_refuses_is_told(entry: str, stage: str) -> None:
    """By address before authentication, by name after it."""
    lists = LimitLists()
    lists.put("each", ListKind.DENY, "config", Matcher([read_entry(entry)]))
    under = traced(pipeline_for(MINE), MINE, lists=lists)
    assert isinstance(await under.outcome(request_head(BEARER, target="/mine/x")), DeniedByLimit)
    assert "denied_by_limit" == under.told(stage)["code"]


async def test_a_caller_on_no_deny_list_passes() -> None:
    """The stage says nothing then."""
    lists = LimitLists()
    lists.put("each", ListKind.DENY, "config", Matcher([read_entry("did:ethr:0x" + "cd" * 20)]))
    under = traced(pipeline_for(MINE), MINE, lists=lists)
    assert isinstance(await under.outcome(request_head(BEARER, target="/mine/x")), Outbound)
    assert "deny_lists" not in under.names()


async def test_an_upgrade_is_told() -> None:
    """With what the route lists."""
    under = pipeline()
    head = request_head(target="/get")._replace(upgrade="websocket")
    assert isinstance(await under.outcome(head), UnsupportedUpgrade)
    told = under.told("upgrade")
    assert ("websocket", [], "refused") == (told["asked"], told["listed"], told["verdict"])


async def test_the_origin_is_told() -> None:
    """And whether it refuses the request."""
    under = pipeline()
    assert isinstance(
        await under.outcome(request_head(SESSION, target="/mine/x", method="POST")), CrossSite
    )
    told = under.told("origin")
    assert (True, [], "origin_missing") == (
        *(told[name] for name in ("sent_automatically", "origin", "reason")),
    )
    under = pipeline()
    await under.outcome(request_head(BEARER, target="/mine/x", method="POST"))
    assert (False, "passed") == (
        *(under.told("origin")[name] for name in ("sent_automatically", "verdict")),
    )


@pytest.mark.parametrize(("granted", "expected"), [("staff", Outbound), ("other", Forbidden)])
async def test_rules_are_told_with_the_matchers_that_hold(
    granted: str, expected: type[object]
) -> None:
    """And the roles that they are about."""
    grants = (Grant(granted, Rule(emails=frozenset({"*@example.com"}))),)
    under = pipeline(grants=grants)
    assert isinstance(await under.outcome(request_head(BEARER, target="/staff/x")), expected)
    assert [granted] == under.told("roles")["roles"]
    deny, allow = under.told("rules")["rules"]
    assert ("deny", False) == (deny["rule"], deny["holds"])
    assert {"roles": granted == "staff", "methods": True} == {
        each["matcher"]: each["holds"] for each in allow["matchers"]
    }
    assert ["staff"] == allow["matchers"][0]["values"]


async def test_an_assumed_caller_is_taken_for_a_page_of_this_site() -> None:
    """Unless the request names an origin, which is judged."""
    identity = replace(SESSION_IDENTITY, user=User(ISSUER, email="ada@example.com"))
    for fields, expected in (((), Outbound), ((("Origin", "https://evil.example"),), CrossSite)):
        under = traced(pipeline_for(*ROUTES), *ROUTES, assumed=identity)
        head = request_head(SESSION, *fields, target="/mine/x", method="POST")
        assert isinstance(await under.outcome(head), expected)
        assert ("note" in under.told("origin")) == (not fields)

"""The limits of a route: when they are charged, to which caller, and what answers tell."""

from dataclasses import replace

import pytest

from gateway.authz.cors import policy
from gateway.core.errors import DeniedByLimit, RateLimited, Unauthenticated, UnsupportedUpgrade
from gateway.core.limit import Limit, LimitState, Spend
from gateway.core.problem import fields_beside, told_limit
from gateway.core.record import RequestRecord
from gateway.core.request import Outbound, Reply, RequestHead
from gateway.core.route import Auth, Route
from gateway.pipeline.limits import RouteLimits
from gateway.pipeline.request import RequestPipeline
from gateway.ratelimit.entry import read_entry
from gateway.ratelimit.lists import LimitLists, ListKind
from gateway.ratelimit.local import LocalLimiter
from gateway.ratelimit.matcher import Matcher
from gateway.ratelimit.shadow import ShadowLimiter
from gateway.routing.client_address import ClientIp
from tests.fakes.heads import request_head
from tests.fakes.pipelines import (
    BEARER,
    CLIENT,
    FIRST,
    PAGES,
    PRIVATE,
    SECOND,
    check,
    only_outbound,
    pipeline_for,
)
from tests.fakes.ports import ISSUER, TOKEN_IDENTITY, Diary, RecordingLeases

CALLER = Limit("caller", 10, 60, per=("issuer",))
TENANT = Limit("tenant", 20, 60, per=("header:x-tenant",))
BOTH = replace(PRIVATE, identity_limits=(CALLER,))
ACME = ("X-Tenant", "acme")
UPGRADE = request_head(BEARER)._replace(upgrade="websocket")


async def asked(
    route: Route, head: RequestHead, *, used_up: str = "", waits: str = ""
) -> tuple[Diary, Exception | None]:
    """Return what the ports were asked for a request of ``route``, and its refusal."""
    under_test = pipeline_for(route, used_up=used_up, waits=waits)
    try:
        await under_test.pipeline.admit(head, RequestRecord())
    except (RateLimited, Unauthenticated, UnsupportedUpgrade) as refusal:
        return under_test.diary, refusal
    return under_test.diary, None


BEFORE, AFTER = f"limit first of {CLIENT}", f"limit caller of {ISSUER}"


@pytest.mark.parametrize("waits", ["", "first", "caller"])
async def test_limits_of_the_caller_come_after_authentication(waits: str) -> None:
    """Those by address before it, whichever has to wait."""
    assert ([BEFORE, "verify good", AFTER], None) == await asked(
        BOTH, request_head(BEARER), waits=waits
    )


async def test_an_anonymous_caller_is_counted_by_address() -> None:
    """On a route where a credential is optional, and on a public one."""
    for auth in (Auth.OPTIONAL, Auth.NONE):
        diary, refusal = await asked(replace(BOTH, auth=auth), request_head())
        assert ([BEFORE, f"limit caller of ip={CLIENT}"], None) == (diary, refusal)


async def test_a_request_without_a_credential_costs_the_caller_nothing() -> None:
    """It is refused before the caller is known."""
    diary, refusal = await asked(BOTH, request_head())
    assert [BEFORE] == diary
    assert isinstance(refusal, Unauthenticated)


@pytest.mark.parametrize(
    ("used_up", "expected"),
    [("first", [BEFORE]), ("caller", [BEFORE, "verify good", AFTER])],
)
async def test_each_stage_refuses_for_itself(used_up: str, expected: Diary) -> None:
    """What the first has charged stays charged: the request was served that far."""
    diary, refusal = await asked(BOTH, request_head(BEARER), used_up=used_up)
    assert expected == diary
    assert isinstance(refusal, RateLimited)
    assert used_up == refusal.state.limit.name


async def test_a_limit_may_count_by_what_the_request_tells() -> None:
    """Header field and route are known before authentication."""
    route = replace(PRIVATE, limits=(TENANT,))
    assert ["limit tenant of acme", "verify good"] == (
        await asked(route, request_head(BEARER, ACME))
    )[0]
    combined = replace(TENANT, per=("header:x-tenant", "route"))
    assert ["limit tenant of none private", "verify good"] == (
        await asked(replace(PRIVATE, limits=(combined,)), request_head(BEARER))
    )[0]


@pytest.mark.parametrize("waits", ["", "first", "second"])
@pytest.mark.parametrize("used_up", ["first", "second"])
async def test_a_refusal_spends_nothing_of_the_other_limit(used_up: str, waits: str) -> None:
    """Known at once or not."""
    route = replace(PRIVATE, limits=(FIRST, SECOND))
    diary, refusal = await asked(route, request_head(BEARER), used_up=used_up, waits=waits)
    assert [f"limit {used_up} of {CLIENT}"] == diary
    assert isinstance(refusal, RateLimited)


async def test_an_upgrade_is_charged_before_it_is_refused() -> None:
    """One that the route does not list, too."""
    for waits in ("", "first"):
        diary, refusal = await asked(PRIVATE, UPGRADE, waits=waits)
        assert [BEFORE] == diary
        assert isinstance(refusal, UnsupportedUpgrade)
    listed = replace(BOTH, upgrades=frozenset({"websocket"}))
    assert ([BEFORE, "verify good", AFTER], None) == await asked(listed, UPGRADE)


def _listed(kind: ListKind, text: str, limit: Limit = CALLER) -> LimitLists:
    lists = LimitLists()
    lists.put(limit.name, kind, "config", Matcher([read_entry(text)]))
    return lists


async def asked_with(lists: LimitLists, route: Route) -> tuple[Diary, Exception | None]:
    """Return what the ports were asked for a request of ``route`` by these lists."""
    under_test = pipeline_for(route)
    stages = under_test.pipeline.stages
    object.__setattr__(stages, "limits", replace(stages.limits, lists=lists))
    try:
        await under_test.pipeline.admit(request_head(BEARER), RequestRecord())
    except DeniedByLimit as refusal:
        return under_test.diary, refusal
    return under_test.diary, None


@pytest.mark.parametrize("limit", [FIRST, CALLER])
async def test_a_denied_client_is_refused_before_anything_is_charged(limit: Limit) -> None:
    """By any limit of the route; others pass."""
    diary, refusal = await asked_with(_listed(ListKind.DENY, CLIENT, limit), BOTH)
    assert [] == diary
    assert isinstance(refusal, DeniedByLimit)
    diary, refusal = await asked_with(_listed(ListKind.DENY, "192.0.2.77", limit), BOTH)
    assert ([BEFORE, "verify good", AFTER], None) == (diary, refusal)


@pytest.mark.parametrize("limit", [FIRST, CALLER])
async def test_a_denied_user_is_refused_once_authenticated(limit: Limit) -> None:
    """Before the limits after authentication are charged; another user passes."""
    lists = _listed(ListKind.DENY, "alice@example.com", limit)
    diary, refusal = await asked_with(lists, BOTH)
    assert [BEFORE, "verify good"] == diary
    assert isinstance(refusal, DeniedByLimit)
    lists = _listed(ListKind.DENY, "bob@example.com", limit)
    assert ([BEFORE, "verify good", AFTER], None) == await asked_with(lists, BOTH)


@pytest.mark.parametrize(
    ("limit", "entry", "expected"),
    [
        (FIRST, CLIENT, ["verify good", AFTER]),
        (CALLER, CLIENT, [BEFORE, "verify good"]),
        (CALLER, "alice@example.com", [BEFORE, "verify good"]),
        (FIRST, "alice@example.com", [BEFORE, "verify good", AFTER]),
    ],
)
async def test_a_caller_is_not_counted_by_a_limit_that_allows_it(
    limit: Limit, entry: str, expected: Diary
) -> None:
    """By address at each stage, by user once that is known; other limits count it."""
    assert (expected, None) == await asked_with(_listed(ListKind.ALLOW, entry, limit), BOTH)


async def test_checks_and_preflights_obey_the_lists() -> None:
    """Each asks for the charge in its own way."""
    under_test = pipeline_for(BOTH)
    lists = _listed(ListKind.ALLOW, CLIENT, FIRST)
    limits = replace(under_test.pipeline.stages.limits, lists=lists)
    head, record = request_head(BEARER), RequestRecord()
    client = under_test.pipeline.stages.find_client(head, record)
    await limits.charge(head, BOTH, client, record)
    await limits.charge_preflight(head, BOTH, client, record)
    assert [] == under_test.diary
    limits = replace(limits, lists=_listed(ListKind.DENY, CLIENT, CALLER))
    with pytest.raises(DeniedByLimit):
        await limits.charge(head, BOTH, client, record)
    with pytest.raises(DeniedByLimit):
        await limits.charge_preflight(head, BOTH, client, record)


async def test_a_shadow_limit_is_told_to_no_client() -> None:
    """The tightest of the others is, if there is one."""
    shadow = replace(FIRST, name="watched", is_shadow=True)
    head, record = request_head(BEARER), RequestRecord()
    for limits, told in (((shadow,), None), ((shadow, SECOND), "second")):
        route = replace(PRIVATE, limits=limits)
        under_test = pipeline_for(route)
        stages = under_test.pipeline.stages
        always = replace(stages.limits, tells_always=True)
        assert always.charge_now(head, route, stages.find_client(head, record), record)
        assert told == (record.limit and record.limit.limit.name)


@pytest.mark.parametrize("waits", ["", "first", "caller"])
async def test_a_request_may_cost_more_than_one(waits: str) -> None:
    """Each limit of the route is charged the cost."""
    diary, _ = await asked(replace(BOTH, cost=5), request_head(BEARER), waits=waits)
    assert [f"{BEFORE} 5 times", "verify good", f"{AFTER} 5 times"] == diary


async def test_a_preflight_costs_one_and_has_no_caller() -> None:
    """It is the browser's, not the page's."""
    cors = policy(
        ["https://a.example"],
        methods=["POST"],
        headers=(),
        expose=(),
        credentials=False,
        max_age_s=1,
        passes_preflights=False,
    )
    head = request_head(
        ("Origin", "https://a.example"),
        ("Access-Control-Request-Method", "POST"),
        method="OPTIONS",
    )
    for passes in (False, True):
        route = replace(BOTH, cost=5, tells_cost=True, cors=replace(cors, passes_preflights=passes))
        under_test = pipeline_for(route, tells_limits=True)
        answer = await under_test.pipeline.admit(head, RequestRecord())
        assert [BEFORE] == under_test.diary
        if isinstance(answer, Outbound):
            assert answer.limits is not None
            assert (True, ()) == (bool(answer.limits.lines), answer.limits.spends)
        else:
            assert ("X-RateLimit-Limit", "300") in answer.fields
    quiet = pipeline_for(replace(BOTH, cors=replace(cors, passes_preflights=True), limits=()))
    assert only_outbound(await quiet.pipeline.admit(head, RequestRecord())).limits is None


# --- what answers tell ---------------------------------------------------------------------------


async def test_answers_tell_of_limits_only_where_asked_to() -> None:
    """By default a refusal does alone."""
    record = RequestRecord()
    admitted = await pipeline_for(BOTH).pipeline.admit(request_head(BEARER), record)
    assert (None, None) == (only_outbound(admitted).limits, record.limit)
    assert () == fields_beside(Unauthenticated("none"), record)


@pytest.mark.parametrize("waits", ["", "first", "caller"])
async def test_the_tightest_limit_of_both_stages_is_told(waits: str) -> None:
    """Nine of ten are left of one, and 299 of 300 of the other."""
    record = RequestRecord()
    pipeline = pipeline_for(BOTH, waits=waits, tells_limits=True).pipeline
    outbound = only_outbound(await pipeline.admit(request_head(BEARER), record))
    assert outbound.limits is not None
    assert (
        b'RateLimit-Policy: "caller";q=10;w=60\r\nRateLimit: "caller";r=9;t=13\r\n'
        b"X-RateLimit-Limit: 10\r\nX-RateLimit-Remaining: 9\r\nX-RateLimit-Reset: 13\r\n"
        == outbound.limits.lines
    )
    assert () == outbound.limits.spends


async def test_a_refusal_of_another_kind_tells_of_the_limits_so_far() -> None:
    """A refusal by a limit tells of that one alone."""
    for used_up, error in (("", Unauthenticated), ("first", RateLimited)):
        record, refusal = RequestRecord(), None
        pipeline = pipeline_for(BOTH, used_up=used_up, tells_limits=True).pipeline
        try:
            await pipeline.admit(request_head(), record)
        except (Unauthenticated, RateLimited) as caught:
            refusal = caught
        assert isinstance(refusal, error)
        told = dict(fields_beside(refusal, record))
        assert (not used_up) == ("X-RateLimit-Remaining" in told)
    state = LimitState(FIRST, True, 1, 2.0, 0.0)
    assert () == fields_beside(RateLimited(state), RequestRecord(limit=state))
    assert told_limit(state) == fields_beside(Unauthenticated(""), RequestRecord(limit=state))


async def test_a_check_passes_the_same_limits_and_tells_of_them() -> None:
    """The proxy in front may hand the fields on."""
    under_test = pipeline_for(
        *PAGES,
        BOTH,
        client_ip=ClientIp.X_FORWARDED_FOR,
        trusts_proxies=True,
        tells_limits=True,
    )
    described = check(BEARER, ("X-Forwarded-For", CLIENT))
    reply = await under_test.pipeline.admit(described, RequestRecord())
    assert isinstance(reply, Reply)
    assert [BEFORE, "verify good", AFTER] == under_test.diary
    assert ("RateLimit", '"caller";r=9;t=13') in reply.fields


# --- the cost that an answer tells ---------------------------------------------------------------


async def test_an_answer_that_tells_the_cost_is_told_what_was_charged() -> None:
    """Both stages, with their callers; no fields are replaced for that."""
    route = replace(BOTH, tells_cost=True)
    admitted = await pipeline_for(route).pipeline.admit(request_head(BEARER), RequestRecord())
    limits = only_outbound(admitted).limits
    assert limits is not None
    assert (b"", (Spend(FIRST, CLIENT), Spend(CALLER, ISSUER))) == limits


@pytest.mark.parametrize("is_alone", [True, False])
@pytest.mark.parametrize("waits", ["", "watched"])
async def test_an_answer_costs_nothing_of_a_shadow_limit_that_was_used_up(
    waits: str, *, is_alone: bool
) -> None:
    """It was not charged before: enforced, it would have refused the request."""
    watched = replace(FIRST, name="watched", is_shadow=True)
    limits = (watched,) if is_alone else (watched, SECOND)
    route = replace(PRIVATE, limits=limits, tells_cost=True)
    for used_up in ("", "watched"):
        under_test = pipeline_for(route, used_up=used_up, waits=waits)
        stages = under_test.pipeline.stages
        limiter = ShadowLimiter(stages.limits.limiter, lambda _: None)
        shadowed = replace(stages.limits, limiter=limiter)
        pipeline = RequestPipeline(replace(stages, limits=shadowed))
        answer = only_outbound(await pipeline.admit(request_head(BEARER), RequestRecord())).limits
        charged = [limit for limit in limits if limit.name != used_up]
        assert answer is not None
        assert charged == [spend.limit for spend in answer.spends]


# --- with a limiter that counts ------------------------------------------------------------------

TEN = Limit("ten", 10, 60)
TWO = Limit("two", 2, 60, per=("route",))


async def test_all_limits_of_a_stage_or_none() -> None:
    """After the tighter one has refused, the wider one has what it had."""
    stage, record = (
        RouteLimits(LocalLimiter(), RecordingLeases([]), tells_always=True),
        RequestRecord(),
    )
    route = replace(PRIVATE, limits=(TEN, TWO))
    head = request_head()
    for _ in range(2):
        assert stage.charge_now(head, route, head.peer, record)
    for _ in range(5):
        with pytest.raises(RateLimited) as refused:
            stage.charge_now(head, route, head.peer, record)
        assert TWO == refused.value.state.limit
        with pytest.raises(RateLimited):
            await stage.charge(head, route, head.peer, record)
    assert TWO == (record.limit and record.limit.limit)

    left = LocalLimiter.spend_now(stage.limiter, TEN, CLIENT)  # type: ignore[arg-type] # it is one

    assert 7 == left.remaining


async def test_a_caller_shares_its_limit_over_addresses() -> None:
    """And two callers of one address share none."""
    stage = RouteLimits(LocalLimiter(), RecordingLeases([]))
    limit = replace(CALLER, rate=2)
    route = replace(PRIVATE, limits=(), identity_limits=(limit,))
    addresses = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
    *heads, head = [request_head(peer=address) for address in addresses]
    for each in heads:
        await stage.charge_identity(each, route, each.peer, TOKEN_IDENTITY, RequestRecord())
    with pytest.raises(RateLimited):
        await stage.charge_identity(head, route, head.peer, TOKEN_IDENTITY, RequestRecord())
    other = replace(TOKEN_IDENTITY, user=replace(TOKEN_IDENTITY.user, issuer="did:ethr:0xb0b"))
    await stage.charge_identity(head, route, head.peer, other, RequestRecord())


def test_a_route_without_limits_asks_no_limiter() -> None:
    """It passes at once."""
    under_test = pipeline_for()
    head, limits = request_head(), under_test.pipeline.stages.limits
    assert limits.charge_now(head, replace(PRIVATE, limits=()), head.peer, RequestRecord())
    assert [] == under_test.diary


async def test_a_request_holds_its_leases_until_it_ends() -> None:
    """What calls ``on_end`` of its record releases them; one that was refused is not there."""
    uploads = Limit("uploads", 3, 60, algorithm="concurrency")
    many = replace(PRIVATE, concurrency=(uploads, replace(uploads, name="sockets")))
    under_test, record = pipeline_for(used_up="sockets"), RequestRecord()
    stages, head = under_test.pipeline.stages, request_head()
    client = stages.find_client(head, record)
    with pytest.raises(RateLimited):
        await stages.limits.take_leases(head, many, client, None, record)
    [ended] = record.on_end
    ended()
    leases = [f"lease {name} of {client.limit_key}" for name in ("uploads", "sockets")]
    assert [*leases, "release uploads"] == under_test.diary


async def test_a_refused_request_takes_no_lease() -> None:
    """Leases come last: what is refused without waiting for the app holds no place."""
    route = replace(PRIVATE, concurrency=(Limit("uploads", 3, 60, algorithm="concurrency"),))
    under_test = pipeline_for(route)
    with pytest.raises(Unauthenticated):
        await under_test.pipeline.admit(request_head(), RequestRecord())
    assert not [line for line in under_test.diary if line.startswith("lease")]
    record = RequestRecord()
    await under_test.pipeline.admit(request_head(BEARER), record)
    assert "lease uploads" in under_test.diary[-1]
    assert 1 == len(record.on_end)


UPLOADS = Limit("uploads", 3, 60, algorithm="concurrency")


@pytest.mark.parametrize(
    ("per", "caller"),
    [
        (("ip",), CLIENT),
        (("issuer",), ISSUER),
        (("header:x-tenant",), "acme"),
        (("issuer", "route"), f"{ISSUER} {PRIVATE.name}"),
    ],
)
async def test_places_are_those_of_the_caller_that_the_limit_counts(
    per: tuple[str, ...], caller: str
) -> None:
    """Whatever the request or authentication tells of it; a cost takes no more of them."""
    route = replace(PRIVATE, cost=2, limits=(), concurrency=(replace(UPLOADS, per=per),))
    diary, _ = await asked(route, request_head(BEARER, ACME))
    assert f"lease uploads of {caller}" == diary[-1]


@pytest.mark.parametrize("text", [CLIENT, "alice@example.com"])
async def test_lists_of_a_limit_on_requests_under_way(text: str) -> None:
    """A denied caller is refused before anything is charged; an allowed one takes no place."""
    route = replace(PRIVATE, limits=(), concurrency=(UPLOADS,))
    diary, refusal = await asked_with(_listed(ListKind.DENY, text, UPLOADS), route)
    assert isinstance(refusal, DeniedByLimit)
    assert (["verify good"] if "@" in text else []) == diary
    diary, refusal = await asked_with(_listed(ListKind.ALLOW, text, UPLOADS), route)
    assert (["verify good"], None) == (diary, refusal)
    diary, refusal = await asked_with(_listed(ListKind.ALLOW, "b@example.com", UPLOADS), route)
    assert (["verify good", f"lease uploads of {CLIENT}"], None) == (diary, refusal)


async def test_answers_tell_of_places_where_they_are_the_tightest() -> None:
    """With their unit; none is left in the test."""
    record = RequestRecord()
    pipeline = pipeline_for(replace(BOTH, concurrency=(UPLOADS,)), tells_limits=True).pipeline
    outbound = only_outbound(await pipeline.admit(request_head(BEARER), record))
    assert outbound.limits is not None
    assert (
        b'RateLimit-Policy: "uploads";q=3;qu="concurrent-requests"\r\n'
        b'RateLimit: "uploads";r=0;t=1\r\n'
        b"X-RateLimit-Limit: 3\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1\r\n"
        == outbound.limits.lines
    )

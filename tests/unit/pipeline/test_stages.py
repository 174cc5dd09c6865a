"""The stages that requests, checks and preflights share, one by one."""

from contextlib import nullcontext
from dataclasses import replace

import pytest

from gateway.core.errors import (
    AmbiguousCredentials,
    CrossSite,
    Forbidden,
    RateLimited,
    Refusal,
    Unauthenticated,
    UnsupportedUpgrade,
)
from gateway.core.limit import Limit
from gateway.core.record import RequestRecord
from gateway.core.route import Auth, Grant, Rule
from gateway.pipeline.stages import Stages
from tests.fakes.heads import request_head
from tests.fakes.pipelines import (
    BEARER,
    HOST,
    PRIVATE,
    SESSION,
    WITH_SOCKETS,
    pipeline_for,
)
from tests.fakes.ports import ISSUER, TOKEN_IDENTITY

BY_ISSUER = replace(PRIVATE, limits=(), identity_limits=(Limit("caller", 9, 60, per=("issuer",)),))
CROSS_SITE = ("Sec-Fetch-Site", "cross-site")


@pytest.fixture
def stages() -> Stages:
    return pipeline_for().pipeline.stages


def test_the_client_is_recorded(stages: Stages) -> None:
    """The access log names the client of a refused request, too."""
    record = RequestRecord()
    client = stages.find_client(request_head(), record)
    assert (str(client.address), client.text) == (record.client, record.client)
    assert stages.clients.scheme_of(request_head()) == record.scheme != ""


def test_the_route_is_recorded(stages: Stages) -> None:
    """With the canonical path, and the host without port."""
    record = RequestRecord()
    resolved = stages.resolve(request_head(target="/a/%62?q", host=HOST), record)
    assert ("private", "/a/b", HOST) == (record.route, record.path, record.host)
    assert PRIVATE == resolved.route


def test_only_listed_upgrades_pass(stages: Stages) -> None:
    """An upgrade that the route does not list is refused."""
    head = request_head()._replace(upgrade="websocket")
    stages.enforce_upgrades(head, WITH_SOCKETS)
    with pytest.raises(UnsupportedUpgrade):
        stages.enforce_upgrades(head, PRIVATE)


@pytest.mark.parametrize(
    ("fields", "error", "charged"),
    [
        pytest.param((BEARER,), None, [f"limit caller of {ISSUER}"], id="allowed"),
        pytest.param((SESSION, CROSS_SITE), CrossSite, [], id="cross-site"),
        pytest.param((), Unauthenticated, [], id="no-credential"),
    ],
)
async def test_limits_of_callers_are_charged_after_the_origin(
    fields: tuple[tuple[str, str], ...], error: type[Refusal] | None, charged: list[str]
) -> None:
    """A page of another site cannot use up a visitor's limit."""
    under_test = pipeline_for(BY_ISSUER)
    stages, head = under_test.pipeline.stages, request_head(*fields, method="POST")
    client = stages.find_client(head, RequestRecord())
    with nullcontext() if error is None else pytest.raises(error):
        await stages.identify(head, BY_ISSUER, client, RequestRecord())
    assert charged == [line for line in under_test.diary if line.startswith("limit")]


async def test_limits_of_callers_are_charged_before_authorisation() -> None:
    """A caller that may not, and asks again and again, is limited too."""
    denying = replace(BY_ISSUER, deny=(Rule(issuers=frozenset({ISSUER})),))
    for used_up, error in (("", Forbidden), ("caller", RateLimited)):
        under_test = pipeline_for(denying, used_up=used_up)
        stages, head = under_test.pipeline.stages, request_head(BEARER)
        client = stages.find_client(head, RequestRecord())
        with pytest.raises(error):
            await stages.identify(head, denying, client, RequestRecord())
        assert f"limit caller of {ISSUER}" == under_test.diary[-1]


async def test_roles_are_known_to_limits_of_roles() -> None:
    """They are granted before the limit is charged."""
    route = replace(PRIVATE, limits=(), identity_limits=(Limit("roles", 9, 60, per=("role",)),))
    staff = Grant("staff", Rule(issuers=frozenset({ISSUER})))
    under_test = pipeline_for(route, grants=(staff,))
    stages, head = under_test.pipeline.stages, request_head(BEARER)
    await stages.identify(head, route, stages.find_client(head, RequestRecord()), RequestRecord())
    assert "limit roles of staff" == under_test.diary[-1]


async def test_the_caller_is_identified_and_recorded(stages: Stages) -> None:
    """The record names issuer and method for the access log."""
    record, head = RequestRecord(), request_head(BEARER)
    client = stages.find_client(head, record)
    identity = await stages.identify(head, PRIVATE, client, record)
    assert TOKEN_IDENTITY == identity
    assert (TOKEN_IDENTITY.user.issuer, TOKEN_IDENTITY.method) == (
        record.issuer,
        record.auth_method,
    )


async def test_rules_apply_to_anonymous_callers(stages: Stages) -> None:
    """A `deny` rule about the method refuses before the app sees the request."""
    head, record = request_head(), RequestRecord()
    client = stages.find_client(head, record)
    public = replace(PRIVATE, auth=Auth.NONE)
    assert await stages.identify(head, public, client, record) is None
    denied = replace(public, deny=(Rule(methods=frozenset({head.method})),))
    with pytest.raises(Forbidden):
        await stages.identify(head, denied, client, record)
    assert "" == record.issuer


def test_no_assertion_is_made_without_a_caller_or_a_key(stages: Stages) -> None:
    """The line is empty where the config asks for none."""
    head = request_head()
    resolved = stages.resolve(head, RequestRecord())
    for identity in (None, TOKEN_IDENTITY):
        assert b"" == stages.assertion_line(identity, head, PRIVATE, resolved.target)


def test_only_ambiguous_cookies_are_cleared(stages: Stages) -> None:
    """Two session cookies are cleared at every path and domain; other refusals stay as they are."""
    head = request_head(target="/a")
    resolved = stages.resolve(head, RequestRecord())
    for refusal in (Unauthenticated("x"), AmbiguousCredentials("x")):
        assert refusal is stages.with_cleared_cookies(refusal, head, resolved)
        assert () == getattr(refusal, "clears", ())
    cookies = AmbiguousCredentials("x", is_cookie=True)
    assert cookies is stages.with_cleared_cookies(cookies, head, resolved)
    assert cookies.clears
    assert all("Max-Age=0" in line for line in cookies.clears)

"""The stages that requests, checks and preflights share, one by one."""

from dataclasses import replace

import pytest

from gateway.core.errors import (
    AmbiguousCredentials,
    Forbidden,
    RateLimited,
    Unauthenticated,
    UnsupportedUpgrade,
)
from gateway.core.record import RequestRecord
from gateway.core.route import Auth, Rule
from gateway.pipeline.stages import Stages
from tests.fakes.heads import request_head
from tests.fakes.pipelines import (
    BEARER,
    FIRST,
    HOST,
    PRIVATE,
    SECOND,
    WITH_SOCKETS,
    pipeline_for,
)
from tests.fakes.ports import TOKEN_IDENTITY

LIMITED = replace(PRIVATE, limits=(FIRST, SECOND))


@pytest.fixture
def stages() -> Stages:
    return pipeline_for().pipeline.stages


def test_the_client_is_recorded(stages: Stages) -> None:
    """The access log names the client of a refused request, too."""
    record = RequestRecord()
    client = stages.find_client(request_head(), record)
    assert (str(client.address), client.text) == (record.client, record.client)


def test_the_route_is_recorded(stages: Stages) -> None:
    """With the canonical path, and the host without port."""
    record = RequestRecord()
    resolved = stages.resolve(request_head(target="/a/%62?q", host=HOST), record)
    assert ("private", "/a/b", HOST) == (record.route, record.path, record.host)
    assert PRIVATE == resolved.route


async def test_limits_are_charged_in_the_order_of_the_route(stages: Stages) -> None:
    """A limit that is used up ends the stage: later ones are not charged."""
    head = request_head()
    client = stages.find_client(head, RequestRecord())
    under_test = pipeline_for(used_up=SECOND.name)
    with pytest.raises(RateLimited):
        await under_test.pipeline.stages.enforce_limits(head, LIMITED, client)
    assert 2 == len(under_test.diary)
    under_test = pipeline_for(used_up=FIRST.name)
    with pytest.raises(RateLimited):
        await under_test.pipeline.stages.enforce_limits(head, LIMITED, client)
    assert 1 == len(under_test.diary)


async def test_only_listed_upgrades_pass(stages: Stages) -> None:
    """An upgrade that the route does not list is refused after the limits are charged."""
    head = request_head()._replace(upgrade="websocket")
    client = stages.find_client(head, RequestRecord())
    await stages.enforce_limits(head, WITH_SOCKETS, client)
    under_test = pipeline_for()
    with pytest.raises(UnsupportedUpgrade):
        await under_test.pipeline.stages.enforce_limits(head, PRIVATE, client)
    assert 1 == len(under_test.diary)


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

"""What came of a request that is explained."""

from dataclasses import replace

import pytest

from gateway.authn.login_redirect import LoginPage
from gateway.authn.return_to import ReturnTo
from gateway.core.errors import BadRequest, MagicUnavailable, Refusal, UpstreamBusy
from gateway.core.request import Outbound, RequestHead
from gateway.core.route import Auth, Route
from gateway.explain.explainer import ExplainedRequest, explain
from gateway.explain.trace import Explanation, StageVerdict, Trace
from tests.fakes.explained import TracedPipeline, traced
from tests.fakes.heads import request_head
from tests.fakes.pipelines import HOST, PAGES, check, pipeline_for

OPEN = Route("open", "/open/*", "app", auth=Auth.NONE)
MINE = Route("mine", "/*", "app")
REQUEST = {"url": "/"}


def no_preview(_outbound: Outbound, trace: Trace) -> None:
    trace.passed("upstream", server="a")


def busy(_outbound: Outbound, trace: Trace) -> None:
    with trace.stage("upstream"):
        raise UpstreamBusy("max_in_flight")


async def explained(
    head: RequestHead | Refusal,
    under: TracedPipeline | None = None,
    preview: object = no_preview,
) -> Explanation:
    """Explain a head, or why there is none."""

    async def read() -> RequestHead:
        if isinstance(head, Refusal):
            raise head
        return head

    under = under or traced(pipeline_for(OPEN, MINE, *PAGES, trusts_proxies=True), OPEN, MINE)
    parts = ExplainedRequest(under.trace, under.stages, preview, ())  # type: ignore[arg-type] # either of those above
    return await explain(read, parts, REQUEST)


async def test_a_request_that_is_admitted() -> None:
    """Its last stages are the fields and the upstream."""
    found = await explained(request_head(target="/open/x"))
    assert (StageVerdict.ADMITTED, "open", None, "", REQUEST) == (
        *(found.verdict, found.route, found.status, found.code, found.request),
    )
    assert ["fields", "upstream"] == [stage.stage for stage in found.stages[-2:]]
    assert {"method": "GET", "fields": 1} == found.stages[0].details


@pytest.mark.parametrize(
    ("head", "preview", "expected", "stage"),
    [
        pytest.param(BadRequest("head"), no_preview, (None, 400, "bad_request", "head"),
                     "request", id="no-head"),
        pytest.param(request_head(), no_preview, ("mine", 401, "unauthenticated",
                     "no_credential"), "credentials", id="no-credential"),
        pytest.param(request_head(target="/open"), busy, ("open", 503, "upstream_busy",
                     "max_in_flight"), "upstream", id="busy"),
        pytest.param(check(peer="203.0.113.9"), no_preview, ("gateway-verify", 403,
                     "untrusted_peer", ""), "decision", id="a-check-of-no-proxy"),
        pytest.param(check(uri="/_gateway/x"), no_preview, ("gateway-pages", 404, "no_route",
                     "the gateway's own pages are behind no other proxy"), "check", id="a-check"),
    ],
)  # fmt: skip
async def test_a_request_that_is_refused(
    head: RequestHead | Refusal,
    preview: object,
    expected: tuple[str | None, int, str, str],
    stage: str,
) -> None:
    """The stage that refused it says so."""
    found = await explained(head, preview=preview)
    assert StageVerdict.REFUSED == found.verdict
    assert expected == (found.route, found.status, found.code, found.reason)
    [refused] = [each.stage for each in found.stages if each.verdict is StageVerdict.REFUSED]
    assert stage == refused
    assert "" == found.unreached


async def test_a_browser_that_is_sent_to_sign_in() -> None:
    """The stage that refused it comes first, and then where it is sent."""
    under = traced(pipeline_for(MINE), MINE)
    origin = f"https://{HOST}"
    login = LoginPage(origin, "/_gateway", ReturnTo(origin, "/_gateway", ()))
    under = under._replace(stages=replace(under.stages, login=login))
    found = await explained(request_head(("Accept", "text/html"), target="/x"), under)
    assert (302, "sign_in_first") == (found.status, found.code)
    assert "/_gateway/login?return_to=/x" == found.stages[-1].details["location"]


async def test_a_check_that_may_pass_is_answered() -> None:
    """By the gateway itself."""
    found = await explained(check(uri="/open/x"))
    assert (StageVerdict.ANSWERED, 200, "open") == (found.verdict, found.status, found.route)
    assert "Cache-Control" in found.stages[-1].details["fields"]


async def test_what_was_not_reached_is_told() -> None:
    """Such as Magic."""
    found = await explained(MagicUnavailable("slow"))
    assert (503, "slow") == (found.status, found.unreached)

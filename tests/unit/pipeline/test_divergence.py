"""What counts as a divergence between two configs."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.errors import Forbidden, Refusal, SignInFirst, Unauthenticated
from gateway.core.reasons import ForbiddenReason
from gateway.core.request import Client, Outbound, Reply, Target
from gateway.pipeline.divergence import Decision, Divergence, divergence
from gateway.routing.client_address import client_at, parse_address
from tests.fakes.pipelines import PRIVATE, PUBLIC
from tests.fakes.ports import SESSION_IDENTITY

CLIENT: Client = client_at(parse_address("203.0.113.9"))
OUTBOUND = Outbound(
    PRIVATE, "GET", Target("/x", "/x?y", False), b"A: 1\r\nB: 2\r\n", SESSION_IDENTITY, CLIENT
)
ADMITTED = Decision("private", OUTBOUND)
REFUSED = Decision("private", Unauthenticated())
PREFLIGHT = Decision("private", Reply(204, (), b""))


def _admitted(**changes: Any) -> Decision:
    return Decision("private", OUTBOUND._replace(**changes))


@pytest.mark.parametrize(
    ("live", "candidate", "expected"),
    [
        pytest.param(ADMITTED, _admitted(), None, id="alike"),
        pytest.param(ADMITTED, _admitted(fields=b"B: 2\r\nA: 1\r\n"), None, id="order-of-fields"),
        pytest.param(
            ADMITTED,
            _admitted(fields=OUTBOUND.fields + b"X-Asserted: y\r\n"),
            None,
            id="fields-that-differ-each-time",
        ),
        pytest.param(
            ADMITTED,
            _admitted(fields=OUTBOUND.fields + b"x_Asserted: y\r\n"),
            None,
            id="of-which-a-client-has-sent-one-by-another-spelling",
        ),
        pytest.param(REFUSED, Decision("private", Unauthenticated("other")), None, id="refused"),
        pytest.param(PREFLIGHT, PREFLIGHT, None, id="answered"),
        pytest.param(REFUSED, ADMITTED, Divergence.WOULD_ADMIT, id="would-admit"),
        pytest.param(REFUSED, PREFLIGHT, Divergence.WOULD_ADMIT, id="would-answer"),
        pytest.param(ADMITTED, REFUSED, Divergence.WOULD_REFUSE, id="would-refuse"),
        pytest.param(PREFLIGHT, REFUSED, Divergence.WOULD_REFUSE, id="would-refuse-a-preflight"),
        pytest.param(
            REFUSED,
            Decision("private", Forbidden(ForbiddenReason.ROLE_MISSING)),
            Divergence.OTHER_ANSWER,
            id="another-refusal",
        ),
        pytest.param(
            REFUSED,
            Decision("private", SignInFirst("", "/login")),
            Divergence.OTHER_ANSWER,
            id="a-login-page",
        ),
        pytest.param(PREFLIGHT, ADMITTED, Divergence.OTHER_ANSWER, id="the-app-answers"),
        pytest.param(
            REFUSED, REFUSED._replace(route="rest"), Divergence.OTHER_ROUTE, id="refused-elsewhere"
        ),
        pytest.param(ADMITTED, _admitted(identity=None), Divergence.OTHER_IDENTITY, id="anonymous"),
        pytest.param(
            ADMITTED,
            _admitted(identity=replace(SESSION_IDENTITY, roles=("admin",))),
            Divergence.OTHER_IDENTITY,
            id="other-roles",
        ),
        pytest.param(
            ADMITTED,
            _admitted(identity=replace(SESSION_IDENTITY, permissions=("write",))),
            Divergence.OTHER_IDENTITY,
            id="other-permissions",
        ),
        pytest.param(ADMITTED, _admitted(route=PUBLIC), Divergence.OTHER_ROUTE, id="other-route"),
        pytest.param(
            ADMITTED,
            _admitted(route=replace(PRIVATE, upstream="other")),
            Divergence.OTHER_UPSTREAM,
            id="other-upstream",
        ),
        pytest.param(
            ADMITTED,
            _admitted(target=Target("/z", "/z", False)),
            Divergence.OTHER_TARGET,
            id="other-target",
        ),
        pytest.param(
            ADMITTED, _admitted(fields=b"A: 1\r\n"), Divergence.OTHER_FIELDS, id="other-fields"
        ),
    ],
)
def test_what_differs_first(
    live: Decision, candidate: Decision, expected: Divergence | None
) -> None:
    """The verdict matters more than the caller, and that more than the way to the app."""
    assert expected == divergence(live, candidate, {b"x-asserted"})


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (ADMITTED, "admitted to app by route private"),
        (PREFLIGHT, "answered 204 by route private"),
        (REFUSED._replace(route=""), "refused 401 unauthenticated"),
    ],
)
def test_a_decision_in_words(decision: Decision, expected: str) -> None:
    """None of them is written by a client."""
    assert expected == decision.text


def test_every_kind_is_told() -> None:
    """The texts are label values of a metric."""
    assert isinstance(REFUSED.outcome, Refusal)
    assert all(kind.isidentifier() for kind in Divergence)

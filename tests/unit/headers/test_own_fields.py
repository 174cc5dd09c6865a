"""Fields that the gateway writes in place of the app's."""

import pytest

from gateway.core.limit import AnswerLimits
from gateway.core.request import Outbound, Target
from gateway.core.route import Route
from gateway.headers.own_fields import with_own_fields
from tests.fakes.heads import request_head

CORS, LIMITS = b"Access-Control-Allow-Origin: *\r\n", b'RateLimit: "a";r=1;t=2\r\n'
APP = b"A: b\r\naccess-control-max-age: 5\r\nRATELIMIT: app\r\n"


@pytest.mark.parametrize(
    ("cors", "limits", "expected"),
    [
        pytest.param(b"", None, APP, id="none"),
        pytest.param(b"", AnswerLimits(), APP, id="nothing-to-tell"),
        pytest.param(CORS, None, b"A: b\r\nRATELIMIT: app\r\n" + CORS, id="cors"),
        pytest.param(
            b"",
            AnswerLimits(LIMITS),
            b"A: b\r\naccess-control-max-age: 5\r\n" + LIMITS,
            id="limits",
        ),
        pytest.param(CORS, AnswerLimits(LIMITS), b"A: b\r\n" + CORS + LIMITS, id="both"),
    ],
)
def test_the_gateways_fields_replace_the_apps(
    cors: bytes, limits: AnswerLimits | None, expected: bytes
) -> None:
    """Of each kind that the gateway writes; where the app wrote none, they are added."""
    target, route = Target("/", "/", has_encoded_slash=False), Route("r", "/*", "app")
    outbound = Outbound(route, "GET", target, b"", None, request_head().peer, cors, limits)
    assert expected == with_own_fields(APP, outbound)
    added = with_own_fields(b"A: b\r\n", outbound, has_cors=False, has_limits=False)
    assert b"A: b\r\n" + cors + (b"" if limits is None else limits.lines) == added

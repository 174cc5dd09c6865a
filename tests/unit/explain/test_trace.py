"""Traces of stages, and what is made of them."""

import pytest

from gateway.core.errors import Forbidden, NoRoute
from gateway.core.reasons import ForbiddenReason
from gateway.explain.trace import Explanation, StageTrace, StageVerdict, Trace


def test_a_stage_is_noted_however_it_ends() -> None:
    """With the details that were found until then."""
    trace = Trace()
    with trace.stage("route") as details:
        details["route"] = "all"
    with pytest.raises(Forbidden):
        _refuse(trace)
    told = {"code": "forbidden", "reason": "denied", "meaning": ForbiddenReason.DENIED.meaning}
    assert [
        StageTrace("route", StageVerdict.PASSED, {"route": "all"}),
        StageTrace("rules", StageVerdict.REFUSED, {**told, "rules": []}),
    ] == trace.stages


def _refuse(trace: Trace) -> None:
    with trace.stage("rules") as details:
        details["rules"] = []
        raise Forbidden(ForbiddenReason.DENIED)


def test_a_refusal_without_a_reason_has_a_code_alone() -> None:
    """There is nothing more to say."""
    trace = Trace()
    trace.refused("route", NoRoute())
    assert [{"stage": "route", "verdict": "refused", "code": "no_route"}] == [
        stage.as_json() for stage in trace.stages
    ]


def test_an_explanation_is_a_document() -> None:
    """The answer, and an entry for each stage."""
    stage = StageTrace("target", StageVerdict.PASSED, {"raw": "/"})
    found = Explanation("all", StageVerdict.ADMITTED, None, "", "", {"url": "/"}, (stage,), ("n",))
    assert {
        "route": "all",
        "verdict": "admitted",
        "status": None,
        "code": "",
        "reason": "",
        "request": {"url": "/"},
        "stages": [{"stage": "target", "verdict": "passed", "raw": "/"}],
        "notes": ["n"],
        "unreached": "",
    } == found.as_json()

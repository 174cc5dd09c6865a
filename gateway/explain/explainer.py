"""Runs a request through the traced stages, and says what came of it."""

from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple

from gateway.core.errors import KeysUnavailable, MagicUnavailable, Refusal, SignInFirst
from gateway.core.problem import problem_of
from gateway.core.record import RequestRecord
from gateway.core.request import Outbound, Reply, RequestHead
from gateway.explain.stages import TracedStages
from gateway.explain.trace import Details, Explanation, StageVerdict, Trace, code_and_reason
from gateway.explain.written import field_report
from gateway.pipeline.request import RequestPipeline

UNREACHED = (KeysUnavailable, MagicUnavailable)
"""Refusals that tell of a server that was not reached from here."""

Preview = Callable[[Outbound, Trace], None]
"""Notes the upstream and the server of an admitted request."""


class ExplainedRequest(NamedTuple):
    """A request, and the parts that explain it."""

    trace: Trace
    stages: TracedStages
    preview: Preview
    hidden: Collection[str]
    """Names of header fields, in lower case, whose values must not be shown."""


async def explain(
    read: Callable[[], Awaitable[RequestHead]], parts: ExplainedRequest, request: Details
) -> Explanation:
    """Explain the request that ``read`` returns, or refuses."""
    trace, record = parts.trace, RequestRecord()
    try:
        with trace.stage("request") as details:
            head = await read()
            details |= {"method": head.method, "fields": len(head.lines.names)}
        admitted = await RequestPipeline(parts.stages).admit(head, record)
    except Refusal as refusal:
        return _refused(refusal, trace, record, request)
    if isinstance(admitted, Reply):
        return _answered(admitted, trace, record, request)
    sent = field_report(head.lines, admitted.fields, parts.hidden)
    trace.passed("fields", **sent._asdict())
    try:
        parts.preview(admitted, trace)
    except Refusal as refusal:
        return _refused(refusal, trace, record, request)
    return Explanation(
        record.route, StageVerdict.ADMITTED, None, "", "", request, tuple(trace.stages)
    )


def _refused(
    refusal: Refusal, trace: Trace, record: RequestRecord, request: Details
) -> Explanation:
    if all(stage.verdict is not StageVerdict.REFUSED for stage in trace.stages):
        trace.refused("check" if record.checked else "decision", refusal)
    if isinstance(refusal, SignInFirst):
        trace.passed("login", location=refusal.location)
    told = code_and_reason(refusal)
    return Explanation(
        record.route or None,
        StageVerdict.REFUSED,
        problem_of(refusal).status,
        told["code"],
        told.get("reason", ""),
        request,
        tuple(trace.stages),
        unreached=refusal.reason if isinstance(refusal, UNREACHED) else "",
    )


def _answered(reply: Reply, trace: Trace, record: RequestRecord, request: Details) -> Explanation:
    names = [name for name, _ in reply.fields]
    trace.passed("answer", fields=names)
    return Explanation(
        record.route, StageVerdict.ANSWERED, reply.status, "", "", request, tuple(trace.stages)
    )

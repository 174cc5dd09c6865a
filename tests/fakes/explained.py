"""Pipelines over recording ports whose stages take down what they find."""

from dataclasses import fields
from typing import NamedTuple

from gateway.core.errors import Refusal
from gateway.core.identity import Identity
from gateway.core.record import RequestRecord
from gateway.core.request import Client, Outbound, Reply, RequestHead
from gateway.core.route import Route
from gateway.explain.credentials import CredentialVerdicts, TracedAuthenticator
from gateway.explain.hops import HopRecorder
from gateway.explain.stages import (
    ChargeRecorder,
    RecordingLeases,
    RecordingLimiter,
    TracedAuthoriser,
    TracedLimits,
    TracedStages,
)
from gateway.explain.trace import Details, Trace
from gateway.pipeline.request import RequestPipeline
from gateway.pipeline.stages import Stages
from gateway.ratelimit.lists import LimitLists
from tests.fakes.pipelines import PipelineUnderTest


class TracedPipeline(NamedTuple):
    """A pipeline, and what its stages have taken down."""

    stages: TracedStages
    trace: Trace

    async def outcome(self, head: RequestHead) -> Outbound | Reply | Refusal:
        """Run the pipeline."""
        try:
            return await RequestPipeline(self.stages).admit(head, RequestRecord())
        except Refusal as refusal:
            return refusal

    def told(self, stage: str) -> Details:
        """Return what one stage has told, with its verdict."""
        [found] = [each for each in self.trace.stages if each.stage == stage]
        return found.as_json()

    def names(self) -> list[str]:
        """Return the stages that ran, in order."""
        return [each.stage for each in self.trace.stages]


def traced(
    under_test: PipelineUnderTest,
    *routes: Route,
    assumed: Identity | None = None,
    lists: LimitLists | None = None,
) -> TracedPipeline:
    """Return the pipeline of a test with traced stages; ``routes`` are its routes."""
    stages, trace, charges = under_test.pipeline.stages, Trace(), ChargeRecorder()
    verdicts, given = CredentialVerdicts(assumed), stages.authoriser
    known = {each.name: getattr(stages, each.name) for each in fields(Stages)}
    known["limits"] = TracedLimits(
        RecordingLimiter(stages.limits.limiter, charges),
        RecordingLeases(stages.limits.leases, charges),
        stages.limits.tells_always,
        lists or LimitLists(),
        trace,
        charges,
    )
    known["authenticator"] = TracedAuthenticator(stages.authenticator, trace, verdicts, _no_block)
    known["authoriser"] = TracedAuthoriser(given.grants, given.store, given.permitted, trace=trace)
    hops = HopRecorder(())
    return TracedPipeline(
        TracedStages(
            **known, trace=trace, hops=hops, routes=routes, is_assumed=assumed is not None
        ),
        trace,
    )


async def _no_block(_client: Client) -> None:
    """Block no client."""

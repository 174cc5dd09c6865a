"""
Sending a request, and when it is retried.

A request is retried only if no app has acted on it, or acting twice is the same as once (RFC 9110
section 9.2.2): it was never sent, or it is idempotent, has no body, and nothing was answered yet.
"""

from typing import Protocol

from gateway.core.errors import (
    BadUpstreamAnswer,
    Refusal,
    UpstreamBusy,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.core.record import RequestRecord
from gateway.core.request import Outbound
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.upstream import Upstream, UpstreamServer
from gateway.util.tracebacks import forget_frames

_SWITCHING_PROTOCOLS = 101
_FAILURES = UpstreamUnreachable | UpstreamTimeout | BadUpstreamAnswer
_BREAKS = UpstreamUnreachable | BadUpstreamAnswer
"""Failures in the middle of an answer. Silence is none: event streams may be silent."""


class RetryableRequest(Protocol):
    """A request that can be sent to a server."""

    @property
    def outbound(self) -> Outbound:
        """The admitted request."""

    @property
    def record(self) -> RequestRecord:
        """What is known of it; the server that was tried last is noted there."""

    @property
    def may_repeat(self) -> bool:
        """Whether the method is idempotent."""

    def is_untouched(self) -> bool:
        """Return whether there is no body to send, and the client has been sent nothing."""

    def was_broken_off(self) -> bool:
        """Return whether the app broke off the body of its answer, of its own accord."""

    async def send(self, connection: UpstreamConnection, server: UpstreamServer) -> int:
        """
        Send the request and stream the answer; return its status.

        Gives the connection back in any case. Raises the `Refusal` that ended the exchange.
        """


async def send_with_retries(work: RetryableRequest, upstream: Upstream) -> None:
    """
    Send ``work`` to a server of ``upstream``, and retry where that is allowed.

    Raises the `Refusal` that ended it; if the client has been sent a head by then, the caller must
    break the connection instead of answering.
    """
    outbound = work.outbound
    server = upstream.enter(outbound)
    may_repeat, client = work.may_repeat, outbound.client.limit_key
    tries: _RetryState | None = None
    while True:
        member, connection = server.member, None
        work.record.upstream_server = member.name
        member.in_flight += 1
        try:
            if tries is None or not tries.needs_new:
                connection = server.pool.take_idle(client, may_repeat=may_repeat)
            if connection is None:
                connection = await server.pool.open(
                    client,
                    outbound.route.timeouts.connect_s,
                    may_repeat=may_repeat,
                    needs_new=tries is not None and tries.needs_new,
                )
            status = await work.send(connection, server)
            if (
                upstream.is_watching and status != _SWITCHING_PROTOCOLS
            ):  # recorded when the tunnel began
                upstream.answered(server, status)
        except Refusal as refusal:
            forget_frames(refusal)
            tries = tries or _RetryState(work, upstream)
            again = tries.after(server, connection, refusal)
            if again is None:
                upstream.add_server_name(server, refusal)
                raise
            server = again
        else:
            return
        finally:
            member.in_flight -= 1


class _RetryState:
    """The tries of one request; made when the first one fails."""

    def __init__(self, work: RetryableRequest, upstream: Upstream) -> None:
        self._work = work
        self._upstream = upstream
        self._tried: list[UpstreamServer] = []
        self.needs_new = False
        """Whether the next try takes a new connection."""

    def after(
        self,
        server: UpstreamServer,
        connection: UpstreamConnection | None,
        refusal: Refusal,
    ) -> UpstreamServer | None:
        """Return the server to try after ``refusal``; None to give up."""
        if connection is None:
            return self._after_no_connection(server, refusal)
        if connection.has_answered or not isinstance(refusal, _FAILURES):
            if isinstance(refusal, _BREAKS) and self._work.was_broken_off():
                self._upstream.failed(server)
            return None
        is_lost = isinstance(refusal, UpstreamUnreachable)
        may_send = is_lost and self._work.may_repeat and self._work.is_untouched()
        if is_lost and connection.idle_since_s:
            # The app closed a kept connection as it was used: not a failure of the server, and the
            # request may be sent again on a new connection (RFC 9112 section 9.3.1).
            self.needs_new = True
            return server if may_send else None
        self._upstream.failed(server)
        return self._elsewhere(server) if may_send else None

    def _after_no_connection(
        self, server: UpstreamServer, refusal: Refusal
    ) -> UpstreamServer | None:
        """Choose another server: nothing was sent, and the same one would fail again."""
        if isinstance(refusal, UpstreamBusy):
            self._upstream.was_busy(server, refusal, self._work.outbound.client)
        else:
            self._upstream.failed(server)
        if len(self._upstream.servers) <= len(self._tried) + 1:
            return None
        return self._elsewhere(server)

    def _elsewhere(self, server: UpstreamServer) -> UpstreamServer | None:
        self._tried.append(server)
        self.needs_new = False
        return self._upstream.enter_again(self._work.outbound, self._tried)

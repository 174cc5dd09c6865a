"""
Tunnels: after a 101, bytes are forwarded in both directions until a peer or the gateway ends it.

After the 101 each transport gets a small protocol of its own in place of the HTTP protocol. Each
side is read only as fast as the other takes it. The gateway reads no messages; it tracks the frames
of a WebSocket towards the client, so that it can send a Close frame between two of them.
"""

import asyncio
from typing import Protocol, cast

from gateway.core.identity import Identity
from gateway.proxy.http1.close import reset
from gateway.proxy.tunnel.registry import CLOSED, IDLE, TunnelEnd
from gateway.proxy.tunnel.websocket import FrameScanner, close_frame
from gateway.revocation.epoch import subject_of

_BOUNDARY_WAIT_S = 0.25
"""How long an incomplete frame may take to end before the tunnel closes in its middle."""


class TransportOwner(Protocol):
    """The HTTP protocol of a connection: it leads to the tunnel, and closes after it."""

    transport: asyncio.Transport | None

    @property
    def writing_paused(self) -> bool:
        """Whether the peer does not keep up."""

    def pause_writing(self) -> None:
        """Note that the peer does not keep up."""

    def resume_writing(self) -> None:
        """Note that the peer keeps up again."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note that the connection is lost."""


class ClientOwner(TransportOwner, Protocol):
    """That of the client's connection, which takes it back after a tunnel."""

    def tunnel_ended(self, *, has_client_ended: bool) -> None:
        """Take the connection back; ``has_client_ended``: the client sends nothing more."""


class TunnelSide(asyncio.Protocol):
    """One side of a tunnel: what arrives here is written to the other side."""

    __slots__ = (
        "bytes_in",
        "error",
        "has_ended",
        "is_lost",
        "other",
        "owner",
        "transport",
        "tunnel",
        "writing_paused",
    )

    other: "TunnelSide"
    tunnel: "Tunnel"

    def __init__(self, owner: TransportOwner, transport: asyncio.Transport) -> None:
        self.owner = owner
        self.transport = transport
        self.bytes_in = 0
        self.has_ended = False
        """Whether the peer will send nothing more."""
        self.is_lost = False
        self.error: BaseException | None = None
        self.writing_paused = False

    # --- between the connection's own protocol and back ----------------------------------------

    def attach(self) -> None:
        """Receive the events of the connection from now on."""
        self.transport.set_protocol(self)
        if self.owner.writing_paused:
            self.pause_writing()

    def detach(self) -> None:
        """Give the connection back to its owner, with its flow control; it must not be lost."""
        if self.writing_paused and not self.owner.writing_paused:
            self.owner.pause_writing()
        elif self.owner.writing_paused and not self.writing_paused:
            self.owner.resume_writing()
        self.transport.set_protocol(cast("asyncio.Protocol", self.owner))

    def forward_connection_lost(self) -> None:
        """Tell the owner that the connection was lost during the tunnel."""
        self.owner.connection_lost(self.error)

    def release(self) -> None:
        """Forget the tunnel, which has ended: the references would be a cycle."""
        del self.other, self.tunnel

    # --- events --------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.tunnel.is_ending:
            return
        self.forward(data)

    def forward(self, data: bytes) -> None:
        """Write to the other side."""
        self.tunnel.has_moved = True
        self.bytes_in += len(data)
        try:
            self.other.transport.write(data)
        except RuntimeError:  # uvloop raises it for a transport that has just closed
            return

    def pause_writing(self) -> None:
        self.writing_paused = True
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        self.writing_paused = False
        if not (self.tunnel.is_ending or self.other.has_ended):
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        self.has_ended = True
        self.tunnel.side_ended(self)
        return self.transport.can_write_eof()  # with TLS, True would make the event loop warn

    def connection_lost(self, exc: BaseException | None) -> None:
        self.is_lost, self.error = True, exc
        self.tunnel.side_lost(self)


class WebSocketSide(TunnelSide):
    """The app's side of a WebSocket."""

    __slots__ = ("frames",)

    def __init__(self, owner: TransportOwner, transport: asyncio.Transport) -> None:
        super().__init__(owner, transport)
        self.frames = FrameScanner()

    def data_received(self, data: bytes) -> None:
        if not self.tunnel.is_ending:
            self.frames.feed(data)
            self.forward(data)
        elif not self.frames.is_between:
            self.forward(data[: self.frames.feed_to_boundary(data)])
            if self.frames.is_between:
                self.tunnel.send_close()


class Tunnel:
    """Two connections whose bytes are forwarded to each other."""

    def __init__(
        self,
        client: TunnelSide,
        app: TunnelSide,
        loop: asyncio.AbstractEventLoop,
        idle_s: float,
        identity: Identity | None,
    ) -> None:
        self._client, self._app = client, app
        client.other, app.other = app, client
        client.tunnel = app.tunnel = self
        self._frames = app.frames if isinstance(app, WebSocketSide) else None
        self._loop = loop
        self._idle_s = idle_s
        self._idle_from_s = loop.time()
        self._ended: asyncio.Future[None] = loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self.session_key = identity.session_key if identity else None
        self.expires_at_ms = identity.expires_at_ms if identity else None
        self.issuer = subject_of(identity) if identity else None
        self.proven_at_ms = identity.proven_at_ms if identity else 0
        self.ending = CLOSED
        self.is_ending = False
        """Whether no new bytes are forwarded."""
        self.has_moved = False

    @property
    def bytes_in(self) -> int:
        """Bytes that the client has sent."""
        return self._client.bytes_in

    @property
    def bytes_out(self) -> int:
        """Bytes that the app has sent."""
        return self._app.bytes_in

    async def run(self, early: bytes, tail: bytes) -> None:
        """Forward bytes until the end, beginning with what both sides have sent already."""
        self._client.attach()
        self._app.attach()
        try:
            for side, data in ((self._app, tail), (self._client, early)):
                if data:
                    side.data_received(data)
                if not side.other.writing_paused:
                    side.transport.resume_reading()
            await self._ended
        finally:
            self._detach_sides()
            self._client.release()
            self._app.release()

    # --- how it ends ---------------------------------------------------------------------------

    def check_idle(self, loop_now_s: float) -> None:
        """End the tunnel if it was idle for too long; called periodically."""
        if self.has_moved:
            self.has_moved, self._idle_from_s = False, loop_now_s
        elif loop_now_s - self._idle_from_s >= self._idle_s:
            self.end(IDLE)

    def end(self, ending: TunnelEnd) -> None:
        """
        End the tunnel for a reason that a WebSocket client is told.

        An incomplete frame may end first, within a short time.
        """
        if self.is_ending:
            return
        self.is_ending, self.ending = True, ending
        self._client.transport.pause_reading()
        frames = self._frames
        if frames is None or frames.has_close:
            self.close()
        elif frames.is_between:
            self.send_close()
        else:
            self._timer = self._loop.call_later(_BOUNDARY_WAIT_S, self.close)

    def send_close(self) -> None:
        """Send a Close frame to the client, and end."""
        if not self._client.transport.is_closing():
            frame = close_frame(self.ending.close_code, self.ending.close_reason)
            self._client.transport.write(frame)
        self.close()

    def side_ended(self, side: TunnelSide) -> None:
        """Handle the end of one peer's input: the other may go on sending."""
        other = side.other
        if self._frames is not None and side is self._app:
            self.close()  # the app would not read what the client sends
        elif not other.has_ended and other.transport.can_write_eof():
            other.transport.write_eof()
        else:
            self._app.transport.close()  # both sides have ended: close when all is written

    def side_lost(self, side: TunnelSide) -> None:
        """Handle a lost connection; after a clean end, the app still gets what the client sent."""
        app = self._app
        if side is self._client and side.error is None and app.transport.get_write_buffer_size():
            app.transport.close()  # TLS has no half-closed connections; see `side_ended`
        else:
            self.close()

    def close(self) -> None:
        """End at once."""
        self.is_ending = True
        if self._timer is not None:
            self._timer.cancel()
        if not self._ended.done():
            self._ended.set_result(None)

    def _detach_sides(self) -> None:
        """
        Give the connections back, to be closed; a reset of one side resets the other.

        Not for a WebSocket, whose frames show whether all of it has come.
        """
        self.close()
        client, app = self._client, self._app
        is_broken = self._frames is None and (client.error or app.error) is not None
        if app.is_lost:
            app.forward_connection_lost()
        else:
            app.detach()
            reset(app.transport) if is_broken else app.transport.abort()
        if client.is_lost:
            self._loop.call_soon(
                client.forward_connection_lost
            )  # called now, it would cancel the task that runs this
            return
        client.detach()
        if is_broken:
            reset(client.transport)
        else:
            cast("ClientOwner", client.owner).tunnel_ended(has_client_ended=client.has_ended)

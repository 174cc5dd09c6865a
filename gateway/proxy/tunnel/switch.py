"""From a request to upgrade to the tunnel: the answer of the app decides."""

from time import perf_counter
from typing import NamedTuple, Protocol

from gateway.core.errors import Overloaded, UpstreamUnreachable
from gateway.core.identity import Identity
from gateway.core.record import RequestRecord
from gateway.core.request import Reply, RequestHead
from gateway.proxy.client_side import ClientSide
from gateway.proxy.downstream.reader import RequestReader
from gateway.proxy.downstream.server import ProxyServer, ServingConfig
from gateway.proxy.exchange import Exchange
from gateway.proxy.http1.close import ClientGone
from gateway.proxy.http1.framing import NO_BODY, BodyKind, Framing
from gateway.proxy.http1.parser import RawResponseMessage, StreamReader
from gateway.proxy.tunnel.tunnel import ClientOwner, Tunnel, TunnelSide, WebSocketSide
from gateway.proxy.tunnel.upgrade import Upgrade, check_switch, requested_upgrade
from gateway.proxy.upstream.connection import UpstreamConnection


class TunnelClient(ClientSide, ClientOwner, Protocol):
    """The client's connection, as a tunnel uses it."""

    serving: ServingConfig | None
    """The configuration of the request; a tunnel needs none, and may outlast many."""
    reader: RequestReader
    """It keeps what the client sends behind the request."""

    def answer(self, reply: Reply) -> None:
        """Send a reply of the gateway's own."""

    def read_on(self) -> None:
        """Parse what was kept, and read more."""


async def serve_upgrade(
    client: TunnelClient,
    server: ProxyServer,
    serving: ServingConfig,
    head: RequestHead,
    body: StreamReader,
    record: RequestRecord,
) -> None:
    """
    Forward a request to upgrade; return when the answer, or the tunnel, has ended.

    Any answer to it closes the connection: what the client sends after such a request must never be
    read as another request. Not so where the upgrade is ignored: the app never hears of it, so the
    client gets no 101. Raises the `Refusal` that ended it.
    """
    writer = client.writer
    will_close, writer.will_close = writer.will_close, True
    asked = requested_upgrade(head.method, head.version, head.headers)
    outbound = await serving.admit(head._replace(upgrade=asked.name), record)
    if isinstance(outbound, Reply):
        client.answer(outbound)
        return
    if outbound.route.ignores_upgrade(asked.name):
        writer.will_close = will_close
        client.reader.ignore_upgrade()
        client.read_on()
        await Exchange(client, outbound, NO_BODY, body, serving, record).run()
        return
    _refuse_too_many(server)
    framing = Framing(BodyKind.NONE, asked.fields)
    switch = _SwitchToTunnel(
        client, client.reader.early_data, server, asked, outbound.identity, record, head.request_id
    )
    exchange = Exchange(client, outbound, framing, body, serving, record, switch.tunnel)
    del serving
    await exchange.run()


def _refuse_too_many(server: ProxyServer) -> None:
    if len(server.tunnels) >= server.limits.tunnels:
        raise Overloaded("server.max.tunnels")


class _SwitchToTunnel(NamedTuple):
    """Turns the two connections into a tunnel when the app answers 101."""

    client: TunnelClient
    early_data: bytes
    server: ProxyServer
    asked: Upgrade
    identity: Identity | None
    record: RequestRecord
    request_id: str

    async def tunnel(
        self, upstream: UpstreamConnection, message: RawResponseMessage, head: bytes, idle_s: float
    ) -> None:
        """
        Run the tunnel; ``head`` is without the fields of this hop.

        Raises `BadUpstreamAnswer`, `ClientGone`.
        """
        client, server = self.client, self.server
        check_switch(self.asked, message.version, message.headers)
        if client.transport is None or client.transport.is_closing():
            raise ClientGone
        if upstream.transport is None:
            raise UpstreamUnreachable("closed after its 101")
        _refuse_too_many(server)  # the limit may have been reached while the app took its time
        is_websocket = bool(self.asked.accept)
        tunnel = Tunnel(
            TunnelSide(client, client.transport),
            (WebSocketSide if is_websocket else TunnelSide)(upstream, upstream.transport),
            server.loop,
            idle_s,
            self.identity,
        )
        client.serving = None
        request_id = f"X-Request-Id: {self.request_id}\r\n\r\n".encode("ascii")
        client.writer.switch_protocols(message.code, head + self.asked.fields + request_id)
        server.tunnels.add(tunnel)
        begun_s = perf_counter()
        try:
            await tunnel.run(self.early_data, upstream.tail)
        finally:
            server.tunnels.forget(tunnel, tunnel.ending)
            client.writer.bytes_out += tunnel.bytes_out
            self.record.tunnel = tunnel.ending.reason
            self.record.bytes_in = tunnel.bytes_in
            self.record.tunnel_s = perf_counter() - begun_s

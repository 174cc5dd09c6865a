"""A tunnel between two fake transports: orders of events that sockets hide."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import NamedTuple

import pytest

from gateway.core.identity import Identity
from gateway.proxy.tunnel.registry import (
    CLOSED,
    DRAINED,
    IDLE,
    REVOKED,
)
from gateway.proxy.tunnel.tunnel import Tunnel, TunnelSide, WebSocketSide
from tests.fakes.ports import SESSION_IDENTITY
from tests.fakes.transport import FakeTransport

GOODBYE = b"\x88\x0f\x03\xf0session ended"
HALF, REST, NEXT = b"\x82\x05he", b"llo", b"\x82\x01x"


class FakeOwner:
    """A connection's own protocol."""

    def __init__(self, transport: FakeTransport) -> None:
        self.transport: asyncio.Transport | None = transport
        self.writing_paused = False
        self.told: list[object] = []

    def pause_writing(self) -> None:
        self.writing_paused = True

    def resume_writing(self) -> None:
        self.writing_paused = False

    def connection_lost(self, exc: BaseException | None) -> None:
        self.told.append(("lost", exc))

    def tunnel_ended(self, *, has_client_ended: bool) -> None:
        self.told.append(("back", has_client_ended))


class Ends(NamedTuple):
    """A tunnel and what it stands between."""

    tunnel: Tunnel
    client: FakeTransport
    app: FakeTransport
    client_owner: FakeOwner
    app_owner: FakeOwner
    running: asyncio.Task[None]

    async def over(self) -> None:
        """Wait for the end."""
        async with asyncio.timeout(20):
            await self.running
            await asyncio.sleep(0)


async def opened(*, is_websocket: bool, identity: Identity | None = None) -> Ends:
    """A tunnel that runs."""
    client, app = FakeTransport(), FakeTransport()
    owners = FakeOwner(client), FakeOwner(app)
    tunnel = Tunnel(
        TunnelSide(owners[0], client),
        (WebSocketSide if is_websocket else TunnelSide)(owners[1], app),
        asyncio.get_running_loop(),
        10.0,
        identity,
    )
    running = asyncio.create_task(tunnel.run(b"early", b"\x82\x00"))
    await asyncio.sleep(0)
    return Ends(tunnel, client, app, *owners, running)


@pytest.fixture
async def chat() -> AsyncIterator[Ends]:
    """A tunnel of no known protocol."""
    ends = await opened(is_websocket=False)
    yield ends
    ends.tunnel.close()
    await ends.over()


@pytest.fixture
async def socket() -> AsyncIterator[Ends]:
    """A WebSocket of a session."""
    ends = await opened(is_websocket=True, identity=SESSION_IDENTITY)
    yield ends
    ends.tunnel.close()
    await ends.over()


async def test_what_was_sent_before_comes_first(socket: Ends) -> None:
    """Both ends read on; bytes are counted either way."""
    assert b"early" == socket.app.written
    assert b"\x82\x00" == socket.client.written
    assert socket.client.is_reading_now
    assert socket.app.is_reading_now
    socket.client.protocol.data_received(b", late")
    assert b"early, late" == socket.app.written
    assert (11, 2) == (socket.tunnel.bytes_in, socket.tunnel.bytes_out)


async def test_who_is_slow_slows_the_other_down(chat: Ends) -> None:
    """Only the end that the slow one is sent from, and only for as long."""
    chat.client.protocol.pause_writing()
    assert (False, True) == (chat.app.is_reading_now, chat.client.is_reading_now)
    chat.client.protocol.resume_writing()
    assert chat.app.is_reading_now


async def test_a_client_that_was_slow_before(chat: Ends) -> None:
    """What the connection's own protocol knows goes along, there and back."""
    client, app = FakeTransport(), FakeTransport()
    owners = FakeOwner(client), FakeOwner(app)
    owners[0].writing_paused = True
    loop = asyncio.get_running_loop()
    tunnel = Tunnel(TunnelSide(owners[0], client), TunnelSide(owners[1], app), loop, 10.0, None)
    running = asyncio.create_task(tunnel.run(b"", b""))
    await asyncio.sleep(0)
    assert not app.is_reading_now
    client.protocol.resume_writing()
    app.protocol.pause_writing()
    tunnel.end(DRAINED)
    await running
    assert (False, True) == (owners[0].writing_paused, owners[1].writing_paused)
    assert client.protocol is owners[0]


async def test_a_frame_that_is_under_way_ends_first(socket: Ends) -> None:
    """Then the Close, and nothing of the next frame; the client is heard no more."""
    socket.app.protocol.data_received(HALF)
    socket.tunnel.end(REVOKED)
    socket.client.protocol.data_received(b"too late")
    socket.app.protocol.data_received(REST + NEXT)
    socket.app.protocol.data_received(NEXT)
    await socket.over()
    assert b"\x82\x00" + HALF + REST + GOODBYE == socket.client.written
    assert b"early" == socket.app.written
    assert ["abort"] == socket.app.done
    assert [("back", False)] == socket.client_owner.told
    assert REVOKED == socket.tunnel.ending


async def test_a_frame_that_does_not_end_is_cut_off(
    socket: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No Close can follow half a frame."""
    monkeypatch.setattr("gateway.proxy.tunnel.tunnel._BOUNDARY_WAIT_S", 0.01)
    socket.app.protocol.data_received(HALF)
    socket.tunnel.end(REVOKED)
    assert not socket.running.done()
    await socket.over()
    assert b"\x82\x00" + HALF == socket.client.written


async def test_an_app_that_said_close_has_said_it(socket: Ends) -> None:
    """A second Close would be one too many."""
    socket.app.protocol.data_received(b"\x88\x02\x03\xe8")
    socket.tunnel.end(REVOKED)
    await socket.over()
    assert b"\x82\x00\x88\x02\x03\xe8" == socket.client.written


async def test_it_ends_once(socket: Ends) -> None:
    """The first reason is the reason."""
    socket.tunnel.end(REVOKED)
    socket.tunnel.end(DRAINED)
    await socket.over()
    assert socket.client.written.endswith(GOODBYE)
    assert REVOKED == socket.tunnel.ending


async def test_what_moves_is_not_idle(chat: Ends) -> None:
    """The time counts from the last check that saw bytes."""
    now_s = asyncio.get_running_loop().time()
    chat.tunnel.check_idle(now_s)
    chat.tunnel.check_idle(now_s + 9.9)
    chat.app.protocol.data_received(b"x")
    chat.tunnel.check_idle(now_s + 15)
    chat.tunnel.check_idle(now_s + 24.9)
    assert not chat.tunnel.is_ending
    chat.tunnel.check_idle(now_s + 25)
    await chat.over()
    assert IDLE == chat.tunnel.ending


async def test_half_closed_one_after_the_other(chat: Ends) -> None:
    """Each end is told of the other's; after both, what is left is sent, and it is over."""
    chat.client.protocol.eof_received()
    assert ["write_eof"] == chat.app.done
    chat.app.protocol.resume_writing()
    chat.app.protocol.eof_received()
    assert ["write_eof", "close"] == chat.app.done
    assert not chat.running.done()
    chat.app.protocol.connection_lost(None)
    await chat.over()
    assert [("lost", None)] == chat.app_owner.told
    assert [("back", True)] == chat.client_owner.told
    assert CLOSED == chat.tunnel.ending


@pytest.mark.parametrize("can_half_close", [True, False])
async def test_only_what_can_be_half_closed_stays_open(chat: Ends, can_half_close: bool) -> None:
    """With TLS a peer that ends its side ends both: each would be a warning of the event loop."""
    chat.client.can_half_close = can_half_close
    assert can_half_close is chat.client.protocol.eof_received()


async def test_an_app_that_ends_a_websocket_ends_it(socket: Ends) -> None:
    """Nothing that the client could still say is heard."""
    socket.app.protocol.eof_received()
    await socket.over()
    assert [("back", False)] == socket.client_owner.told


async def test_a_client_that_left_cleanly_is_heard_out(chat: Ends) -> None:
    """TLS has no half-closed connections: what it said is still on its way to the app."""
    chat.app.unsent_bytes = 5
    chat.client.protocol.connection_lost(None)
    assert ["close"] == chat.app.done
    chat.app.protocol.data_received(b"to nobody")
    chat.app.protocol.connection_lost(None)
    await chat.over()
    assert [("lost", None)] == chat.client_owner.told


async def test_what_breaks_on_one_side_breaks_on_the_other(chat: Ends) -> None:
    """Only a reset tells that the end is not the end."""
    error = ConnectionResetError()
    chat.client.protocol.connection_lost(error)
    await chat.over()
    assert ["reset", "abort"] == chat.app.done
    assert [("lost", error)] == chat.client_owner.told


async def test_an_app_that_breaks(chat: Ends) -> None:
    """Likewise."""
    chat.app.protocol.connection_lost(ConnectionResetError())
    await chat.over()
    assert ["reset", "abort"] == chat.client.done


async def test_writing_to_what_closed_just_now(chat: Ends) -> None:
    """Is no fault: its end is told in a moment."""
    chat.app.done.append("abort")
    chat.client.protocol.data_received(b"x")
    assert b"early" == chat.app.written


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_a_tunnel_whose_task_ends(is_cancelled: bool) -> None:
    """Both connections are given back, after any kind of end."""
    identity = replace(SESSION_IDENTITY, session_key="session:7")
    ends = await opened(is_websocket=True, identity=identity)
    assert ("session:7", SESSION_IDENTITY.expires_at_ms, SESSION_IDENTITY.user.issuer) == (
        ends.tunnel.session_key,
        ends.tunnel.expires_at_ms,
        ends.tunnel.issuer,
    )
    if is_cancelled:
        ends.running.cancel()
    else:
        ends.tunnel.close()
    await asyncio.wait([ends.running])
    assert ["abort"] == ends.app.done
    assert ends.client.protocol is ends.client_owner

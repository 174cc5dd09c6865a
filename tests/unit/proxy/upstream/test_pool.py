"""Which connections are kept, reused and closed, and how many there may be."""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from gateway.core.errors import Refusal, UpstreamBusy, UpstreamTimeout, UpstreamUnreachable
from gateway.core.reasons import BusyReason
from gateway.proxy.http1.write_batch import WriteBatcher
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.pool import UpstreamPool
from gateway.util.deadlines import Deadlines
from tests.fakes.transport import FakeTransport

CLIENT = "192.0.2.100"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
NOT_MODIFIED = b"HTTP/1.1 304 Not Modified\r\n\r\n"


class Transport(FakeTransport):
    """A transport to ``address`` that tells its protocol when it is closed."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address

    def abort(self) -> None:
        if "abort" not in self.done:
            super().abort()
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def get_extra_info(self, name: str, default: object = None) -> object:
        if name == "peername":
            return (self._address, 80)
        return super().get_extra_info(name, default)


class Server:
    """A server that accepts connections, or fails to."""

    def __init__(self, max_connections: int = 2) -> None:
        loop = asyncio.get_running_loop()
        self.deadlines = Deadlines(loop, 1000.0)
        self.error: BaseException | None = None
        self.is_silent = False
        self.address = "192.0.2.1"
        self.transports: list[Transport] = []
        batcher = WriteBatcher(loop)
        self.strays: list[None] = []
        self.pool = UpstreamPool(
            loop,
            self._connect,
            self.deadlines,
            batcher,
            max_connections=max_connections,
            on_stray=lambda: self.strays.append(None),
        )

    async def _connect(self, make: Callable[[], UpstreamConnection]) -> UpstreamConnection:
        if self.is_silent:
            await asyncio.sleep(60)
        if self.error is not None:
            raise self.error
        connection, transport = make(), Transport(self.address)
        transport.protocol = connection
        connection.connection_made(transport)
        self.transports.append(transport)
        return connection

    async def use(self, data: bytes = ANSWER, client: str = CLIENT) -> UpstreamConnection:
        """A new connection that has had an answer, and was not given back."""
        return await self.answered(await self.pool.open(client, 0.05), data)

    async def answered(
        self, connection: UpstreamConnection, data: bytes = ANSWER
    ) -> UpstreamConnection:
        """It serves a request."""
        answer = connection.ask(b"", "GET", lambda _: None)
        connection.data_received(data)
        await answer
        return connection


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server with room for two connections."""
    server = Server()
    yield server
    server.pool.close()
    await asyncio.sleep(0)
    server.deadlines.close()


async def test_a_clean_connection_is_used_again(server: Server) -> None:
    """The one that was used last comes first."""
    first, second = await server.use(), await server.use()
    server.pool.give_back(first)
    server.pool.give_back(second)
    assert (2, 0) == server.pool.usage()
    assert second is server.pool.take_idle(CLIENT, may_repeat=True)
    assert (1, 1) == server.pool.usage()


async def test_a_connection_in_the_middle_of_an_answer_is_closed(server: Server) -> None:
    """What is left would be the next request's answer."""
    connection = await server.use()
    connection.mark_unusable()
    server.pool.give_back(connection)
    assert ["abort"] == server.transports[0].done
    assert server.pool.take_idle(CLIENT, may_repeat=True) is None


async def test_a_request_that_cannot_repeat_takes_fresh_connections(server: Server) -> None:
    """An idle one may be closing just now."""
    connection = await server.use()
    server.pool.give_back(connection)
    connection.idle_since_s -= 2.0
    assert server.pool.take_idle(CLIENT, may_repeat=False) is None
    assert connection is server.pool.take_idle(CLIENT, may_repeat=True)


async def test_a_connection_that_is_idle_for_long_is_closed(server: Server) -> None:
    """A minute is enough."""
    connection = await server.use()
    server.pool.give_back(connection)
    connection.idle_since_s -= 61.0
    assert server.pool.take_idle(CLIENT, may_repeat=True) is None
    assert ["abort"] == server.transports[0].done


async def test_a_closing_connection_is_not_used(server: Server) -> None:
    """Though the pool has not been told of its end."""
    connection = await server.use()
    server.pool.give_back(connection)
    server.transports[0].close()
    assert server.pool.take_idle(CLIENT, may_repeat=True) is None


async def test_there_are_so_many_connections_and_no_more(server: Server) -> None:
    """A request that finds no room in time is refused."""
    await server.use()
    await server.use()
    with pytest.raises(UpstreamBusy, match="no free connection"):
        await server.pool.open(CLIENT, 0.01)


async def test_a_request_that_waits_gets_the_room_of_a_lost_connection(server: Server) -> None:
    """In the order in which they came."""
    first = await server.use()
    await server.use()
    waiting = asyncio.create_task(server.pool.open(CLIENT, 5.0))
    await asyncio.sleep(0)
    first.abort()
    assert (await waiting).transport is server.transports[2]


async def test_a_request_that_waits_gets_the_room_of_an_idle_connection(server: Server) -> None:
    """It is closed for it: the request wanted a fresh one."""
    first = await server.use()
    await server.use()
    waiting = asyncio.create_task(server.pool.open(CLIENT, 5.0))
    await asyncio.sleep(0)
    server.pool.give_back(first)
    await waiting
    assert ["abort"] == server.transports[0].done


async def test_a_cancelled_request_leaves_its_room(server: Server) -> None:
    """Before and after it got it."""
    first, second = await server.use(), await server.use()
    waiting = [asyncio.create_task(server.pool.open(CLIENT, 5.0)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    first.abort()
    await asyncio.wait([waiting[0]])
    await waiting[1]
    late = asyncio.create_task(server.pool.open(CLIENT, 5.0))
    await asyncio.sleep(0)
    second.abort()
    await asyncio.sleep(0)
    late.cancel()
    await asyncio.wait([late])
    await server.pool.open(CLIENT, 0.05)


async def test_a_tunnel_makes_room(server: Server) -> None:
    """Its connection carries no requests."""
    tunnel = await server.use()
    await server.use()
    server.pool.detach(tunnel)
    await server.pool.open(CLIENT, 0.05)
    assert [] == server.transports[0].done


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        pytest.param(ConnectionRefusedError(), UpstreamUnreachable, id="refused"),
        pytest.param(OSError(errno.EMFILE, "Too many open files"), UpstreamBusy, id="descriptors"),
        pytest.param(TimeoutError(), UpstreamTimeout, id="time-out"),
    ],
)
async def test_connections_that_fail_take_no_room(
    server: Server, error: BaseException, refusal: type[Refusal]
) -> None:
    """However many there were."""
    server.error = error
    for _ in range(5):
        with pytest.raises(refusal):
            await server.pool.open(CLIENT, 0.05)
    server.error = None
    await server.use()
    await server.use()


async def test_a_server_that_does_not_accept_is_given_up(server: Server) -> None:
    """In time."""
    server.is_silent = True
    with pytest.raises(UpstreamTimeout, match="connect"):
        await server.pool.open(CLIENT, 0.01)


async def test_a_retired_pool_keeps_nothing(server: Server) -> None:
    """Connections in use finish."""
    idle, busy = await server.use(), await server.use()
    server.pool.give_back(idle)
    server.pool.retire()
    assert [["abort"], []] == [transport.done for transport in server.transports]
    server.pool.give_back(busy)
    assert ["abort"] == server.transports[1].done


async def test_connections_to_removed_addresses_are_closed(server: Server) -> None:
    """An idle one now, one in use after its exchange; others stay."""
    idle, busy = await server.use(), await server.use()
    server.pool.give_back(idle)
    server.pool.close_addresses({"192.0.2.9"})
    assert [] == server.transports[0].done
    server.pool.close_addresses({"192.0.2.1"})
    assert [["abort"], []] == [transport.done for transport in server.transports]
    server.pool.give_back(busy)
    assert ["abort"] == server.transports[1].done


async def test_a_connection_rests_after_an_answer_without_a_body(server: Server) -> None:
    """It is idle, and used when no body has come for a moment."""
    connection = await server.use(NOT_MODIFIED)
    server.pool.give_back(connection)
    assert (1, 0) == server.pool.usage()
    assert server.pool.take_idle(CLIENT, may_repeat=True) is None
    connection.idle_since_s -= 0.1
    assert connection is server.pool.take_idle(CLIENT, may_repeat=True)
    assert [] == server.strays


async def test_a_server_that_sends_bodies_unasked_keeps_no_such_connection(server: Server) -> None:
    """Once is enough; connections after other answers are kept."""
    odd, other = await server.use(NOT_MODIFIED), await server.use(NOT_MODIFIED)
    server.pool.give_back(odd)
    server.pool.give_back(other)
    odd.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    assert [["abort"], ["abort"]] == [transport.done for transport in server.transports]
    assert 1 == len(server.strays)
    await asyncio.sleep(0)
    assert (0, 0) == server.pool.usage()
    for data, kept in ((NOT_MODIFIED, 0), (ANSWER, 1)):
        server.pool.give_back(await server.use(data))
        await asyncio.sleep(0)
        assert (kept, 0) == server.pool.usage()


async def test_bytes_on_an_idle_connection_close_it_and_are_counted(server: Server) -> None:
    """They are no answer; other connections stay."""
    first, second = await server.use(), await server.use()
    server.pool.give_back(first)
    server.pool.give_back(second)
    second.data_received(b"x")
    assert [[], ["abort"]] == [transport.done for transport in server.transports]
    assert 1 == len(server.strays)
    assert first is server.pool.take_idle(CLIENT, may_repeat=True)


async def test_a_resting_connection_makes_room(server: Server) -> None:
    """For a request that cannot use it yet."""
    server.pool.give_back(await server.use(NOT_MODIFIED))
    await server.use()
    await server.use()
    assert ["abort"] == server.transports[0].done


async def test_a_retired_pool_keeps_no_resting_connection(server: Server) -> None:
    """Nor one of an address that is gone."""
    server.pool.give_back(await server.use(NOT_MODIFIED))
    server.pool.give_back(await server.use(NOT_MODIFIED))
    server.pool.close_addresses({"192.0.2.1"})
    await asyncio.sleep(0)
    assert (0, 0) == server.pool.usage()
    server.pool.give_back(await server.use(NOT_MODIFIED))
    server.pool.retire()
    assert ["abort"] == server.transports[2].done


@pytest.fixture
async def large() -> AsyncIterator[Server]:
    """A server with room for eight connections, of which a share is two."""
    server = Server(8)
    yield server
    server.pool.close()
    await asyncio.sleep(0)
    server.deadlines.close()


async def test_a_client_leaves_a_share_for_others(large: Server) -> None:
    """New connections and idle ones alike; others are served meanwhile, and it when one is free."""
    held = [await large.use() for _ in range(6)]
    with pytest.raises(UpstreamBusy) as refused:
        await large.pool.open(CLIENT, 0.01)
    assert refused.value.reason is BusyReason.CLIENT_SHARE
    large.pool.give_back(await large.use(client="other"))
    assert (1, 6) == large.pool.usage()
    assert large.pool.take_idle(CLIENT, may_repeat=True) is None
    other = large.pool.take_idle("other", may_repeat=True)
    assert other is not None
    assert 2 == large.pool.clients()
    large.pool.give_back(await large.answered(other))
    large.pool.give_back(held.pop())
    assert large.pool.take_idle(CLIENT, may_repeat=True) is not None


async def test_a_client_with_less_than_its_share_gets_the_last_one(large: Server) -> None:
    """However many others there are."""
    for _ in range(6):
        await large.use()
    for _ in range(2):
        await large.use(client="other")
    assert (0, 8) == large.pool.usage()
    assert 2 == large.pool.clients()


async def test_a_request_over_its_share_gets_what_its_client_gives_back(large: Server) -> None:
    """The connection itself: none is closed and opened anew."""
    held = [await large.use() for _ in range(6)]
    waiting = asyncio.create_task(large.pool.open(CLIENT, 5.0, may_repeat=True, needs_new=False))
    await asyncio.sleep(0)
    large.pool.give_back(held[0])
    assert held[0] is await waiting
    assert (0, 6) == large.pool.usage()
    assert 6 == len(large.transports)


async def test_clients_that_wait_take_turns(server: Server) -> None:
    """One that waits with many requests does not keep others waiting."""
    first = await server.use()
    await server.use()
    order: list[str] = []

    async def wait(client: str) -> None:
        connection = await server.pool.open(client, 5.0, may_repeat=True, needs_new=False)
        order.append(client)
        server.pool.give_back(await server.answered(connection))

    async with asyncio.TaskGroup() as group:
        for client in ("flood", "flood", "flood", "other"):
            group.create_task(wait(client))
        await asyncio.sleep(0)
        server.pool.give_back(first)
    assert ["flood", "other", "flood", "flood"] == order


async def test_a_granted_connection_that_closes_is_replaced(server: Server) -> None:
    """The app closed it before the request went on."""
    first = await server.use()
    await server.use()
    waiting = asyncio.create_task(server.pool.open(CLIENT, 5.0, may_repeat=True, needs_new=False))
    await asyncio.sleep(0)
    server.pool.give_back(first)
    first.connection_lost(None)
    assert (await waiting).transport is server.transports[2]
    assert (0, 2) == server.pool.usage()


async def test_a_cancelled_request_gives_back_what_it_was_granted(server: Server) -> None:
    """The next one gets it."""
    first = await server.use()
    await server.use()
    waiting = [
        asyncio.create_task(server.pool.open(CLIENT, 5.0, may_repeat=True, needs_new=False))
        for _ in range(2)
    ]
    await asyncio.sleep(0)
    server.pool.give_back(first)
    waiting[0].cancel()
    assert first is await waiting[1]


async def test_no_client_holds_what_is_gone(server: Server) -> None:
    """A tunnel, a connection that was lost, one that was not made, and one that waits no more."""
    tunnel = await server.use()
    server.pool.detach(tunnel)
    server.pool.give_back(tunnel)
    lost = await server.use()
    lost.connection_lost(None)
    server.pool.give_back(lost)
    server.error = ConnectionRefusedError()
    with pytest.raises(UpstreamUnreachable):
        await server.pool.open(CLIENT, 0.05)
    assert 0 == server.pool.clients()


# --- cancelled while connecting ----------------------------------------------------------------


async def watched_after_cancelled_opens(opens: int) -> tuple[int, int]:
    """
    Cancel those who open connections, each as soon as its connection is made.

    Returns how many connections have a deadline that is looked at, and how many clients hold one.
    """

    async def connect(make: Callable[[], UpstreamConnection]) -> UpstreamConnection:
        def make_and_leave() -> UpstreamConnection:
            made = make()
            loop.call_soon(leave_when_made, made)
            return made

        _, connection = await loop.create_connection(make_and_leave, "127.0.0.1", port)
        return connection

    def leave_when_made(made: UpstreamConnection) -> None:
        if made.transport is None:
            loop.call_soon(leave_when_made, made)
        else:
            opening.cancel()

    class Watched(Deadlines):
        def count(self) -> int:
            return len(self._waiting)

    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    deadlines = Watched(loop, 1000.0)
    pool = UpstreamPool(loop, connect, deadlines, WriteBatcher(loop), max_connections=2)
    for _ in range(opens):
        opening = loop.create_task(pool.open(CLIENT, 20.0))
        await asyncio.wait([opening])
        if not opening.cancelled():
            pool.close()
    server.close()
    async with asyncio.timeout(20):
        while pool.usage() != (0, 0):
            await asyncio.sleep(0)
    return deadlines.count(), pool.clients()


@pytest.mark.parametrize("loops", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_connection_is_given_up_whose_request_has_left(
    loops: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Also where the event loop does not tell it that its transport is closed."""
    with asyncio.Runner(loop_factory=loops) as runner:
        assert (0, 0) == runner.run(watched_after_cancelled_opens(20))

"""Where clients come in: what is bound, and what is served."""

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import cast

import pytest
import uvloop

from gateway.config.addresses import HostPort
from gateway.config.listen import ActivatedSocket, InheritedDescriptor, UnixPath
from gateway.core.errors import StartError
from gateway.proxy.downstream.bind import (
    ListeningServer,
    again,
    bind,
    close,
    name_of,
    port_of,
    serve,
    twin,
)
from gateway.proxy.downstream.socket_activation import PassedSocket
from tests.fakes.free_port import free_port


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes the sockets of a test."""
    with ExitStack() as stack:
        yield stack


class Greeter(asyncio.Protocol):
    """Says hello to each client."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        answering = cast("asyncio.Transport", transport)  # uvloop's inherit from none of asyncio's
        answering.write(b"hello")
        answering.close()


async def test_what_was_bound_earlier_is_served_later(stack: ExitStack) -> None:
    """Binding and serving can be done by two processes; connections wait in between."""
    (sock,) = bind(HostPort("127.0.0.1", 0))
    client = stack.enter_context(socket.create_connection(sock.getsockname()))
    with closing(await serve(asyncio.get_running_loop(), sock, Greeter)):
        assert b"hello" == await asyncio.to_thread(client.recv, 100)


def test_all_that_wait_are_accepted_at_once(stack: ExitStack) -> None:
    """Under load an iteration of the loop takes milliseconds: no client waits for many of them."""

    async def greeted_soon() -> list[bytes]:
        (sock,) = bind(HostPort("127.0.0.1", 0))
        address = sock.getsockname()
        clients = [stack.enter_context(socket.create_connection(address)) for _ in range(50)]
        made: list[Greeter] = []

        def make() -> Greeter:
            made.append(Greeter())
            return made[-1]

        with closing(await serve(asyncio.get_running_loop(), sock, make)):
            for _ in range(10):
                await asyncio.sleep(0)
            assert len(clients) == len(made)
            return [await asyncio.to_thread(client.recv, 100) for client in clients]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert [b"hello"] * 50 == runner.run(greeted_soon())


def test_after_the_end_no_more_are_accepted(stack: ExitStack) -> None:
    """What waits when serving ends is left to whatever else has the socket."""
    (sock,) = bind(HostPort("127.0.0.1", 0))
    other = stack.enter_context(sock.dup())
    first, second = (
        stack.enter_context(socket.create_connection(sock.getsockname())) for _ in range(2)
    )

    async def end_with_the_first() -> bytes:
        servers: list[ListeningServer] = []

        def make() -> Greeter:
            asyncio.get_running_loop().call_soon(servers.pop().close)
            return Greeter()

        servers.append(await serve(asyncio.get_running_loop(), sock, make))
        return await asyncio.to_thread(first.recv, 100)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert b"hello" == runner.run(end_with_the_first())
    with other.accept()[0] as left:
        assert left.getpeername() == second.getsockname()


def test_a_name_of_two_addresses_is_two_sockets_of_one_port(stack: ExitStack) -> None:
    """Who asks for localhost can be reached by both of its addresses."""
    sockets = [stack.enter_context(sock) for sock in bind(HostPort("localhost", 0))]
    families = {found[0] for found in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    assert families == {sock.family for sock in sockets}
    assert 1 == len(set(map(port_of, sockets)))


def test_both_families_can_have_one_port(stack: ExitStack) -> None:
    """``[::]:8080`` is IPv6 alone, so ``0.0.0.0:8080`` can stand beside it."""
    port = free_port()  # not of the ports of clients, whose ends stay in TIME_WAIT
    (six,) = bind(HostPort("::", port))
    stack.enter_context(six)
    (four,) = bind(HostPort("0.0.0.0", port))
    stack.enter_context(four)
    assert port_of(four) == port_of(six) == port


def test_a_port_is_shared_only_where_that_is_asked(stack: ExitStack) -> None:
    """Two gateways on one port by mistake would each get half of the clients."""
    (first,) = bind(HostPort("127.0.0.1", 0), reuse_port=True)
    stack.enter_context(first)
    address = HostPort("127.0.0.1", port_of(first))
    (second,) = bind(address, reuse_port=True)
    stack.enter_context(second)
    in_use = os.strerror(errno.EADDRINUSE)
    with pytest.raises(StartError, match=rf"on 127.0.0.1:\d+: {in_use}; stop the program"):
        bind(address)


def test_connections_are_distributed_among_twins(stack: ExitStack) -> None:
    """A connection that waits at one of them stays with that one."""
    (one,) = bind(HostPort("127.0.0.1", 0), reuse_port=True)
    address = stack.enter_context(one).getsockname()
    other = stack.enter_context(twin(one))
    for _ in range(64):
        stack.enter_context(socket.create_connection(address))
    waiting = [_accepted(stack, sock) for sock in (one, other)]
    assert 64 == sum(waiting)
    assert all(waiting)
    other.close()
    stack.enter_context(again(one.family, address))


def _accepted(stack: ExitStack, sock: socket.socket) -> int:
    for number in range(100):
        try:
            stack.enter_context(sock.accept()[0])
        except BlockingIOError:
            return number
    return 100


def test_what_cannot_be_bound_twice_is_shared(place: UnixPath, stack: ExitStack) -> None:
    """The process that accepts first gets a connection."""
    for sock in (*bind(place), *bind(HostPort("127.0.0.1", 0))):
        stack.callback(close, sock)
        other = stack.enter_context(twin(sock))
        assert sock.getsockname() == other.getsockname()
        assert sock.fileno() != other.fileno()


def test_a_place_that_is_not_ours_cannot_be_bound() -> None:
    """The address is named in the message."""
    with pytest.raises(StartError, match=r"cannot listen on 192\.0\.2\.1:80"):
        bind(HostPort("192.0.2.1", 80))


# --- unix sockets ------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> UnixPath:
    """Where a unix socket may be."""
    return UnixPath(str(tmp_path / "gateway.sock"))


def mode_of(place: UnixPath) -> int:
    """Who may do what with a file."""
    return stat.S_IMODE(Path(place.path).stat().st_mode)


async def test_a_unix_socket_is_for_its_owner_and_group(place: UnixPath, stack: ExitStack) -> None:
    """Other users of the machine cannot connect; closing removes its file."""
    (sock,) = bind(place)
    assert 0o660 == mode_of(place)
    assert f"unix:{place.path}" == name_of(sock)
    client = stack.enter_context(socket.socket(socket.AF_UNIX))
    client.connect(place.path)
    with closing(await serve(asyncio.get_running_loop(), sock, Greeter)):
        assert b"hello" == await asyncio.to_thread(client.recv, 100)
    close(sock)
    assert [] == list(Path(place.path).parent.iterdir())


def test_the_socket_of_a_killed_gateway_is_replaced(place: UnixPath, stack: ExitStack) -> None:
    """Its socket does not answer."""
    bind(place)[0].close()
    (second,) = bind(place)
    stack.enter_context(second)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(place.path)


@pytest.mark.parametrize("backlog", [0, 10])
def test_a_socket_that_answers_is_left_alone(
    place: UnixPath, stack: ExitStack, backlog: int
) -> None:
    """Also one that is too busy to take us."""
    busy = stack.enter_context(socket.socket(socket.AF_UNIX))
    busy.bind(place.path)
    busy.listen(backlog)
    for _ in range(2 - bool(backlog)):
        waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
        waiting.setblocking(False)
        waiting.connect_ex(place.path)
    with pytest.raises(StartError, match="another process listens there"):
        bind(place)


def test_a_file_is_no_socket(place: UnixPath) -> None:
    """It may be needed, so it is not removed."""
    Path(place.path).write_text("mine")
    with pytest.raises(StartError, match="the file is not a socket"):
        bind(place)
    assert "mine" == Path(place.path).read_text()


def test_the_file_of_a_successor_is_left_alone(place: UnixPath, stack: ExitStack) -> None:
    """A gateway that ends late does not cut off the one that has taken its place."""
    (first,) = bind(place)
    first.close()
    (second,) = bind(place)
    stack.enter_context(second)
    close(first)
    assert Path(place.path).exists()


def test_what_others_share_stays(place: UnixPath, stack: ExitStack) -> None:
    """As long as a process accepts there, the file is needed; and who did not make it leaves it."""
    (sock,) = bind(place)
    shared = stack.enter_context(sock.dup())
    close(sock)
    assert Path(place.path).exists()
    close(shared)
    assert Path(place.path).exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """The path is named in the message, and what helps."""
    told = rf"cannot listen on unix:/.*{os.strerror(errno.ENOENT)}; make the folder"
    with pytest.raises(StartError, match=told):
        bind(UnixPath(str(tmp_path / "nowhere" / "x.sock")))


# --- sockets of others -------------------------------------------------------------------------


def test_sockets_are_passed_on_by_name_or_by_number() -> None:
    """``systemd`` is all of them."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as two,
    ):
        numbers = [os.dup(one.fileno()), os.dup(two.fileno()), os.dup(one.fileno())]
        passed = [PassedSocket(numbers[0], "a"), PassedSocket(numbers[1], "b")]
        (by_name,) = bind(ActivatedSocket("b"), passed=passed)
        assert two.getsockname() == by_name.getsockname()
        (by_number,) = bind(InheritedDescriptor(numbers[2]))
        assert one.getsockname() == by_number.getsockname()
        passed[1] = PassedSocket(by_name.detach(), "b")
        every = bind(ActivatedSocket(""), passed=passed)
        assert [one.getsockname(), two.getsockname()] == [sock.getsockname() for sock in every]
        for sock in (by_number, *every):
            close(sock)


def test_a_socket_that_was_not_passed_on() -> None:
    """The gateway does not start without what it was to listen on."""
    with pytest.raises(
        StartError, match="systemd:http: no socket of this name was passed to the process"
    ):
        bind(ActivatedSocket("http"), passed=[PassedSocket(3, "other")])

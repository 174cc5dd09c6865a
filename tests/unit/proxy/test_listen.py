"""Where clients come in: what is bound, and what is served."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from gateway.config.addresses import Address
from gateway.errors import StartError
from gateway.proxy.listen import bind, port_of, serve


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes the sockets of a test."""
    with ExitStack() as stack:
        yield stack


class Greeter(asyncio.Protocol):
    """Says hello to whoever comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


async def test_what_was_bound_earlier_is_served_later(stack: ExitStack) -> None:
    """Whoever binds need not be who serves; between the two, connections wait."""
    (sock,) = bind(Address("127.0.0.1", 0))
    client = stack.enter_context(socket.create_connection(sock.getsockname()))
    with closing(await serve(asyncio.get_running_loop(), sock, Greeter)):
        assert b"hello" == await asyncio.to_thread(client.recv, 100)


def test_a_name_of_two_addresses_is_two_sockets_of_one_port(stack: ExitStack) -> None:
    """Who asks for localhost can be reached by both of its addresses."""
    sockets = [stack.enter_context(sock) for sock in bind(Address("localhost", 0))]
    families = {found[0] for found in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    assert families == {sock.family for sock in sockets}
    assert 1 == len(set(map(port_of, sockets)))


def test_both_families_can_have_one_port(stack: ExitStack) -> None:
    """``[::]:8080`` is IPv6 alone, so ``0.0.0.0:8080`` can stand beside it."""
    (six,) = bind(Address("::", 0))
    stack.enter_context(six)
    (four,) = bind(Address("0.0.0.0", port_of(six)))
    stack.enter_context(four)
    assert port_of(four) == port_of(six)


def test_a_port_is_shared_only_where_that_is_asked(stack: ExitStack) -> None:
    """Two gateways on one port by mistake would each get half of the clients."""
    (first,) = bind(Address("127.0.0.1", 0), reuse_port=True)
    stack.enter_context(first)
    address = Address("127.0.0.1", port_of(first))
    (second,) = bind(address, reuse_port=True)
    stack.enter_context(second)
    with pytest.raises(StartError, match=r"cannot listen on 127.0.0.1:\d+: Address already in use"):
        bind(address)


def test_a_place_that_is_not_ours_cannot_be_bound() -> None:
    """The address is named in the message."""
    with pytest.raises(StartError, match=r"cannot listen on 192\.0\.2\.1:80"):
        bind(Address("192.0.2.1", 80))

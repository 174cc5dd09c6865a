"""Deliveries over real sockets, and where they must not go."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

from gateway.hooks.attempts import HookAnswer
from gateway.hooks.destination import Destinations
from gateway.hooks.sender import Post, Sender

LOOPBACK = Destinations([ip_network("127.0.0.0/8")])
PUBLIC = "93.184.216.34"


class Names(AbstractResolver):
    """A name server that answers each question with the next of its answers."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, _family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0
            )
            for address in addresses
        ]

    async def close(self) -> None:
        pass


class Receiver:
    """An endpoint; ``answer`` says how it answers."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = _taken
        self.port = 0

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.heard.append((request.path_qs, dict(request.headers), await request.read()))
        return await self.answer(request)


async def _taken(_: web.Request) -> web.StreamResponse:
    return web.Response(status=204)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.take)
    async with TestServer(app) as server:
        made.port = int(server.port or 0)
        yield made


def post(receiver: Receiver, host: str = "127.0.0.1", path: str = "/hook?a=%2F") -> Post:
    return Post(f"http://{host}:{receiver.port}{path}", {"webhook-id": "evt_1"}, b"{}")


async def test_a_delivery_arrives_as_it_was_signed(receiver: Receiver) -> None:
    """Body, fields and target, byte by byte."""
    async with Sender(LOOPBACK, 5) as sender:
        assert HookAnswer(204, "status 204") == await sender.send(post(receiver))

    [(target, fields, body)] = receiver.heard
    assert ("/hook?a=%2F", b"{}") == (target, body)
    assert ("evt_1", "application/cloudevents+json") == (
        fields["webhook-id"],
        fields["Content-Type"],
    )


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([["127.0.0.1"]], id="loopback"),
        pytest.param([["10.0.0.1", "169.254.169.254", "::1"]], id="several"),
        pytest.param([["::ffff:127.0.0.1"]], id="mapped"),
        pytest.param([["127.0.0.1"], [PUBLIC]], id="loopback-first"),
        pytest.param([[]], id="nothing"),
    ],
)
async def test_a_name_of_a_private_address_is_refused(
    receiver: Receiver, answers: list[list[str]]
) -> None:
    """Nothing is connected to."""
    names = Names(*answers)
    async with Sender(Destinations(), 5, resolver=names) as sender:
        answer = await sender.send(post(receiver, "hooks.example.com"))

    assert (0, True) == (answer.status, answer.reason.startswith("refused"))
    assert [] == receiver.heard


async def test_the_address_that_was_judged_is_the_one_connected_to(receiver: Receiver) -> None:
    """A name is asked for once: what it would lead to a moment later is of no use (rebinding)."""
    names = Names(["127.0.0.2"], ["127.0.0.1"])
    only_two = Destinations([ip_network("127.0.0.2/32")])
    async with Sender(only_two, 5, resolver=names) as sender:
        answer = await sender.send(post(receiver, "hooks.example.com"))

    assert (0, 1) == (answer.status, names.asked), "127.0.0.2 has no receiver"
    assert [] == receiver.heard


async def test_of_several_addresses_the_allowed_ones_are_used(receiver: Receiver) -> None:
    """One that is not allowed does not spoil the others."""
    names = Names(["10.0.0.1", "127.0.0.1"])
    async with Sender(LOOPBACK, 5, resolver=names) as sender:
        assert 204 == (await sender.send(post(receiver, "hooks.example.com"))).status


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "127.1", "0177.0.0.1"],
)
async def test_an_address_in_the_url_is_judged_too(receiver: Receiver, host: str) -> None:
    """In whatever form the resolver of the system would read it."""
    async with Sender(Destinations(), 5) as sender:
        answer = await sender.send(post(receiver, host))

    assert (0, True) == (answer.status, answer.reason.startswith("refused"))
    assert [] == receiver.heard


@pytest.mark.parametrize("host", ["crm.internal", PUBLIC, "127.0.0.2"])
async def test_without_tls_no_delivery_leaves_the_listed_networks(
    receiver: Receiver, host: str
) -> None:
    """Events are about people: a private name that leads to a public address gets none of them."""
    only_one = Destinations([ip_network("127.0.0.1/32")])
    async with Sender(only_one, 0.3, resolver=Names([PUBLIC], ["127.0.0.1"])) as sender:
        answer = await sender.send(post(receiver, host))
        assert (0, True) == (answer.status, answer.reason.startswith("refused"))
        assert [] == receiver.heard
        assert 204 == (await sender.send(post(receiver))).status


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    """It would lead past the check of the URL; the delivery has failed."""

    async def elsewhere(_: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "http://127.0.0.1/secret"})

    receiver.answer = elsewhere
    async with Sender(LOOPBACK, 5) as sender:
        assert 307 == (await sender.send(post(receiver))).status
    assert 1 == len(receiver.heard)


async def test_a_field_that_cannot_be_sent_is_an_answer_too(receiver: Receiver) -> None:
    """It would be two fields: nothing is sent."""
    async with Sender(LOOPBACK, 5) as sender:
        forged = post(receiver)._replace(fields={"webhook-id": "evt_1\r\nX-Other: 1"})
        assert HookAnswer(0, "ValueError") == await sender.send(forged)
    assert [] == receiver.heard


async def test_a_name_that_is_slow_to_resolve_holds_up_no_other_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The threads that all share are left alone: they resolve the names of upstreams, too."""
    is_over, is_asked = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait(*_: object, **__: object) -> list[object]:
        loop.call_soon_threadsafe(is_asked.set)
        is_over.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    loop.set_default_executor(ThreadPoolExecutor(1))
    async with Sender(LOOPBACK, 5) as sender:
        sending = asyncio.create_task(sender.send(Post("https://slow.example.com/", {}, b"")))
        try:
            async with asyncio.timeout(20):
                await is_asked.wait()
                assert "done" == await asyncio.to_thread(lambda: "done")
        finally:
            is_over.set()
        assert (0, True) == ((answer := await sending).status, answer.reason.startswith("refused"))


async def test_a_name_is_resolved_by_the_system(receiver: Receiver) -> None:
    """And its addresses are judged."""
    async with Sender(LOOPBACK, 5) as sender:
        assert 204 == (await sender.send(post(receiver, "localhost"))).status
    async with Sender(Destinations(), 5) as sender:
        assert (await sender.send(post(receiver, "localhost"))).reason.startswith("refused")


async def test_retry_after_is_told(receiver: Receiver) -> None:
    """With the status."""

    async def busy(_: web.Request) -> web.StreamResponse:
        return web.Response(status=503, headers={"Retry-After": "30"})

    receiver.answer = busy
    async with Sender(LOOPBACK, 5) as sender:
        assert HookAnswer(503, "status 503", 30.0) == await sender.send(post(receiver))


async def test_a_receiver_that_does_not_answer_is_left(receiver: Receiver) -> None:
    """At the time-out."""
    is_over = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        await is_over.wait()
        return web.Response()

    receiver.answer = wait
    async with Sender(LOOPBACK, 0.3) as sender:
        assert HookAnswer(0, "no answer in time") == await sender.send(post(receiver))
    is_over.set()


async def test_attempts_do_not_wait_for_those_that_hang(receiver: Receiver) -> None:
    """Endpoints bound their own: nine that hang, with eight attempts each, hold up no other."""
    is_over, are_all_here = asyncio.Event(), asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        if len(receiver.heard) == 73:
            are_all_here.set()
        await is_over.wait()
        return web.Response()

    receiver.answer = wait
    async with Sender(LOOPBACK, 60) as sender, asyncio.TaskGroup() as attempts:
        for _ in range(73):
            attempts.create_task(sender.send(post(receiver)))
        try:
            async with asyncio.timeout(20):
                await are_all_here.wait()
        finally:
            is_over.set()


async def test_the_body_of_an_answer_is_of_no_concern(receiver: Receiver) -> None:
    """Its status has said all, however long it is or takes."""

    async def drip(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"." * 65536)

    receiver.answer = drip
    async with Sender(LOOPBACK, 5) as sender:
        assert 200 == (await sender.send(post(receiver))).status


async def test_a_port_without_a_server_is_an_answer_too() -> None:
    """A refused connection raises nothing."""
    async with Sender(LOOPBACK, 5) as sender:
        answer = await sender.send(Post("http://127.0.0.1:1/", {}, b""))
    assert (0, "ClientConnectorError") == (answer.status, answer.reason)

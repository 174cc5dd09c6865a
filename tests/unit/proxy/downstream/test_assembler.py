"""Requests made of parsed messages, and heads that are recalled."""

from ipaddress import IPv4Address
from itertools import count

import pytest

from gateway.core.errors import BadRequest, HeadTooLarge
from gateway.proxy.downstream.assembler import RequestAssembler
from gateway.proxy.downstream.limits import ConnectionLimits
from gateway.proxy.http1.parser import NOTHING
from gateway.routing.client_address import client_at
from tests.fakes.heads_parsed import parsed_request

PEER = client_at(IPv4Address("192.0.2.1"))
FIELDS = b"Host: a\r\nAccept: */*\r\n\r\n"
GET = b"GET /x HTTP/1.1\r\n" + FIELDS


@pytest.fixture
def assembler() -> RequestAssembler:
    """An assembler that numbers its requests."""
    numbers = count(1)
    limits = ConnectionLimits(head_bytes=200, fields=3)
    return RequestAssembler(limits, lambda: f"id-{next(numbers)}")


async def assemble(assembler: RequestAssembler, data: bytes) -> object:
    """What becomes of a head that comes in one part."""
    message, body = parsed_request(data)
    return assembler.assemble(message, body, data, PEER)


async def test_a_request_has_its_head_and_a_new_id(assembler: RequestAssembler) -> None:
    """As the pipeline gets it."""
    made = await assemble(assembler, GET)
    assert isinstance(made, tuple)
    head, _, body = made
    assert ("GET", "/x", (1, 1), PEER, "id-1") == (
        head.method,
        head.target,
        head.version,
        head.peer,
        head.request_id,
    )
    assert body is NOTHING
    assert assembler.splitter.is_between


async def test_a_head_that_came_twice_is_recalled(assembler: RequestAssembler) -> None:
    """The third request needs no parser: same fields, its own line and id."""
    await assemble(assembler, GET)
    assert assembler.recall(GET, PEER) is None
    await assemble(assembler, GET)
    recalled = assembler.recall(b"GET /other HTTP/1.1\r\n" + FIELDS, PEER)
    assert recalled is not None
    head, message, body = recalled
    assert ("/other", "id-3", None, NOTHING) == (head.target, head.request_id, message, body)


async def test_nothing_is_recalled_inside_a_message(assembler: RequestAssembler) -> None:
    """The bytes of a body may look like a head."""
    await assemble(assembler, GET)
    await assemble(assembler, GET)
    assembler.splitter.head_end(b"GET /part")
    assert assembler.recall(GET, PEER) is None


async def test_a_forgotten_head_is_parsed_again(assembler: RequestAssembler) -> None:
    """As after a moment without requests."""
    await assemble(assembler, GET)
    await assemble(assembler, GET)
    assembler.forget()
    assert assembler.recall(GET, PEER) is None


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        pytest.param(GET[:-2] + b"X: " + b"x" * 200 + b"\r\n\r\n", HeadTooLarge, id="too-long"),
        pytest.param(GET[:-2] + b"B: b\r\nC: c\r\n\r\n", HeadTooLarge, id="too-many-fields"),
        pytest.param(GET.replace(b"GET ", b"GET  "), BadRequest, id="request-line"),
    ],
)
async def test_heads_that_are_refused(
    assembler: RequestAssembler, data: bytes, refusal: type[Exception]
) -> None:
    """The parser accepts them."""
    assert isinstance(await assemble(assembler, data), refusal)


async def test_a_body_is_awaited_by_its_length(assembler: RequestAssembler) -> None:
    """Until it is complete, no head is next."""
    await assemble(assembler, b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
    assert not assembler.splitter.is_in_head
    assert (b"abc", b"d", True) == assembler.splitter.body_part(b"abcd")


@pytest.mark.parametrize("length", [0, 3])
async def test_a_client_names_its_last_request(assembler: RequestAssembler, length: int) -> None:
    """Which ends with its body."""
    fields = b"Connection: close\r\nContent-Length: %d\r\n\r\n" % length
    await assemble(assembler, b"POST /x HTTP/1.1\r\nHost: a\r\n" + fields)
    assert assembler.has_ended is (length == 0)
    assembler.end_body()
    assert assembler.has_ended


def test_an_incomplete_head_has_a_limit(assembler: RequestAssembler) -> None:
    """Before its end is seen."""
    assembler.splitter.head_end(b"x" * 200)
    assert assembler.size_refusal() is None
    assembler.splitter.head_end(b"x")
    assert isinstance(assembler.size_refusal(), HeadTooLarge)


def test_chunk_extensions_have_a_limit(assembler: RequestAssembler) -> None:
    """They are no data, and no other limit counts them."""
    assembler.splitter.begin_body(None)
    assembler.splitter.body_part(b"1;" + b"x" * 198)
    assert assembler.size_refusal() is None
    assembler.splitter.body_part(b"x")
    assert isinstance(assembler.size_refusal(), HeadTooLarge)


def test_framing_that_far_outweighs_its_data_is_refused(assembler: RequestAssembler) -> None:
    """Each chunk is work, however little it brings."""
    assembler.splitter.begin_body(None)
    assembler.splitter.body_part(b"1\r\nx\r\n" * 1000)
    assert assembler.size_refusal() is None
    for _ in range(5):
        assembler.splitter.body_part(b"1\r\nx\r\n" * 1000)
    assert isinstance(assembler.size_refusal(), BadRequest)

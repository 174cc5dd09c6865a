"""Requests made of parsed messages, and of reads that need no parser."""

from ipaddress import IPv4Address
from itertools import count

import pytest

from gateway.core.errors import BadRequest, HeadTooLarge
from gateway.proxy.downstream import assembler as module
from gateway.proxy.downstream.assembler import RequestAssembler
from gateway.proxy.downstream.limits import ConnectionLimits
from gateway.proxy.http1.line_table import LineTable
from gateway.proxy.http1.parser import KNOWN_NAMES, NOTHING
from gateway.routing.client_address import client_at
from tests.fakes.heads_parsed import parsed_request

PEER = client_at(IPv4Address("192.0.2.1"))
FIELDS = b"Host: a\r\nAccept: */*\r\n\r\n"
GET = b"GET /x HTTP/1.1\r\n" + FIELDS
POST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"


@pytest.fixture
def assembler() -> RequestAssembler:
    """An assembler that numbers its requests."""
    numbers = count(1)
    limits = ConnectionLimits(head_bytes=200, fields=3)
    return RequestAssembler(limits, LineTable(KNOWN_NAMES), lambda: f"id-{next(numbers)}")


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


def test_a_whole_head_needs_no_parser(assembler: RequestAssembler) -> None:
    """It is the request that the parser would have made of it."""
    made = assembler.read_whole(GET, PEER)
    assert made is not None
    head, message, body = made
    assert ("GET", "/x", "id-1", None) == (head.method, head.target, head.request_id, head.memo)
    assert (None, NOTHING) == (message, body)
    assert ("a", "*/*") == (head.headers["Host"], head.headers["Accept"])
    assert ([b"Host: a", b"Accept: */*"], ("Host", "Accept")) == (
        head.lines.lines,
        head.lines.names,
    )


def test_a_whole_body_needs_no_parser(assembler: RequestAssembler) -> None:
    """It is all there, and is read once."""
    made = assembler.read_whole(POST + b"abc", PEER)
    assert made is not None
    body = made[2]
    assert body.is_eof()
    assert (b"abc", b"") == (body.read_nowait(), body.read_nowait())
    assert assembler.splitter.is_between


def test_fields_that_repeat_have_a_memo(assembler: RequestAssembler) -> None:
    """Whatever the request line is."""
    made = [assembler.read_whole(b"GET /%d HTTP/1.1\r\n" % i + FIELDS, PEER) for i in range(3)]
    heads = [request[0] for request in made if request is not None]
    assert ["/0", "/1", "/2"] == [head.target for head in heads]
    assert [None, {}, {}] == [head.memo for head in heads]
    assert heads[1].memo is heads[2].memo
    assert assembler.keeps_head
    assembler.forget()
    assert not assembler.keeps_head


def test_a_request_that_comes_again_is_read_once(assembler: RequestAssembler) -> None:
    """But for its id. What comes in between, or differs in a byte, is read for itself."""
    asked = [GET, GET, GET, GET.replace(b"/x", b"/y"), GET, POST + b"abc", POST + b"abd", GET]
    made = [assembler.read_whole(data, PEER) for data in asked]
    heads = [request[0] for request in made if request is not None]
    assert ["/x", "/x", "/x", "/y", "/x", "/x", "/x", "/x"] == [head.target for head in heads]
    assert [f"id-{number}" for number in range(1, 9)] == [head.request_id for head in heads]
    assert heads[1].memo is heads[2].memo is heads[3].memo is heads[4].memo
    assert heads[2]._replace(request_id="id-1", memo=None) == heads[0]
    bodies = [request[2].read_nowait() for request in made[5:7] if request is not None]
    assert [b"abc", b"abd"] == bodies
    other = PEER._replace(text="another")
    again = assembler.read_whole(GET, other), assembler.read_whole(GET, other)
    assert [other, other] == [request[0].peer for request in again if request is not None]
    assembler.forget()
    assert assembler._repeated_data is None
    assert not assembler.keeps_head


def test_a_repeated_request_is_forgotten_after_one_for_the_parser(
    assembler: RequestAssembler,
) -> None:
    """An idle connection must not keep it: it may hold a credential."""
    made = [assembler.read_whole(data, PEER) for data in (GET, GET)]
    assert None not in made
    assert assembler.read_whole(GET.replace(b"Accept: */*", b"TE: trailers"), PEER) is None
    assert assembler.keeps_head
    assembler.forget()
    assert assembler._repeated_data is None
    assert not assembler.keeps_head


def test_heads_after_one_for_the_parser_are_not_looked_up(assembler: RequestAssembler) -> None:
    """As they are of the same program; after some of them it is tried again."""
    assert assembler.read_whole(GET.replace(b"Accept: */*", b"TE: trailers"), PEER) is None
    read = [assembler.read_whole(GET, PEER) is not None for _ in range(module._SKIPPED + 1)]
    assert [False] * module._SKIPPED + [True] == read


def test_nothing_is_a_whole_head_inside_a_message(assembler: RequestAssembler) -> None:
    """The bytes of a body may look like a head."""
    assembler.splitter.head_end(b"GET /part")
    assert assembler.read_whole(GET, PEER) is None
    assembler.splitter.begin_body(len(GET))
    assert assembler.read_whole(GET, PEER) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(GET[:-1], id="less-than-a-head"),
        pytest.param(GET + b"x", id="more-than-a-head"),
        pytest.param(GET + GET, id="two-heads"),
        pytest.param(b"\r\n" + GET, id="an-empty-line-before"),
        pytest.param(b"GET /x HTTP/1.1\r\n\r\n", id="no-fields"),
        pytest.param(b"GET /x HTTP/1.1\r\n\r\n" + FIELDS, id="fields-behind-the-head"),
        pytest.param(GET.replace(b"1.1", b"1.0"), id="another-version"),
        pytest.param(GET.replace(b"GET", b"CONNECT"), id="a-tunnel"),
        pytest.param(GET.replace(b"GET", b"get"), id="a-method-in-small-letters"),
        pytest.param(GET.replace(b"/x", b"x:80"), id="authority-form"),
        pytest.param(GET.replace(b"/x", b"http://a/x"), id="absolute-form"),
        pytest.param(GET.replace(b"/x", b"/x#b"), id="fragment"),
        pytest.param(GET.replace(b"/x", b"/\xc3\xa9"), id="octets-beyond-ascii"),
        pytest.param(GET.replace(b" /x", b"  /x"), id="two-spaces"),
        pytest.param(GET.replace(b"/x ", b"/x  "), id="two-spaces-behind-the-target"),
        pytest.param(GET.replace(b"1.1\r", b"1.1 \r"), id="a-space-behind-the-version"),
        pytest.param(GET.replace(b"/x ", b" "), id="no-target"),
        pytest.param(b"GET /x HTTP/1.1", id="a-request-line-alone"),
        pytest.param(b"GET /x HTTP/1.1\r", id="a-request-line-without-its-end"),
        pytest.param(GET.replace(b"HTTP", b"RTSP"), id="another-protocol"),
        pytest.param(GET[:-2] + b"X: " + b"x" * 200 + b"\r\n\r\n", id="too-long"),
        pytest.param(GET[:-2] + b"B: b\r\nC: c\r\n\r\n", id="too-many-fields"),
        pytest.param(POST, id="a-body-that-follows"),
        pytest.param(POST + b"ab", id="a-part-of-a-body"),
        pytest.param(POST + b"abcd", id="more-than-a-body"),
        pytest.param(POST.replace(b"3", b"4") + b"\r\n\r\n", id="a-body-that-ends-like-a-head"),
    ],
)
def test_all_else_is_left_to_the_parser(assembler: RequestAssembler, data: bytes) -> None:
    """Which may accept or refuse it."""
    assert assembler.read_whole(data, PEER) is None


def test_a_target_is_visible_ascii_without_a_fragment(assembler: RequestAssembler) -> None:
    """Octet by octet: all others are left to the parser."""
    read = []
    for octet in range(256):
        made = assembler.read_whole(GET.replace(b"/x", b"/x%cy" % octet), PEER)
        if made is not None:
            assert f"/x{chr(octet)}y" == made[0].target
            read.append(octet)
    assert [octet for octet in range(0x21, 0x7F) if octet != ord("#")] == read


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

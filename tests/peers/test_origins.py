"""Apps on servers that others wrote: what they answer arrives, whatever the shape of it."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import httpx
import pytest
import pytest_asyncio

from tests.fakes.http import connected
from tests.fakes.origins import COMMANDS, LARGE, STREAM, origin
from tests.fakes.world import World, world
from tests.peers.test_http import curl

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY = bytes(range(256)) * 2000
TIMES = 20
"""How often a request is repeated whose answer depends on how its bytes are cut up."""
DOES_NOT_ECHO = "nginx"
IGNORES_EXPECT = "php"
"""PHP's own server sends no 100 (Continue)."""
BODIES = {"hello": b"hello", "stream": STREAM, "large": LARGE}


class Served(NamedTuple):
    """A gateway in front of an app."""

    name: str
    around: World

    @property
    def url(self) -> str:
        """Of the app, through the gateway."""
        return f"http://127.0.0.1:{self.around.port}/origin/"

    def echoed(self, body: bytes) -> bytes:
        """What the app answers to a request with this body."""
        return b"taken" if self.name == DOES_NOT_ECHO else body


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=COMMANDS)
async def served(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Served]:
    """Each server behind a gateway of its own."""
    name = str(request.param)
    async with origin(name, tmp_path_factory.mktemp("origin")) as port:
        changes = {
            "more_upstreams": f'  o: {{servers: ["http://127.0.0.1:{port}"], retries: 0}}',
            "more_routes": '  - {name: o, match: {path: "/origin/*"}, auth: none, upstream: o}',
        }
        async with world(tmp_path_factory.mktemp("gateway"), **changes) as around:
            yield Served(name, around)


@pytest_asyncio.fixture(loop_scope="module")
async def client(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway, with kept connections."""
    async with httpx.AsyncClient(base_url=served.url, timeout=30) as made:
        yield made


@pytest.mark.parametrize("name", BODIES)
async def test_get(client: httpx.AsyncClient, name: str) -> None:
    """The whole body, with a length or without, again and again."""
    for _ in range(3):
        answer = await client.get(name)
        assert (200, BODIES[name]) == (answer.status_code, answer.content)


@pytest.mark.parametrize("name", BODIES)
async def test_head(client: httpx.AsyncClient, name: str) -> None:
    """Never a body, also where the app sends one; the next answer is the next request's."""
    for _ in range(TIMES):
        answer = await client.head(name)
        assert (200, b"") == (answer.status_code, answer.content)
        assert b"hello" == (await client.get("hello")).content


@pytest.mark.parametrize(("name", "status"), [("empty", 204), ("unchanged", 304)])
async def test_answers_without_a_body(client: httpx.AsyncClient, name: str, status: int) -> None:
    """They end at their head, and the connection goes on."""
    for _ in range(TIMES):
        answer = await client.get(name)
        assert (status, b"") == (answer.status_code, answer.content)
        assert b"hello" == (await client.get("hello")).content


async def test_redirects(client: httpx.AsyncClient) -> None:
    """The client gets the place as the app wrote it, and follows it to the app."""
    answer = await client.get("moved")
    assert (302, "hello") == (answer.status_code, answer.headers["Location"])
    assert b"hello" == (await client.get("moved", follow_redirects=True)).content


@pytest.mark.parametrize("body", [b"", b"x", BODY], ids=["empty", "short", "long"])
async def test_post(served: Served, client: httpx.AsyncClient, body: bytes) -> None:
    """With a length, and in chunks."""

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    for _ in range(3):
        assert served.echoed(body) == (await client.post("echo", content=body)).content
        assert served.echoed(body) == (await client.put("echo", content=parts())).content


async def test_chunk_extensions_and_odd_chunks(served: Served) -> None:
    """What the app gets is framed anew, whatever the client's chunks look like."""
    chunks = b'5; a=b\r\nhello\r\n1 ;c\r\n \r\n00005;d="e f"\r\nworld\r\n0;g\r\nX-T: v\r\n\r\n'
    head = b"POST /origin/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\t\r\n\r\n"
    async with connected(served.around.port) as client:
        for _ in range(3):
            answer = await (await client.send(head + chunks)).answer()
            assert (200, served.echoed(b"hello world")) == (answer.status, answer.body)


async def test_expect(served: Served) -> None:
    """A client that waits for 100 is told to go on; a server that ignores that keeps it waiting."""
    wait_s = "0.2" if served.name == IGNORES_EXPECT else "60"  # curl's own end comes before
    arguments = ("-H", "Expect: 100-continue", "--expect100-timeout", wait_s)
    out = await curl(served.around, "/origin/echo", *arguments, "--data-binary", "@-", stdin=BODY)
    assert served.echoed(BODY) == out


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1", "--http2"])
async def test_versions(served: Served, version: str) -> None:
    """Whatever version the client begins with, or would like; the app gets HTTP/1.1."""
    for name, body in BODIES.items():
        assert body == await curl(served.around, f"/origin/{name}", version)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET http://x/origin/hello HTTP/1.1\r\nHost: x\r\n", id="absolute-form"),
        pytest.param(b"GET http://x:80/origin/hello HTTP/1.1\r\nHost: x\r\n", id="default-port"),
        pytest.param(b"GET /origin/hello HTTP/1.1\r\nHost: x:\r\n", id="empty-port"),
        pytest.param(b"GET /origin/hello?a=b&c=%20&d={}|~ HTTP/1.1\r\nHost: x\r\n", id="query"),
        pytest.param(b"GET /origin/%68ello HTTP/1.1\r\nHost: x\r\n", id="escape"),
        pytest.param(
            b"GET /origin/hello HTTP/1.1\r\nhOST: x\r\naCCEPT:*/*\r\nX-Empty:\r\n"
            b"X-Latin: \xe9\xff\r\nX-Tab: a\tb\r\nX-Twice: 1\r\nX-Twice: 2\r\n",
            id="fields",
        ),
        pytest.param(
            b"GET /origin/hello HTTP/1.1\r\nHost: x\r\nX-Long: " + b"y" * 4000 + b"\r\n", id="long"
        ),
        pytest.param(
            b"GET /origin/hello HTTP/1.1\r\nHost: x\r\n" + b"X-Many: y\r\n" * 60, id="many"
        ),
        pytest.param(
            b"\r\nGET /origin/hello HTTP/1.1\r\nHost: x\r\n"
            b"Connection: keep-alive, X-T\r\nX-T: 1\r\n",
            id="empty-line-and-connection",
        ),
        pytest.param(
            b"GET /origin/hello HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
            id="h2c",
        ),
        pytest.param(
            b"GET /origin/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n", id="length-of-a-get"
        ),
    ],
)
async def test_odd_but_legal_heads(served: Served, head: bytes) -> None:
    """Each is answered, and so is what follows on the same connection."""
    async with connected(served.around.port) as client:
        for _ in range(2):
            answer = await (await client.send(head + b"\r\n")).answer()
            assert (200, b"hello") == (answer.status, answer.body)

"""Clients that others wrote: curl, httpx, aiohttp, Node and a browser find nothing amiss."""

import asyncio
import json
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import httpx
import pytest
import requests

from tests.fakes.upstream import Seen
from tests.fakes.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

WITHIN_S = 30
BODY = bytes(range(256)) * 1000


async def run(program: str, *arguments: str, stdin: bytes = b"") -> bytes:
    """What ``program`` writes; skips the test where it is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"no {program} on PATH")
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    async with asyncio.timeout(WITHIN_S):
        out, _ = await process.communicate(stdin)
    assert process.returncode == 0, (process.returncode, out[:500])
    return out


async def echo(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Answer with what came."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(seen.body) + seen.body)
    await writer.drain()


# --- curl --------------------------------------------------------------------------------------


async def curl(around: World, path: str, *arguments: str, stdin: bytes = b"") -> bytes:
    """What curl prints of ``path``."""
    url = f"http://127.0.0.1:{around.port}{path}"
    return await run("curl", "-sS", "--max-time", "30", *arguments, url, stdin=stdin)


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1", "--http2"])
async def test_curl(version: str, around: World) -> None:
    """Whatever version it begins with, or would like."""
    out = await curl(around, "/public/x", version, "-w", "%{http_code} %{http_version}")
    assert b"hello200 1.1" == out


async def test_curl_uploads_in_chunks(around: World) -> None:
    """A body from a pipe has no length."""
    around.app.answers["/public/e"] = echo
    out = await curl(around, "/public/e", "-T", "-", stdin=BODY)
    assert BODY == out
    assert ["chunked"] == around.app.seen[0].values("Transfer-Encoding")


async def test_curl_expects(around: World) -> None:
    """It waits for 100 as long as it is told, and gets it from the app."""

    async def invite(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(len(BODY))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        assert body == BODY

    around.app.streams["/public/i"] = invite
    arguments = ("-H", "Expect: 100-continue", "--expect100-timeout", "15", "-m", "30")
    out = await curl(around, "/public/i", *arguments, "--data-binary", "@-", stdin=BODY)
    assert b"ok" == out


async def test_curl_asks_for_a_range(around: World) -> None:
    """Range goes in, 206 comes out."""
    around.app.answer(
        "/public/r",
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-3/5\r\n"
        b"Content-Length: 3\r\n\r\nell",
    )
    out = await curl(around, "/public/r", "-r", "1-3", "-w", "%{http_code}")
    assert b"ell206" == out
    assert ["bytes=1-3"] == around.app.seen[0].values("Range")


async def test_curl_unpacks(around: World) -> None:
    """Compressed by the app, unpacked by the client, untouched between."""
    import gzip  # noqa: PLC0415 (the only place)

    packed = gzip.compress(BODY)
    around.app.answer(
        "/public/z",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
        + packed,
    )
    assert BODY == await curl(around, "/public/z", "--compressed")


async def test_curl_keeps_its_connection(around: World) -> None:
    """Three requests, one connection."""
    urls = [f"http://127.0.0.1:{around.port}/public/x"] * 2
    out = await curl(around, "/public/x", "-w", "%{num_connects}", *urls)
    assert b"hello1hello0hello0" == out


@pytest.mark.parametrize(
    "arguments", [(), ("--data-binary", "@-"), ("-T", "-")], ids=["get", "length", "chunked"]
)
async def test_curl_offers_http_2(around: World, arguments: tuple[str, ...]) -> None:
    """It is answered over HTTP/1.1, twice on one connection; the app hears nothing of the offer."""
    around.app.answers["/public/e"] = echo
    again = f"http://127.0.0.1:{around.port}/public/e"
    said = ("-w", "%{http_version} %{http_code} %{num_connects};")
    out = await curl(around, "/public/e", "--http2", *arguments, *said, again, stdin=BODY)
    assert out.endswith(b"1.1 200 0;")
    assert out.count(b"1.1 200 1;") == 1
    assert (2 if arguments else 0) >= out.count(BODY) >= len(arguments[:1])
    for name in ("Upgrade", "HTTP2-Settings", "Connection"):
        assert [] == [value for seen in around.app.seen for value in seen.values(name)]


# --- Python ------------------------------------------------------------------------------------


async def test_httpx(around: World) -> None:
    """Lengths, chunks and streams, over kept connections."""

    async def parts() -> object:
        for start in range(0, len(BODY), 10_000):
            yield BODY[start : start + 10_000]

    around.app.answers["/public/e"] = echo
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{around.port}") as client:
        assert "hello" == (await client.get("/public/x")).text
        assert BODY == (await client.post("/public/e", content=BODY)).content
        assert BODY == (await client.put("/public/e", content=parts())).content  # type: ignore[arg-type]
        assert 401 == (await client.get("/private")).status_code
        head = await client.head("/public/x")
        assert (200, "5") == (head.status_code, head.headers["Content-Length"])


async def test_requests(around: World) -> None:
    """Over a kept connection: bodies of both framings, a redirect, answers without a body."""
    around.app.answers["/public/e"] = echo
    around.app.answer("/public/204", b"HTTP/1.1 204 No Content\r\n\r\n")
    around.app.answer(
        "/public/moved", b"HTTP/1.1 302 Found\r\nLocation: /public/x\r\nContent-Length: 0\r\n\r\n"
    )
    url = f"http://127.0.0.1:{around.port}/public/"

    def ask() -> list[tuple[int, bytes]]:
        with requests.Session() as session:
            answers = [
                session.get(url + "x", timeout=WITHIN_S),
                session.head(url + "x", timeout=WITHIN_S),
                session.post(url + "e", data=BODY, timeout=WITHIN_S),
                session.put(url + "e", data=iter([b"one", b"two"]), timeout=WITHIN_S),
                session.get(url + "204", timeout=WITHIN_S),
                session.get(url + "moved", timeout=WITHIN_S),
                session.request("PURGE", url + "x", timeout=WITHIN_S),
            ]
        return [(answer.status_code, answer.content) for answer in answers]

    assert [
        *((200, b"hello"), (200, b""), (200, BODY), (200, b"onetwo"), (204, b"")),
        *((200, b"hello"), (200, b"hello")),
    ] == await asyncio.to_thread(ask)


async def test_aiohttp(around: World) -> None:
    """Many at a time, each with its own body."""
    around.app.answers["/public/e"] = echo
    async with aiohttp.ClientSession(f"http://127.0.0.1:{around.port}") as client:

        async def ask(number: int) -> bytes:
            body = b"%d" % number * 1000
            async with client.post("/public/e", data=body) as answer:
                return await answer.read()

        answers = await asyncio.gather(*(ask(number) for number in range(50)))
    assert [b"%d" % number * 1000 for number in range(50)] == answers


# --- Node --------------------------------------------------------------------------------------

NODE = """
const http = require('http');
const agent = new http.Agent({keepAlive: true, maxSockets: 2});
const port = +process.argv[1];
function ask(method, path, body) {
  return new Promise((resolve, reject) => {
    const hints = [];
    const request = http.request({port, method, path, agent}, (answer) => {
      let text = '';
      answer.on('data', (part) => text += part);
      answer.on('end', () => resolve({status: answer.statusCode, text, hints,
        complete: answer.complete, raw: answer.rawHeaders}));
    });
    request.on('information', (hint) => hints.push(hint.statusCode));
    request.on('error', reject);
    for (const part of body || []) request.write(part);
    request.end();
  });
}
(async () => {
  const found = [await ask('GET', '/public/x'), await ask('POST', '/public/e', ['one', 'two']),
    await ask('GET', '/public/hints'), await ask('HEAD', '/public/x'),
    await ask('GET', '/private')];
  console.log(JSON.stringify(found));
  agent.destroy();
})();
"""


async def test_node(around: World) -> None:
    """Node's http reads everything, hints included."""
    around.app.answers["/public/e"] = echo
    around.app.answer(
        "/public/hints",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    )
    found = json.loads(await run("node", "-e", NODE, str(around.port)))
    assert [(200, "hello"), (200, "onetwo"), (200, "ok"), (200, "")] == [
        (one["status"], one["text"]) for one in found[:4]
    ]
    assert 401 == found[4]["status"]
    assert [103] == found[2]["hints"]
    assert all(one["complete"] for one in found)


# --- a browser ---------------------------------------------------------------------------------

PAGE = b"""<!doctype html><title>x</title><body><script type="module">
const lines = [];
lines.push(await (await fetch('/public/x')).text());
lines.push(await (await fetch('/public/e', {method: 'POST', body: 'x'.repeat(100000)})).text()
  .then((text) => text.length));
lines.push((await fetch('/private')).status);
const stream = (await fetch('/public/events')).body.getReader();
lines.push(new TextDecoder().decode((await stream.read()).value).trim());
await fetch('/public/found', {method: 'POST', body: lines.join(' ')});
</script>"""


@asynccontextmanager
async def browser(url: str, profile: Path) -> AsyncIterator[None]:
    """Chromium at ``url``; skips the test where it is not installed."""
    if shutil.which("chromium") is None:
        pytest.skip("no chromium on PATH")
    process = await asyncio.create_subprocess_exec(
        "chromium",
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *(f"--user-data-dir={profile}", url),
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        async with asyncio.timeout(WITHIN_S):
            await process.wait()


async def test_chromium(around: World, tmp_path: Path) -> None:
    """A page and what it fetches: bodies both ways, a refusal, a stream of events."""
    around.app.answers["/public/e"] = echo
    around.app.answer(
        "/public/page",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(PAGE)
        + PAGE,
    )
    around.app.answer(
        "/public/events",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"9\r\ndata: 1\n\n\r\n0\r\n\r\n",
    )
    found: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def keep(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await echo(seen, writer)
        found.set_result(seen.body)

    around.app.answers["/public/found"] = keep
    async with browser(f"http://localhost:{around.port}/public/page", tmp_path):
        async with asyncio.timeout(WITHIN_S):
            assert b"hello 100000 401 data: 1" == await found

"""Real clients and servers that speak WebSocket, and a gateway between them that stops."""

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.fakes.sockets import echoing
from tests.fakes.timing import assert_within, at_best_of
from tests.fakes.world import World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

NODE = shutil.which("node") and shutil.which("npm")
NODE_PACKAGES = Path(__file__).parents[1] / "node"

ROUTES = """
  - {name: open, match: {path: "/open/*"}, auth: none, upstream: echo}
  - {name: served, match: {path: "/served/*"}, auth: none, upstream: served}
"""


def upstreams(echo: int, served: int) -> str:
    """Two apps."""
    return (
        f'  echo: {{servers: ["http://127.0.0.1:{echo}"]}}\n'
        f'  served: {{servers: ["http://127.0.0.1:{served}"]}}'
    )


async def aiohttp_echo(request: web.Request) -> web.WebSocketResponse:
    """An app on aiohttp."""
    socket = web.WebSocketResponse(protocols=["chat"], heartbeat=20)
    await socket.prepare(request)
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            await socket.send_str(message.data)
        else:
            await socket.send_bytes(message.data)
    return socket


@asynccontextmanager
async def between_peers(folder: Path) -> AsyncIterator[World]:
    """A gateway before an app on `websockets` and one on aiohttp."""
    app = web.Application()
    app.add_routes([web.get("/served/{_}", aiohttp_echo)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served = int(runner.addresses[0][1])
    async with (
        echoing() as echo,
        world(
            folder,
            more_upstreams=upstreams(echo, served),
            more_routes=ROUTES,
            timeouts="{drain: 2s}",
        ) as running,
    ):
        yield running
    await runner.cleanup()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def around(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One gateway for the tests that change nothing."""
    async with between_peers(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.mark.parametrize("path", ["/open/x", "/served/x"])
async def test_aiohttp(around: World, path: str) -> None:
    """Its client, with compression and a subprotocol, to either app."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            f"{around.gateway.url}{path}", compress=15, protocols=["chat"], max_msg_size=0
        ) as socket,
    ):
        assert "chat" == socket.protocol
        assert socket.compress
        for text in ("hi", "x" * 200_000):
            await socket.send_str(text)
            assert text == (await socket.receive_str(timeout=10))
        await socket.send_bytes(bytes(range(256)) * 4096)
        assert bytes(range(256)) * 4096 == await socket.receive_bytes(timeout=10)
        await socket.ping(b"p")
        await socket.close(code=4001)
        assert (4001 if path == "/open/x" else 1000) == socket.close_code  # aiohttp says 1000


NODE_CLIENT = """
import WebSocket from "ws";
const socket = new WebSocket(process.argv[2], ["chat"], {perMessageDeflate: true});
const messages = ["hi", "x".repeat(200000), Buffer.alloc(70000, 7)];
const said = {echoed: 0, extensions: "", protocol: ""};
socket.on("open", () => {
  said.extensions = socket.extensions; said.protocol = socket.protocol;
  socket.ping("p");
});
socket.on("pong", () => socket.send(messages[0]));
socket.on("message", (data, isBinary) => {
  const sent = messages[said.echoed];
  if (!Buffer.from(sent).equals(data) || isBinary !== (typeof sent !== "string")) process.exit(1);
  said.echoed += 1;
  if (said.echoed < messages.length) socket.send(messages[said.echoed]);
  else socket.close(4002, "enough");
});
socket.on("close", (code) => { console.log(JSON.stringify({...said, code})); });
socket.on("error", (error) => { console.error(error); process.exit(1); });
"""


@pytest.mark.skipif(not NODE, reason="Node and npm are needed")
@pytest.mark.timeout(120)
async def test_node_ws(around: World, tmp_path: Path) -> None:
    """Node's `ws`, with compression, a subprotocol, a ping and a code of its own."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(NODE_PACKAGES / name, tmp_path)
    install = await asyncio.create_subprocess_exec(
        *("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    if await asyncio.wait_for(install.wait(), 60) != 0:
        pytest.skip("npm could not install ws")
    (tmp_path / "client.mjs").write_text(NODE_CLIENT)
    client = await asyncio.create_subprocess_exec(
        *("node", "client.mjs", f"ws://127.0.0.1:{around.port}/open/x"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaints = await asyncio.wait_for(client.communicate(), 30)
    assert not complaints
    answer = json.loads(said)
    assert answer.pop("extensions")
    assert {"echoed": 3, "protocol": "chat", "code": 4002} == answer


@at_best_of(3)
async def test_draining_says_goodbye(tmp_path: Path) -> None:
    """1001 to each, not to all at one time; then the process ends by itself."""
    async with between_peers(tmp_path) as around:
        await _drained(around)


async def _drained(around: World) -> None:
    sockets = [
        await connect(f"ws://127.0.0.1:{around.port}/open/{number}", ping_interval=None)
        for number in range(4)
    ]
    for socket in sockets:
        await socket.send("hi")
        assert "hi" == await socket.recv()
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    around.gateway.process.send_signal(signal.SIGTERM)

    async def ended_after_s(number: int) -> float:
        with pytest.raises(ConnectionClosed) as caught:
            await sockets[number].recv()
        assert caught.value.rcvd is not None
        assert 1001 == caught.value.rcvd.code
        return loop.time() - begun_s

    async with asyncio.timeout(20):
        ends_s = sorted(await asyncio.gather(*map(ended_after_s, range(4))))
        assert 0 == await around.gateway.process.wait()
    assert ends_s[-1] - ends_s[0] > 0.8
    assert_within(2, ends_s[-1])
    assert ["drained"] * 4 == [line["tunnel"] for line in around.gateway.log_lines()]

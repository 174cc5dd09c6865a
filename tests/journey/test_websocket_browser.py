"""A real browser's WebSocket, with the session cookie that only it can send."""

import asyncio
import shutil
from pathlib import Path

import orjson
import pytest

from tests.fakes.sockets import echoing
from tests.fakes.upstream import Seen
from tests.fakes.world import world

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

PAGE = """<!doctype html><script>
(async () => {
  const said = {};
  const credential = {Authorization: "Bearer TOKEN"};
  const signedIn = await fetch("/_gateway/session", {method: "POST", headers: credential});
  said.signedIn = signedIn.status;
  const socket = new WebSocket("ws://localhost/socket/x", ["chat"]);
  socket.onmessage = async (event) => {
    said.message = event.data;
    said.protocol = socket.protocol;
    said.extensions = socket.extensions;
    await fetch("/_gateway/session", {method: "DELETE"});
  };
  socket.onopen = () => socket.send("hi");
  socket.onclose = async (event) => {
    said.code = event.code;
    said.reason = event.reason;
    await fetch("/public/report", {method: "POST", body: JSON.stringify(said)});
  };
})();
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is needed")
@pytest.mark.timeout(90)
async def test_a_page_of_ours_in_chromium(tmp_path: Path) -> None:
    """It signs in, opens a WebSocket with its cookie, signs out, and is told 1008."""
    assert CHROMIUM is not None
    reported: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def report(seen: Seen, writer: asyncio.StreamWriter) -> None:
        reported.set_result(seen.body)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with (
        echoing() as echo,
        world(
            tmp_path,
            more_upstreams=f'  echo: {{servers: ["http://127.0.0.1:{echo}"]}}',
            more_routes='  - {name: socket, match: {path: "/socket/*"}, upstream: echo}',
        ) as around,
    ):
        page = PAGE.replace("TOKEN", around.bearer().rpartition(" ")[2]).encode()
        length = f"Content-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n".encode()
        around.app.answer("/public/page", b"HTTP/1.1 200 OK\r\n" + length + page)
        around.app.answers["/public/report"] = report
        browser = await asyncio.create_subprocess_exec(
            CHROMIUM,
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--remote-debugging-port=0"),
            f"--host-resolver-rules=MAP localhost:80 127.0.0.1:{around.port}",
            "http://localhost/public/page",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            said = orjson.loads(await asyncio.wait_for(reported, 60))
        finally:
            browser.kill()
            await browser.wait()
    assert "permessage-deflate" == said.pop("extensions").partition(";")[0]
    assert {
        "signedIn": 201,
        "message": "hi",
        "protocol": "chat",
        "code": 1008,
        "reason": "session ended",
    } == said

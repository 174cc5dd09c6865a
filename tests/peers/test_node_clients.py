"""Clients of Node that others wrote: undici, which is behind its fetch, and got."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.world import World
from tests.peers.test_http import echo, run

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

UNDICI = """
import {Agent, request} from "undici";
const url = process.argv[2];
const dispatcher = new Agent({connections: 1, pipelining: 4});
const ask = async (method, path, body, headers) => {
  const answer = await request(url + path, {method, body, headers, dispatcher});
  return [answer.statusCode, await answer.body.text()];
};
async function* parts() { yield "one"; yield "two"; }
const found = [await ask("GET", "/public/x"), await ask("HEAD", "/public/x"),
  await ask("POST", "/public/e", "hello"), await ask("PUT", "/public/e", parts()),
  await ask("DELETE", "/public/x"), await ask("GET", "/public/204"),
  await ask("GET", "/public/moved"), await ask("GET", "/private"),
  await ask("PURGE", "/public/x"),
  await ask("POST", "/public/e", "x".repeat(1000000)).then(([status, text]) =>
    [status, text.length]),
  ...await Promise.all([1, 2, 3, 4].map(() => ask("GET", "/public/x")))];
console.log(JSON.stringify(found));
await dispatcher.close();
"""

GOT = """
import {Agent} from "node:http";
import {Readable} from "node:stream";
import got from "got";
const url = process.argv[2];
const agent = {http: new Agent({keepAlive: true, maxSockets: 1})};
const ask = async (method, path, body) => {
  const answer = await got(url + path, {method, body, agent, retry: {limit: 0},
    throwHttpErrors: false, followRedirect: false});
  return [answer.statusCode, answer.body];
};
const found = [await ask("GET", "/public/x"), await ask("HEAD", "/public/x"),
  await ask("POST", "/public/e", "hello"),
  await ask("PUT", "/public/e", Readable.from(["one", "two"])),
  await ask("DELETE", "/public/x"), await ask("GET", "/public/204"),
  await ask("GET", "/public/moved"), await ask("GET", "/private"),
  [200, (await got(url + "/public/moved", {agent})).body],
  await ask("POST", "/public/e", "x".repeat(1000000)).then(([status, text]) =>
    [status, text.length]),
  ...await Promise.all([1, 2, 3, 4].map(() => ask("GET", "/public/x")))];
console.log(JSON.stringify(found));
agent.http.destroy();
"""


async def _said(around: World, packages: Path, name: str, script: str) -> list[list[Any]]:
    """What a script prints about the answers that it gets."""
    around.app.answers["/public/e"] = echo
    around.app.answer("/public/204", b"HTTP/1.1 204 No Content\r\n\r\n")
    around.app.answer(
        "/public/moved", b"HTTP/1.1 302 Found\r\nLocation: /public/x\r\nContent-Length: 0\r\n\r\n"
    )
    path = packages / f"{name}.mjs"
    path.write_text(script)
    said: list[list[Any]] = json.loads(
        await run("node", str(path), f"http://127.0.0.1:{around.port}")
    )
    return said


async def test_undici(around: World, packages: Path) -> None:
    """On one connection, with requests sent ahead."""
    said = await _said(around, packages, "undici", UNDICI)
    assert [
        *([200, "hello"], [200, ""], [200, "hello"], [200, "onetwo"], [200, "hello"], [204, ""]),
        [302, ""],
    ] == said[:7]
    assert [401, [200, "hello"], [200, 1_000_000]] == [said[7][0], *said[8:10]]
    assert [[200, "hello"]] * 4 == said[10:]
    posted = [seen for seen in around.app.seen if seen.target == "/public/e"]
    assert [["5"], [], ["1000000"]] == [seen.values("Content-Length") for seen in posted]
    assert ["chunked"] == posted[1].values("Transfer-Encoding")


async def test_got(around: World, packages: Path) -> None:
    """On one connection, with a redirect that it follows."""
    said = await _said(around, packages, "got", GOT)
    assert [
        *([200, "hello"], [200, ""], [200, "hello"], [200, "onetwo"], [200, "hello"], [204, ""]),
        [302, ""],
    ] == said[:7]
    assert [401, [200, "hello"], [200, 1_000_000]] == [said[7][0], *said[8:10]]
    assert [[200, "hello"]] * 4 == said[10:]

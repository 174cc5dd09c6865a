"""The example apps, run as their pages say, behind a gateway in development mode."""

import asyncio
import html
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from redis.asyncio import Redis

from tests.fakes.free_port import free_port
from tests.fakes.http import Answer, fetch
from tests.fakes.process import gateway
from tests.fakes.upstash import rest_database

EXAMPLES = Path(__file__).parents[2] / "examples"
START_S = 60
"""Next.js compiles the page at the first request."""

CONFIG = """
server: {{listen: ["127.0.0.1:0"], public_url: http://localhost}}
admin: null
redis: {{url: "embedded://"}}
magic: {{mode: development}}
limits: {{default: {{rate: 300/minute}}}}
upstreams: {{app: {{servers: ["http://127.0.0.1:{port}"], timeouts: {{response: 60s}}}}}}
routes:
  - {{name: app, match: {{path: "/*"}}, upstream: app}}
"""

EMAIL = "zoë+1%@example.com"  # ë and % are percent-encoded on the way, + is not
QUERY = "zo%C3%AB%2B1%25@example.com"
FORGED = ("X-User-Issuer: did:ethr:0xforged", "X_User_Email: forged@example.com")


class Example(NamedTuple):
    """How an app is run; ``{port}`` stands for where it listens."""

    folder: str
    command: tuple[str, ...]
    path: str = "/"
    needs: str = ""
    """A file that must be there: what ``npm ci`` makes."""


APPS = [
    Example("flask", (sys.executable, "-m", "flask", "run", "--port", "{port}")),
    Example("fastapi", (sys.executable, "-m", "uvicorn", "app:app", "--port", "{port}")),
    Example("express", ("node", "app.js"), needs="node_modules/express"),
    Example(
        "nextjs",
        ("node", "node_modules/next/dist/bin/next", "dev", "-H", "127.0.0.1", "-p", "{port}"),
        path="/whoami",
        needs="node_modules/typescript",
    ),
]


NEXTJS = APPS[-1]

SHARING = (
    CONFIG.replace('"embedded://"', '"unix://{socket}"')
    + """\
identity:
  roles: [{{role: reader, domains: [example.com]}}]
  permissions: {{reader: ["reports:read", "reports:list"]}}
"""
)


LOCKING = (
    CONFIG.replace('"embedded://"', '"unix://{socket}"').replace(
        "127.0.0.1:0", "127.0.0.1:{gateway}"
    )
    + """\
session: {{keys: ["a sealing key for tests, long enough to be one"]}}
credentials: {{api_keys: {{}}}}
"""
)
LOCKS = ("--owner", "shop", "--scope", "locks", "--config")


@asynccontextmanager
async def serving(example: Example, **environment: str) -> AsyncIterator[int]:
    """The app on a port of its own; its children end with it."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(word.format(port=port) for word in example.command),
        cwd=EXAMPLES / example.folder,
        env={**os.environ, "PORT": str(port), "NEXT_TELEMETRY_DISABLED": "1", **environment},
        stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(START_S):
            while not await _listens(port):
                assert process.returncode is None, f"{example.folder} ended by itself"
                await asyncio.sleep(0.05)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def token_for(port: int, query: str) -> str:
    """The field line of a token from the development page."""
    answer = await fetch(port, "POST", f"/_gateway/development/token?email={query}")
    assert 200 == answer.status
    return f"Authorization: Bearer {answer.body.decode().strip()}"


def skip_unless_installed(example: Example) -> None:
    """Python's apps come with the dev group; Node's are installed by hand."""
    if not example.needs:
        return
    if shutil.which("node") is None:
        pytest.skip("needs node")
    if not (EXAMPLES / example.folder / example.needs).exists():
        pytest.skip(f"run `npm ci` in examples/{example.folder} first")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("example", APPS, ids=lambda example: example.folder)
async def test_the_app_greets_the_authenticated_user(example: Example, tmp_path: Path) -> None:
    """401 without a token; with one, the app reads who it is, whatever the client forges."""
    skip_unless_installed(example)
    async with serving(example) as port, gateway(CONFIG.format(port=port), tmp_path) as running:
        stranger = await fetch(running.port, "GET", example.path, *FORGED)
        token = await token_for(running.port, QUERY)
        known = await _patiently(running.port, example.path, token, *FORGED)
        me = await fetch(running.port, "GET", "/_gateway/session", token)
    assert (401, "unauthenticated") == (stranger.status, stranger.code)
    assert 200 == known.status
    assert EMAIL == me.json()["email"]
    assert {
        "greeting": f"Hello, {EMAIL}",
        "issuer": me.json()["issuer"],
        "email": EMAIL,
    } == known.json()


@pytest.mark.timeout(120)
async def test_a_server_component_reads_what_magic_knows(tmp_path: Path) -> None:
    """With @upstash/redis, from the record that the gateway wrote; with the token it ends."""
    skip_unless_installed(NEXTJS)
    async with (
        rest_database() as database,
        serving(NEXTJS, **database.environment) as port,
        gateway(SHARING.format(port=port, socket=database.socket_path), tmp_path) as running,
    ):
        token = await token_for(running.port, "ada@example.com")
        page = (await _patiently(running.port, "/me", token)).body.decode()
        me = (await fetch(running.port, "GET", "/_gateway/session", token)).json()
    assert "<h1>Hello, ada@example.com</h1>" in page
    assert f'<p id="address">{me["public_address"]}</p>' in page
    assert '<p id="permissions">reports:list, reports:read</p>' in page


@pytest.mark.timeout(120)
async def test_a_server_action_runs_once(tmp_path: Path) -> None:
    """However often the form is sent: under a lock of the gateway, in a second database."""
    skip_unless_installed(NEXTJS)
    port = free_port()
    async with rest_database() as database:
        config = partial(LOCKING.format, gateway=port, socket=database.socket_path)
        (tmp_path / "keys.yaml").write_text(config(port=1))
        key = await _command("api-keys", "create", "app", *LOCKS, str(tmp_path / "keys.yaml"))
        environment = {"GATEWAY_URL": f"http://127.0.0.1:{port}", "GATEWAY_API_KEY": key}
        async with (
            serving(NEXTJS, **database.environment, **environment) as app,
            gateway(config(port=app), tmp_path) as running,
        ):
            token = await token_for(running.port, "ada@example.com")
            page = (await _patiently(running.port, "/welcome", token)).body.decode()
            kind, form = _form(page)
            sent = (
                fetch(running.port, "POST", "/welcome", token, kind, body=form) for _ in range(8)
            )
            answers = await asyncio.gather(*sent)
            me = (await fetch(running.port, "GET", "/_gateway/session", token)).json()
        async with Redis(unix_socket_path=database.socket_path) as store:
            row = await store.hgetall(f"profile:{me['issuer']}")
    assert {200} == {answer.status for answer in answers}
    assert b"1" == row[b"times"]
    assert row[b"done"]


def _form(page: str) -> tuple[str, bytes]:
    """Return type and body of the form on ``page``, as a browser without scripts sends it."""
    parts = re.findall(r'<input type="hidden" name="([^"]+)"(?: value="([^"]*)")?', page)
    assert parts
    disposition = 'Content-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    body = "".join("--part\r\n" + disposition.format(n, html.unescape(v)) for n, v in parts)
    return "Content-Type: multipart/form-data; boundary=part", f"{body}--part--\r\n".encode()


async def _command(*words: str) -> str:
    """Return what a command of the gateway prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *words), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert 0 == process.returncode
    return printed.decode().strip()


@pytest.mark.timeout(120)
async def test_the_types_of_an_example_are_right() -> None:
    """The record is typed by Magic's own SDK."""
    skip_unless_installed(NEXTJS)
    check = await asyncio.create_subprocess_exec(
        *("node", "node_modules/typescript/bin/tsc", "--noEmit"),
        cwd=EXAMPLES / NEXTJS.folder,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await check.communicate()
    assert (0, "") == (check.returncode, said.decode())


async def _patiently(port: int, path: str, *fields: str) -> Answer:
    """The answer, even if the app has to be compiled first."""
    while True:
        try:
            return await fetch(port, "GET", path, *fields)
        except TimeoutError:
            continue

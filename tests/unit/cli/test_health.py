"""``gateway health``; a journey asks a real gateway."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from tests.fakes.services import CONFIG, LISTEN

NOT_READY = (
    b'{"status": "draining", "store": "unavailable", "checks":'
    b' [{"name": "store", "ok": false, "detail": "no \\u001b[31m"},'
    b' {"name": "workers", "ok": true, "detail": "2 of 2 answer"}]}'
)


def _health(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["health", *arguments])


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    """A server that answers 503 with ``server.body``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body: bytes = self.server.body  # type: ignore[attr-defined]  # set by the tests
            self.send_response(503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            pause_s: float = getattr(self.server, "pause_s", 0.0)
            with suppress(OSError):  # the client has left
                for index in range(0, len(body), 16) if pause_s else ():
                    self.wfile.write(body[index : index + 16])
                    time.sleep(pause_s)
                if not pause_s:
                    self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _ask(server: HTTPServer, body: bytes, *arguments: str) -> Result:
    server.body = body  # type: ignore[attr-defined]  # read by the handler
    return _health("--url", f"http://127.0.0.1:{server.server_port}/", *arguments)


def test_a_gateway_that_is_not_ready(server: HTTPServer) -> None:
    """Each check is a line; what another program says writes nothing to the terminal."""
    ran = _ask(server, NOT_READY)
    assert 1 == ran.exit_code
    assert [
        "ready: draining, store unavailable",
        "  FAIL store: no \ufffd[31m",
        "  ok   workers: 2 of 2 answer",
    ] == ran.stdout.splitlines()
    assert 1 == _ask(server, NOT_READY, "--probe", "startup").exit_code


@pytest.mark.parametrize("body", [b"[]", b"<html>", b" " * 1024 * 1024 + b"{}"])
def test_another_server_in_its_place(server: HTTPServer, body: bytes) -> None:
    """Is no gateway: it counts as not reached."""
    assert 3 == _ask(server, body).exit_code


def test_a_gateway_that_does_not_run() -> None:
    """Exit status 3, with the address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        ran = _health("--url", f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert (3, True) == (ran.exit_code, "was not reached" in ran.stderr)


@pytest.mark.parametrize("url", ["127.0.0.1:9090", "http://", "http://a:x", "ftp://a"])
def test_what_is_no_url(url: str) -> None:
    """The message says what one looks like."""
    ran = _health("--url", url)
    assert (2, True) == (ran.exit_code, "expected http://HOST:PORT" in ran.stderr), ran.output


def test_a_probe_imports_little() -> None:
    """It is run every few seconds in each container: the whole gateway would take a second."""
    probe = """
import atexit, sys
atexit.register(lambda: print(*sys.modules))
from gateway.cli.main import main
main(["health", "--url", "http://127.0.0.1:1"])
"""
    ran = subprocess.run([sys.executable, "-c", probe], check=False, stdout=subprocess.PIPE)
    imported = set(ran.stdout.decode().split())
    assert (3, True) == (ran.returncode, "gateway.cli.health" in imported)
    assert set() == imported & {"aiohttp", "asyncio", "pydantic", "orjson", "gateway.config.load"}


def test_a_gateway_that_drips(server: HTTPServer) -> None:
    """The time-out is for the whole answer, however often something comes."""
    server.pause_s = 0.04  # type: ignore[attr-defined]  # read by the handler
    ran = _ask(server, NOT_READY, "--timeout", "0.1")
    assert (3, True) == (ran.exit_code, "has not answered within 0.1 s" in ran.stderr)


def test_a_gateway_that_hangs() -> None:
    """Exit status 3 after the time-out."""
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        address = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        ran = _health("--url", address, "--timeout", "0.05")
    assert (3, True) == (ran.exit_code, "has not answered within 0.05 s" in ran.stderr)


def test_a_config_without_a_private_listener(tmp_path: Path) -> None:
    """There is nothing to ask: the message says what to do."""
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIG.format(more="", server=LISTEN, redis="embedded://"))
    ran = _health("--config", str(config))
    assert (2, True) == (ran.exit_code, "--url" in ran.stderr), ran.output

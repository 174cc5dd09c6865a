"""What probes and the service manager see of a real gateway, from its start to its end."""

import asyncio
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.fakes.process import gateway
from tests.fakes.world import ADMIN, World, world

CONFIG = """
server: {{listen: ["127.0.0.1:0"], public_url: "http://localhost", workers: {workers}}}
admin: {{listen: "127.0.0.1:0"}}
redis: {{url: "embedded://"}}
magic: {{mode: development}}
upstreams: {{app: {{servers: ["http://127.0.0.1:1"]}}}}
routes: [{{name: rest, match: {{path: "/*"}}, upstream: app}}]
"""


async def _health(around: World, *arguments: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{around.gateway.admin_port}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "health", "--url", url, *arguments),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_the_command_asks_a_gateway_with_workers(tmp_path: Path) -> None:
    """It is ready with each of its checks; after the end it is not reached."""
    async with world(tmp_path, admin=ADMIN, workers="2") as around:
        status, out = await _health(around)
        assert (0, "ready: ok, store ok") == (status, out.splitlines()[0]), out
        assert "  ok   workers: 2 of 2 answer" in out.splitlines()
        assert "  ok   upstream app: 1 of 1 servers usable" in out.splitlines()
        assert (0, "startup: started\n") == await _health(around, "--probe", "startup")
        assert (0, "live: ok\n") == await _health(around, "--probe", "live")
        await around.gateway.stop()
        assert (3, "") == await _health(around)


@pytest.mark.parametrize("workers", [1, 2])
async def test_systemd_is_told(tmp_path: Path, workers: int) -> None:
    """Of the start, the watchdog, a reload and the stop, in this order."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        launcher = ("env", f"NOTIFY_SOCKET={tmp_path}/notify", "WATCHDOG_USEC=100000")

        async def until(field: str) -> list[str]:
            loop, told = asyncio.get_running_loop(), []
            async with asyncio.timeout(30):
                while field not in told:
                    told += (await loop.sock_recv(systemd, 4096)).decode().split("\n")
            return told

        async with gateway(CONFIG.format(workers=workers), tmp_path, launcher) as running:
            assert "READY=1" in await until("STATUS=serving")
            await until("WATCHDOG=1")
            running.process.send_signal(signal.SIGHUP)
            await until("RELOADING=1")
            assert "STOPPING=1" not in await until("STATUS=serving")
            stopping = asyncio.create_task(running.stop())
            await until("STOPPING=1")
            await stopping

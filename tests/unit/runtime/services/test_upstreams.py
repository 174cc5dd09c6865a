"""What follows from the settings."""

import asyncio
import socket
from collections.abc import Sequence

from aiohappyeyeballs import AddrInfoType

from gateway.config.load import parse
from gateway.proxy.http1.write_batch import WriteBatcher
from gateway.proxy.upstream.connect import Resolver
from gateway.runtime.process import WireServices
from gateway.runtime.services.upstreams import upstreams
from gateway.telemetry.counters import Counters
from gateway.util.deadlines import Deadlines

CONFIG = """
server: {public_url: http://localhost}
redis: {url: 'embedded://'}
magic: {mode: development}
upstreams: {app: {servers: ["http://app.internal:80"]}}
"""

FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]


async def test_a_reload_while_dns_is_down_changes_nothing() -> None:
    """The upstreams of the new config go on with the addresses that those of the old one knew."""
    answers = [FOUND]

    async def look_up(_: str, __: int) -> Sequence[AddrInfoType]:
        if not answers:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return answers.pop()

    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop, 1)
    resolver = Resolver(loop, look_up, ttl_s=0)
    shared = WireServices(loop, deadlines, WriteBatcher(loop), Counters(), resolver)
    for _ in range(2):
        upstream = upstreams(parse(CONFIG, "gateway.yaml", {}, str), shared)["app"]
        ask = upstream.servers[0].look_up
        assert ask is not None
        assert FOUND == await ask()
    deadlines.close()

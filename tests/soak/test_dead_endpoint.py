"""What a webhook costs a login: next to nothing, also where its endpoint is dead."""

import asyncio
import os
import random
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median, quantiles

import pytest

from gateway.authn.did_token.mint import TokenSigner, signer
from tests.fakes.free_port import closed_port
from tests.fakes.hook_receiver import receiving
from tests.fakes.hooks import SECRET
from tests.fakes.http import fetch
from tests.fakes.process import GatewayProcess, gateway
from tests.fakes.redis_cluster import redis_cluster
from tests.fakes.world import World, world

PEOPLE = int(os.environ.get("DEAD_ENDPOINT_PEOPLE", "200"))
"""Those who sign in at each gateway: what they have recorded is handed on at the others' turns."""
WARM_UP = 5
LOGINS = ("first", "second")
MAX_TIMES = 1.5
"""Beyond it a login waits for deliveries; what a machine does beside it costs less."""
HOOKS = """
hooks:
  allow_private: [127.0.0.0/8]
  timeout: 2s
  first_login: {{url: "{url}", secret: {secret}}}
"""

pytestmark = pytest.mark.slow


@contextmanager
def silent() -> Iterator[str]:
    """An endpoint that takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


@contextmanager
def refusing() -> Iterator[str]:
    """An endpoint whose port is closed: no other process gets it meanwhile."""
    with closed_port() as port:
        yield f"http://127.0.0.1:{port}/"


@asynccontextmanager
async def gateways(around: World, folder: Path) -> AsyncIterator[dict[str, GatewayProcess]]:
    """One gateway for each kind of endpoint, and one without."""
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        urls = {
            "none": "",
            "answers": receiver.url("/first"),
            "refuses": stack.enter_context(refusing()),
            "is silent": stack.enter_context(silent()),
        }
        text, found = around.gateway.config.read_text(), {}
        for number, (kind, url) in enumerate(urls.items()):
            hooks = HOOKS.format(url=url, secret=SECRET) if url else ""
            config = text.replace("limits:", f"{hooks}\nlimits:", 1)
            config = config.replace("timeout: 1s}", f'timeout: 1s, prefix: "p{number}:"}}', 1)
            place = folder / str(number)
            await asyncio.to_thread(place.mkdir)
            found[kind] = await stack.enter_async_context(gateway(config, place))
        yield found


async def login_ms(around: World, port: int, by: TokenSigner) -> float:
    """Time a login of a person, by a token that the gateway has seen."""
    bearer = around.bearer(by)
    assert 200 == (await fetch(port, "GET", "/x", bearer)).status
    began_s = time.perf_counter()
    answer = await fetch(port, "POST", "/_gateway/session", bearer)
    took_s = time.perf_counter() - began_s
    assert 201 == answer.status
    return took_s * 1000


@pytest.mark.parametrize("store", ["one server", "a cluster"])
async def test_a_login_does_not_wait_for_an_endpoint(tmp_path: Path, store: str) -> None:
    """
    Dead, or not: it takes as long as one without, measured in turn.

    What else the machine does makes some logins slower: the quicker quarter is judged.
    """
    async with AsyncExitStack() as stack:
        changes = {}
        if store == "a cluster":
            changes = {"redis": stack.enter_context(redis_cluster()).url}
        around = await stack.enter_async_context(world(tmp_path, **changes))
        running = await stack.enter_async_context(gateways(around, tmp_path))
        took_ms: dict[str, dict[str, list[float]]] = {
            login: {kind: [] for kind in running} for login in LOGINS
        }
        for number in range(PEOPLE + WARM_UP):
            people = {kind: signer(secrets.token_bytes(32)) for kind in running}
            for login in LOGINS:
                for kind in random.sample(sorted(running), len(running)):
                    took = await login_ms(around, running[kind].port, people[kind])
                    took_ms[login][kind] += [took] if number >= WARM_UP else []
    told = [f"the {login} login over {store}: {_told(took_ms[login])}" for login in LOGINS]
    print("", *told, sep="\n")  # noqa: T201
    for by_kind in took_ms.values():
        quick = {kind: quantiles(those, n=4)[0] for kind, those in by_kind.items()}
        assert max(quick.values()) < MAX_TIMES * quick["none"], told


def _told(took_ms: Mapping[str, Sequence[float]]) -> str:
    typical = {kind: median(those) for kind, those in took_ms.items()}
    return ", ".join(
        f"{kind} {ms:.2f} ms ({ms / typical['none']:.2f})" for kind, ms in typical.items()
    )

"""What a flood of refused navigations costs: at most twice what refused programs do."""

from collections.abc import AsyncIterator
from itertools import count, product
from string import ascii_lowercase

import pytest
import pytest_asyncio

from tests.fakes.http import connected
from tests.fakes.world import World, world

REQUESTS = 2000
AT_ONCE = 20
MAX_TIMES = 2.0
MAX_BYTES = 4096
"""Of an answer, its head included."""

TAGS = ["".join(letters) for letters in product(ascii_lowercase, repeat=2)]
NUMBERS = count()
PROGRAM = ("Accept: application/json", "Sec-Fetch-Mode: cors")
PERSON = ("Accept: text/html", "Sec-Fetch-Mode: navigate")
"""As long as the other."""


def browser() -> list[str]:
    """What browsers send."""
    return ["Accept-Language: de-AT,de;q=0.9,en;q=0.8"]


def languages() -> list[str]:
    """Each time another list of as many as are read."""
    start = next(NUMBERS) % len(TAGS)
    return ["Accept-Language: " + ",".join((TAGS[start:] + TAGS)[:85])]


def choices() -> list[str]:
    """A cookie of the switch many times over, with no language that there is."""
    return ["Cookie: " + "; ".join(f"gateway-lang=x{number}" for number in range(300))]


CASES = {
    "401": ("/keys", browser, False),
    "429": ("/once", browser, False),
    "403 of a person with a session": ("/staff", browser, True),
    "404 with a list of languages": ("/_gateway/verify", languages, False),
    "401 with a list of languages": ("/keys", languages, False),
    "401 with many cookies": ("/keys", choices, False),
}

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def around(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A gateway with a limit that is used up, and routes that refuse."""
    routes = """
  - {name: once, match: {path: "/once"}, auth: none, limits: [once], upstream: app}
  - {name: keys, match: {path: "/keys"}, accept: [api-key], upstream: app}
  - {name: staff, match: {path: "/staff"}, allow: [{roles: [staff]}], upstream: app}
"""
    changes = {
        "more_routes": routes,
        "more_limits": "  once: {rate: 1/day}",
        "more": "credentials: {api_keys: {}}",
    }
    async with world(tmp_path_factory.mktemp("pages"), **changes) as running:
        await running.get("/once")
        yield running


@pytest.mark.parametrize("name", CASES)
async def test_a_flood_of_pages_is_bounded(name: str, around: World) -> None:
    """By the processor time of the gateway and by the octets that it sends."""
    path, more, is_signed_in = CASES[name]
    cookie = [await around.sign_in()] if is_signed_in else []
    figures = {}
    for kind, fields in (("problem document", PROGRAM), ("page", PERSON)):
        requests = [_request(path, *fields, *more(), *cookie) for _ in range(REQUESTS)]
        await _cost(around, requests[:100])
        figures[kind] = await _cost(around, requests)
        cpu_us, octets = figures[kind]
        print(f"{name}, {kind}: {cpu_us:.1f} us of processor time, {octets:.0f} B")  # noqa: T201 (the figures of the run)
    (plain_us, _), (page_us, page_bytes) = figures.values()
    assert page_us <= MAX_TIMES * plain_us
    assert page_bytes <= MAX_BYTES


def _request(path: str, *fields: str) -> bytes:
    lines = (f"GET {path} HTTP/1.1", "Host: localhost", *fields)
    return "\r\n".join((*lines, "", "")).encode()


async def _cost(around: World, requests: list[bytes]) -> tuple[float, float]:
    """Send ``requests``, some at once, over one connection; return the cost of each."""
    octets, cpu_s = 0, around.gateway.cpu_s()
    async with connected(around.port) as client:
        for start in range(0, len(requests), AT_ONCE):
            batch = requests[start : start + AT_ONCE]
            await client.send(b"".join(batch))
            for _ in batch:
                answer = await client.answer()
                assert answer.status >= 400
                octets += len(answer.body) + sum(len(a) + len(b) + 4 for a, b in answer.headers)
    cpu_s = around.gateway.cpu_s() - cpu_s
    return cpu_s / len(requests) * 1e6, octets / len(requests)

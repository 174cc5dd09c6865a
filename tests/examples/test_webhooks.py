"""The receivers of webhooks among the examples: they verify, drop repeats, and answer."""

import asyncio
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import redis

from gateway.core.event import Event, EventType
from gateway.hooks.cloud_event import CONTENT_TYPE, encode
from gateway.hooks.signature import Signer
from tests.examples.test_examples import NEXTJS, Example, serving, skip_unless_installed
from tests.fakes.hooks import ADA, BOB, SECRET, event
from tests.fakes.http import fetch
from tests.fakes.upstash import rest_database

OTHER = "whsec_" + b64encode(b"o" * 32).decode()
UVICORN = (sys.executable, "-m", "uvicorn", "hooks:app", "--port", "{port}")

pytestmark = pytest.mark.timeout(120)


class Ear(NamedTuple):
    """A receiver that runs."""

    port: int
    people: Callable[[], Awaitable[list[str]]]
    """The people that it has welcomed, each as often as it has."""

    async def told(self, body: bytes, fields: Mapping[str, str]) -> int:
        """The status of the answer to a delivery."""
        lines = [f"{name}: {value}" for name, value in fields.items()]
        lines.append(f"Content-Type: {CONTENT_TYPE}")
        while True:
            try:
                return (await fetch(self.port, "POST", "/hooks", *lines, body=body)).status
            except TimeoutError:  # Next.js compiles at the first request
                continue


@asynccontextmanager
async def fastapi(folder: Path) -> AsyncIterator[Ear]:
    example = Example("fastapi", UVICORN)
    async with serving(
        example, HOOK_SECRET=SECRET, HOOK_DATABASE=str(folder / "people.db")
    ) as port:
        yield _with_page(port)


@asynccontextmanager
async def express(folder: Path) -> AsyncIterator[Ear]:
    example = Example("express", ("node", "hooks.js"), needs="node_modules/standardwebhooks")
    skip_unless_installed(example)
    async with serving(example, HOOK_SECRET=SECRET, HOOK_FOLDER=str(folder)) as port:
        yield _with_page(port)


@asynccontextmanager
async def nextjs(_: Path) -> AsyncIterator[Ear]:
    skip_unless_installed(NEXTJS._replace(needs="node_modules/standardwebhooks"))
    async with (
        rest_database() as database,
        serving(NEXTJS, HOOK_SECRET=SECRET, **database.environment) as port,
    ):

        async def people() -> list[str]:
            with redis.Redis(unix_socket_path=database.socket_path) as client:
                found = await asyncio.to_thread(client.lrange, "app:welcomes", 0, -1)
            return sorted(each.decode() for each in found)

        yield Ear(port, people)


def _with_page(port: int) -> Ear:
    async def people() -> list[str]:
        return list((await fetch(port, "GET", "/people")).json())

    return Ear(port, people)


def first_login(name: str, subject: str) -> bytes:
    return event(name, subject, EventType.FIRST_LOGIN)


def signed(
    body: bytes, name: str, secrets: Sequence[str] = (SECRET,), now_s: float = 0
) -> dict[str, str]:
    return Signer(secrets).fields(name, now_s or time.time(), body)


@pytest.mark.parametrize("receiver", [fastapi, express, nextjs], ids=lambda each: each.__name__)
async def test_an_event_takes_effect_once(
    receiver: Callable[[Path], AbstractAsyncContextManager[Ear]], tmp_path: Path
) -> None:
    """However often it is delivered; what does not verify takes none, and is answered 401."""
    ada, bob = first_login("e1", ADA), first_login("e2", BOB)
    old_s = time.time() - 3600
    async with receiver(tmp_path) as ear:
        for body, fields in (
            (ada + b" ", signed(ada, "e1")),
            (ada, {**signed(ada, "e1"), "webhook-id": "e3"}),
            (ada, signed(ada, "e1", [OTHER])),
            (ada, signed(ada, "e1", now_s=old_s)),
            (ada, {**signed(ada, "e1"), "webhook-signature": "v1"}),
            (ada, {}),
        ):
            assert 401 == await ear.told(body, fields)
        assert [] == await ear.people()

        assert [204, 204] == [await ear.told(ada, signed(ada, "e1")) for _ in range(2)]
        rotated = signed(bob, "e2", [OTHER, SECRET])
        statuses = await asyncio.gather(*(ear.told(bob, rotated) for _ in range(8)))
        assert 204 in statuses
        assert {204, 503} >= set(statuses)
        trial = encode(
            Event("e3", EventType.FIRST_LOGIN, ADA, 1_700_000_000_000, {"test": True}), ""
        )
        assert 204 == await ear.told(trial, signed(trial, "e3"))
        login = event("e4", ADA)
        assert 204 == await ear.told(login, signed(login, "e4"))
        assert sorted([ADA, BOB]) == await ear.people()


async def test_a_receiver_that_can_write_no_more_loses_no_work(tmp_path: Path) -> None:
    """What it answers 204 has taken effect, also where its disk is full: files take no byte."""
    full = ("sh", "-c", "ulimit -f 0; exec node hooks.js")
    example = Example("express", full, needs="node_modules/standardwebhooks")
    skip_unless_installed(example)
    ada = first_login("e1", ADA)
    async with serving(example, HOOK_SECRET=SECRET, HOOK_FOLDER=str(tmp_path)) as port:
        ear = _with_page(port)
        statuses = [await ear.told(ada, signed(ada, "e1")) for _ in range(2)]
        assert ([ADA] if 204 in statuses else []) == await ear.people()


async def test_a_person_who_is_there_already_holds_up_no_deliveries(tmp_path: Path) -> None:
    """Such as one of another id, or of an import: the event is answered 204, not 500 for a day."""
    async with fastapi(tmp_path) as ear:
        for name in ("e1", "e2"):
            ada = first_login(name, ADA)
            assert 204 == await ear.told(ada, signed(ada, name))
        assert [ADA] == await ear.people()

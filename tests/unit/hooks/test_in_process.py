"""Hooks in Python, which run in the gateway."""

import asyncio
import logging
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import fakeredis
import pytest

from gateway.core.errors import StartError
from gateway.core.event import Event, EventType
from gateway.hooks.attempts import HookAnswer, Verdict, verdict
from gateway.hooks.delivery import AttemptOutcome, Deliveries
from gateway.hooks.in_process import (
    GROUP,
    GiveUp,
    Hook,
    InProcessSender,
    in_process_endpoint,
    load_hook,
)
from gateway.hooks.queue import DeliveryQueue
from gateway.hooks.sender import Post
from gateway.store.redis import RedisStore
from tests.fakes.hooks import ADA, delivery, event

HERE = __name__


async def greet(_: Event) -> None:
    """A hook, as a package has it."""


class Greeter:
    """A hook with a state."""

    async def __call__(self, event: Event) -> None: ...


greeter = Greeter()


def blocking(_: Event) -> None:
    """No hook: it is not async."""


def offered(value: str, name: str = "greet") -> EntryPoint:
    return EntryPoint(name, value, GROUP)


async def sent(hook: Hook, timeout_s: float = 30) -> HookAnswer:
    """Hand one event to a hook."""
    return await InProcessSender("crm", hook, timeout_s).send(Post("python:x", {}, event("e1")))


async def test_a_hook_gets_the_event() -> None:
    """When it returns, the event is delivered."""
    seen: list[Event] = []

    async def hook(event: Event) -> None:
        seen.append(event)

    assert Verdict.DELIVERED is verdict(await sent(hook))
    assert [Event("e1", EventType.LOGIN, ADA, 1_700_000_000_000, {})] == seen


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(RuntimeError("secret"), Verdict.RETRY, id="fails"),
        pytest.param(SystemExit(), Verdict.RETRY, id="would-end-the-gateway"),
        pytest.param(asyncio.CancelledError(), Verdict.RETRY, id="is-cancelled"),
        pytest.param(GiveUp(), Verdict.DEAD, id="gives-up"),
    ],
)
async def test_a_hook_that_raises(
    error: BaseException, expected: Verdict, caplog: pytest.LogCaptureFixture
) -> None:
    """It gets the event again, or never; its message stays out of the log."""

    async def hook(_: Event) -> None:
        raise error

    with caplog.at_level(logging.WARNING):
        answer = await sent(hook)
    assert expected is verdict(answer)
    assert "secret" not in caplog.text + answer.reason


async def test_a_hook_that_takes_too_long() -> None:
    """It is cancelled, and gets the event again."""
    is_cancelled = asyncio.Event()

    async def hook(_: Event) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            is_cancelled.set()
            raise

    answer = await sent(hook, 0.01)
    assert (Verdict.RETRY, "no answer in time") == (verdict(answer), answer.reason)
    async with asyncio.timeout(20):
        await is_cancelled.wait()


async def test_a_hook_that_does_not_end() -> None:
    """It holds nothing up, though it does not heed its cancellation."""
    may_end = asyncio.Event()

    async def hook(_: Event) -> None:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue

    async with asyncio.timeout(20):
        assert Verdict.RETRY is verdict(await sent(hook, 0.01))
    may_end.set()


async def test_a_cancelled_attempt_cancels_the_hook() -> None:
    """As when the gateway ends."""
    begun, is_cancelled = asyncio.Event(), asyncio.Event()

    async def hook(_: Event) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            is_cancelled.set()
            raise

    attempt = asyncio.create_task(sent(hook))
    async with asyncio.timeout(20):
        await begun.wait()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        await is_cancelled.wait()


@pytest.mark.parametrize("name", ["greet", "greeter"])
def test_a_hook_is_loaded(name: str) -> None:
    """A function, or an object that is called like one; by the name of its entry point."""
    found = [offered(f"{HERE}:blocking", "other"), offered(f"{HERE}:{name}")]
    assert getattr(sys.modules[HERE], name) is load_hook("greet", found)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        pytest.param([], "no package offers it", id="none"),
        pytest.param(
            [offered(f"{HERE}:greet"), offered(f"{HERE}:greeter")], "several", id="several"
        ),
        pytest.param([offered(f"{HERE}:blocking")], "no async function", id="not-async"),
        pytest.param([offered(f"{HERE}:Greeter")], "no async function", id="a-class"),
        pytest.param([offered(f"{HERE}:absent")], "AttributeError", id="nothing-there"),
        pytest.param([offered("no_such_package:x")], "ModuleNotFoundError", id="no-module"),
    ],
)
def test_a_hook_that_cannot_be_loaded(found: list[EntryPoint], message: str) -> None:
    """The gateway does not start."""
    with pytest.raises(StartError, match=message):
        load_hook("greet", found)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that offers a hook, as pip installs it."""
    (tmp_path / "shop_hooks.py").write_text("async def welcome(event): pass\n")
    info = tmp_path / "shop_hooks-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-hooks\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nwelcome = shop_hooks:welcome\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("shop_hooks", None)


@pytest.mark.usefixtures("installed")
async def test_the_hook_of_an_installed_package() -> None:
    """It is found by its entry point."""
    assert Verdict.DELIVERED is verdict(await sent(load_hook("welcome")))
    with pytest.raises(StartError):
        load_hook("farewell")


async def test_deliveries_go_to_a_hook_as_to_a_webhook() -> None:
    """From the queue of its endpoint, which gets the kinds of events that it wants."""
    done = asyncio.Event()
    seen: list[str] = []

    async def hook(event: Event) -> None:
        seen.append(event.id)

    def note(outcome: AttemptOutcome) -> None:
        assert Verdict.DELIVERED is outcome.verdict
        done.set()

    async def bury(*_: object) -> None:
        raise AssertionError

    place = in_process_endpoint("welcome", frozenset({EventType.FIRST_LOGIN}))
    assert "python:welcome" == place.url
    store = RedisStore(fakeredis.FakeAsyncRedis(), "gw:", timeout_s=5)
    queue = DeliveryQueue(store, place.name)
    await queue.add([delivery("e1", kind=EventType.FIRST_LOGIN)])
    deliveries = Deliveries(place, queue, InProcessSender("crm", hook, 5), bury, 5, note)
    running = asyncio.create_task(deliveries.run())
    async with asyncio.timeout(20):
        await done.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await store.aclose()
    assert ["e1"] == seen

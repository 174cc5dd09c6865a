"""What a worker makes of what its supervisor says."""

import asyncio
import errno
import gc
import time
from typing import cast

import pytest

from gateway.admin.status import Status
from gateway.config.schema import Settings
from gateway.core.errors import MagicUnavailable, StoreUnavailable
from gateway.revocation.name import UnknownEmail
from gateway.revocation.revoke import Revocation, Revoked
from gateway.runtime.gateway import Gateway
from gateway.runtime.serve import Stop
from gateway.runtime.worker import _answer, _answer_requests
from gateway.runtime.worker_rpc import Message, RpcConnection

CONFIG = """
server: {public_url: http://localhost, workers: 2}
redis: {url: 'embedded://'}
magic: {mode: development}
"""

DONE = Revocation((Revoked("ada", 5, 2),))


class Unable:
    """A gateway that cannot open what a new config needs."""

    async def reload(self, _: Settings) -> None:
        """As where no descriptor is left."""
        raise OSError(errno.EMFILE, "Too many open files")

    async def use_candidate(self, settings: Settings | None) -> None:
        """As where no descriptor is left; there is always a way back to none."""
        if settings is not None:
            raise OSError(errno.EMFILE, "Too many open files")


async def test_a_reload_that_fails_in_an_unforeseen_way_is_refused() -> None:
    """The worker says so and serves on: else all workers would end at once, for one config."""
    config = {"name": "gateway.yaml", "text": CONFIG, "files": {}}
    message = {"number": 1, "what": "reload", "config": config}
    assert {"failed": "OSError"} == await _answer(message, cast("Gateway", Unable()), 2)


@pytest.mark.parametrize("is_withdrawn", [False, True])
async def test_a_candidate_that_fails_in_an_unforeseen_way_is_refused(
    *, is_withdrawn: bool
) -> None:
    """The worker serves on: it has no effect on requests in any other way either."""
    config = None if is_withdrawn else {"name": "new.yaml", "text": CONFIG, "files": {}}
    message = {"number": 1, "what": "candidate", "config": config}
    expected = {} if is_withdrawn else {"failed": "OSError"}
    assert expected == await _answer(message, cast("Gateway", Unable()), 2)


class Taking:
    """A gateway that takes any candidate."""

    collects: bool | None = None

    async def use_candidate(self, _: Settings | None) -> None:
        """Note whether garbage is collected meanwhile."""
        self.collects = gc.isenabled()


async def test_a_candidate_is_made_without_collections() -> None:
    """As a config of a reload: one of 10 000 routes would stop requests for 0.1 s each time."""
    config, gateway = {"name": "new.yaml", "text": CONFIG, "files": {}}, Taking()
    message = {"number": 1, "what": "candidate", "config": config}
    assert {} == await _answer(message, cast("Gateway", gateway), 2)
    assert (False, True) == (gateway.collects, gc.isenabled())


class Revoking:
    """A gateway that revokes, or does not."""

    def __init__(self, outcome: Revocation | Exception) -> None:
        self._outcome = outcome

    async def revoke(self, _: str) -> Revocation:
        """What it was made with."""
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


@pytest.mark.parametrize(
    ("outcome", "answer"),
    [
        (DONE, DONE.to_json()),
        (UnknownEmail("mistyped"), {"wrong": "mistyped", "code": "unknown_email"}),
        (StoreUnavailable("down"), {"failed": "down"}),
        (MagicUnavailable("down", 7.0), {"magic_failed": "down", "retry_after_s": 7.0}),
    ],
)
async def test_a_revocation_is_done_for_the_supervisor(
    outcome: Revocation | Exception, answer: dict[str, object]
) -> None:
    """It has no store of its own."""
    message = {"number": 1, "what": "revoke", "issuer": "ada", "until_s": time.time() + 60}
    assert answer == await _answer(message, cast("Gateway", Revoking(outcome)), 2)


async def test_a_revocation_that_was_asked_for_long_ago_is_not_done() -> None:
    """By a worker that was held up: another one did it, and the person may have come back since."""
    message = {"number": 1, "what": "revoke", "issuer": "ada", "until_s": time.time() - 0.001}
    done = cast("Gateway", Revoking(DONE))
    assert {"failed": "too late"} == await _answer(message, done, 2)


class AskingMagic:
    """A gateway that asks Magic first, which does not answer for long."""

    def __init__(self) -> None:
        self.has_revoked = False

    async def revoke(self, _: str) -> Revocation:
        """Too late for any supervisor."""
        await asyncio.sleep(60)
        self.has_revoked = True
        return DONE


async def test_a_revocation_ends_when_the_supervisor_gives_up() -> None:
    """Looking up an email address takes long: another worker does it all by then."""
    asking = AskingMagic()
    message = {"number": 1, "what": "revoke", "issuer": "a@b.c", "until_s": time.time() + 0.05}
    async with asyncio.timeout(20):
        answer = await _answer(message, cast("Gateway", asking), 2)
    assert ({"failed": "too late"}, False) == (answer, asking.has_revoked)


class Supervisor:
    """The other end: asks one thing after the other, and is gone once both are answered."""

    def __init__(self, *asked: str) -> None:
        more = {"issuer": "a@b.c", "until_s": time.time() + 60}
        self._asked = [{"number": at, "what": what, **more} for at, what in enumerate(asked)]
        self._both = asyncio.Event()
        self.answered: list[object] = []

    async def receive(self) -> Message | None:
        """The next request; None when it is gone."""
        if self._asked:
            return self._asked.pop(0)
        await self._both.wait()
        return None

    def send(self, message: Message) -> None:
        """Note what it answers."""
        self.answered.append(message["number"])
        if len(self.answered) == 2:
            self._both.set()


class SlowToRevoke:
    """A gateway that revokes only after it has said how it is."""

    def __init__(self) -> None:
        self._has_said = asyncio.Event()

    async def revoke(self, _: str) -> Revocation:
        """As where Magic hangs."""
        await self._has_said.wait()
        return DONE

    async def state(self) -> Status:
        """At once."""
        self._has_said.set()
        return Status(True, "ok", "ok")


async def test_nothing_waits_for_a_revocation() -> None:
    """Else a reload could wait for so long that the supervisor kills the worker."""
    supervisor, stop = Supervisor("revoke", "state"), Stop()
    async with asyncio.timeout(20):
        await _answer_requests(
            cast("RpcConnection", supervisor), cast("Gateway", SlowToRevoke()), 2, stop
        )
        await stop.wait()
    assert [1, 0] == supervisor.answered


class Explaining:
    """A gateway that explains, or does not."""

    def __init__(self, outcome: dict[str, object] | Exception) -> None:
        self._outcome = outcome

    async def explain(self, _: object) -> dict[str, object]:
        """What it was made with."""
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


@pytest.mark.parametrize(
    ("outcome", "answer"),
    [
        ({"verdict": "admitted"}, {"explanation": {"verdict": "admitted"}}),
        (ValueError("no URL"), {"wrong": "no URL"}),
        (StoreUnavailable("down"), {"failed": "down"}),
        (MagicUnavailable("down", 7.0), {"magic_failed": "down", "retry_after_s": 7.0}),
        (KeyError("a fault of the gateway"), {"failed": "KeyError"}),
    ],
)
async def test_a_request_is_explained_for_the_supervisor(
    outcome: dict[str, object] | Exception, answer: dict[str, object]
) -> None:
    """It serves none itself."""
    message = {"number": 1, "what": "explain", "document": {"url": "/"}}
    assert answer == await _answer(message, cast("Gateway", Explaining(outcome)), 2)

"""What a worker makes of what its supervisor says."""

import asyncio
import errno
import time
from typing import cast

import pytest

from gateway.admin.app import Status
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


async def test_a_reload_that_fails_in_an_unforeseen_way_is_refused() -> None:
    """The worker says so and serves on: else all workers would end at once, for one config."""
    config = {"name": "gateway.yaml", "text": CONFIG, "files": {}}
    message = {"number": 1, "what": "reload", "config": config}
    assert {"failed": "OSError"} == await _answer(message, cast("Gateway", Unable()), 2)


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
    async with asyncio.timeout(5):
        await _answer_requests(
            cast("RpcConnection", supervisor), cast("Gateway", SlowToRevoke()), 2, stop
        )
        await stop.wait()
    assert [1, 0] == supervisor.answered

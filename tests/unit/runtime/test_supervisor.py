"""One config for all workers."""

import asyncio
import signal
import time
from typing import Any, cast

import pytest

from gateway.authn.jwt.key_set import DEADLINE_S
from gateway.config.load import parse
from gateway.config.schema import Settings
from gateway.config.source import ConfigSnapshot
from gateway.core.errors import MagicUnavailable, StartError, StoreUnavailable
from gateway.revocation.name import NotRevocable
from gateway.revocation.revoke import Revocation, Revoked
from gateway.runtime.supervisor import Supervisor
from gateway.runtime.worker import WorkerConfig
from gateway.runtime.worker_process import WorkerProcess
from gateway.runtime.worker_rpc import NoAnswer, PeerGone, RpcClient

CONFIG = """
server: {{public_url: http://localhost, workers: {workers}}}
redis: {{url: 'embedded://'}}
magic: {{mode: development}}
limits: {{default: {{rate: {rate}/minute}}}}
"""


def _snapshot(rate: int = 1, workers: int = 2) -> ConfigSnapshot:
    return ConfigSnapshot("gateway.yaml", CONFIG.format(workers=workers, rate=rate), {})


def _settings(config: ConfigSnapshot) -> Settings:
    return config.settings({})


class Obedient(WorkerProcess):
    """A worker without a process, that takes every config but one; or is down."""

    def __init__(self, number: int, refuses: int = 0, *, is_down: bool = False) -> None:
        super().__init__(number, ())
        self.refused = _snapshot(refuses).text
        self.is_down = is_down
        self.config = _snapshot().text
        self.candidate: str | None = None
        self.starts: list[WorkerConfig] = []
        self.go_on = asyncio.Event()

    async def ask(self, what: str, within_s: float, **more: object) -> dict[str, Any]:
        assert what in ("reload", "candidate")
        assert within_s > 0
        if self.is_down:
            raise PeerGone(what)
        config = more["config"]
        assert config is None or isinstance(config, dict)
        text = None if config is None else config["text"]
        if text == self.refused:
            return {"failed": "no"}
        if what == "candidate":
            self.candidate = text
        else:
            assert text is not None
            self.config = text
        return {}

    async def start(self, worker_config: WorkerConfig) -> "asyncio.Task[None]":
        self.starts.append(worker_config)
        self.config = worker_config.config.text
        self.candidate = worker_config.candidate and worker_config.candidate.text
        await self.go_on.wait()
        self.is_down = False
        return asyncio.create_task(asyncio.sleep(0))


def _supervisor(*workers: WorkerProcess) -> Supervisor:
    old = _snapshot()
    worker_config = WorkerConfig(old, 2, b"seed", b"key", None, None, ())
    return Supervisor(_settings(old), old, worker_config, list(workers))


async def _reload(supervisor: Supervisor, config: ConfigSnapshot) -> None:
    await supervisor.reload(_settings(config), config)


async def test_all_workers_or_none() -> None:
    """Where one refuses a config, those before it go back to the old one."""
    one, other, last = Obedient(1), Obedient(2, refuses=3), Obedient(3)
    supervisor = _supervisor(one, other, last)
    await _reload(supervisor, _snapshot(2))
    with pytest.raises(StartError, match="no"):
        await _reload(supervisor, _snapshot(3))
    assert {_snapshot(2).text} == {worker.config for worker in (one, other, last)}


async def test_a_worker_that_hangs_does_not_keep_the_old_config() -> None:
    """It is killed, so that its successor takes the new one; the others take it at once."""

    class Hanging(Obedient):
        signals: tuple[signal.Signals, ...] = ()

        async def ask(self, what: str, within_s: float, **more: object) -> dict[str, Any]:
            raise NoAnswer(f"{what} within {within_s}: {more}")

        def signal(self, number: signal.Signals) -> None:
            self.signals += (number,)

    hanging, up, down = Hanging(1), Obedient(2), Obedient(3, is_down=True)
    await _reload(_supervisor(hanging, up, down), _snapshot(2))
    assert ((signal.SIGKILL,), _snapshot(2).text) == (hanging.signals, up.config)


async def test_what_needs_a_restart() -> None:
    """No worker hears of it."""
    worker = Obedient(1)
    with pytest.raises(StartError, match=r"^server\.workers: needs a restart$"):
        await _reload(_supervisor(worker), _snapshot(2, workers=3))
    assert _snapshot().text == worker.config


async def test_a_worker_that_was_starting_hears_of_a_reload() -> None:
    """It began on the old config, and no message could reach it."""
    up, down = Obedient(1), Obedient(2, is_down=True)
    supervisor = _supervisor(up, down)
    starting = asyncio.create_task(supervisor._start_again(down))
    while not down.starts:
        await asyncio.sleep(0)
    await _reload(supervisor, _snapshot(2))
    assert [_snapshot(2).text, _snapshot().text] == [up.config, down.config]
    down.go_on.set()
    await starting
    assert [_snapshot(2).text, _snapshot(2).text] == [up.config, down.config]


async def test_all_workers_use_a_candidate_or_none() -> None:
    """Where one refuses it, those before it go back to the one before; so do their successors."""
    one, other, last = Obedient(1), Obedient(2, refuses=3), Obedient(3)
    supervisor = _supervisor(one, other, last)
    await supervisor.use_candidate(_snapshot(2))
    with pytest.raises(StartError, match="no"):
        await supervisor.use_candidate(_snapshot(3))
    last.go_on.set()
    await supervisor._start_again(last)
    assert {_snapshot(2).text} == {worker.candidate for worker in (one, other, last)}
    await supervisor.use_candidate(None)
    await supervisor._start_again(last)
    assert {None} == {worker.candidate for worker in (one, other, last)}


async def test_a_worker_serves_without_a_candidate_that_it_cannot_use(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Such as where a file that it names is gone: it is no reason to serve nothing."""
    worker = Obedient(1)
    supervisor = _supervisor(worker)
    await supervisor.use_candidate(_snapshot(2))
    worker.refused = _snapshot(2).text
    worker.go_on.set()
    await supervisor._start_again(worker)
    [start] = worker.starts
    assert (True, None, None) == (start.is_shadowed, start.candidate, worker.candidate)
    assert ["worker 1 does without the candidate: no"] == caplog.messages


async def test_a_worker_that_was_starting_hears_of_a_promotion() -> None:
    """Else it would decide by the candidate on and on."""
    worker = Obedient(1, is_down=True)
    supervisor = _supervisor(worker)
    await supervisor.use_candidate(_snapshot(2))
    starting = asyncio.create_task(supervisor._start_again(worker))
    while not worker.starts:
        await asyncio.sleep(0)
    await _reload(supervisor, _snapshot(2))
    await supervisor.use_candidate(None)
    worker.go_on.set()
    await starting
    assert (_snapshot(2).text, None) == (worker.config, worker.candidate)


async def test_a_worker_that_is_starting_reopens_its_files_later() -> None:
    """Until it serves, the signal would end it, or be lost after it has opened the old file."""

    class Signalled(Obedient):
        signals: tuple[signal.Signals, ...] = ()

        def signal(self, number: signal.Signals) -> None:
            self.signals += (number,)

    up, down = Signalled(1), Signalled(2, is_down=True)
    up.rpc = cast("RpcClient", object())
    supervisor = _supervisor(up, down)
    starting = asyncio.create_task(supervisor._start_again(down))
    while not down.starts:
        await asyncio.sleep(0)
    supervisor.reopen_files()
    assert ((signal.SIGUSR1,), ()) == (up.signals, down.signals)
    down.go_on.set()
    await starting
    assert (signal.SIGUSR1,) == down.signals
    await supervisor._start_again(down)
    assert (signal.SIGUSR1,) == down.signals  # nothing was renamed meanwhile


def test_orders_travel_as_json() -> None:
    """What a worker is started with is what it reads."""
    worker_config = WorkerConfig(
        _snapshot(), 2, b"\0seed", b"\xffkey", "unix:///x", "did:x", (3, 4)
    )
    assert worker_config == WorkerConfig.from_json(worker_config.to_json())
    assert parse(_snapshot().text, "f", {}, lambda path: path) == _settings(worker_config.config)


class Revoking(WorkerProcess):
    """A worker that answers as it is told, or is down."""

    def __init__(self, answer: dict[str, Any] | None) -> None:
        super().__init__(1, ())
        self._answer = answer

    async def ask(self, what: str, within_s: float, **more: object) -> dict[str, Any]:
        assert (what, more["issuer"]) == ("revoke", "ada")
        assert 0 < cast("float", more["until_s"]) - time.time() <= within_s
        if self._answer is None:
            raise PeerGone(what)
        return self._answer


REVOCATION = Revocation((Revoked("ada", 5, 2),))
DONE = REVOCATION.to_json()


async def test_any_worker_revokes_for_all() -> None:
    """The first that is there; those who are down are passed over."""
    supervisor = _supervisor(Revoking(None), Revoking(DONE), Revoking({"failed": "not asked"}))
    assert REVOCATION == await supervisor.revoke("ada")


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([None, None], StoreUnavailable),
        ([{"failed": "down"}, DONE], StoreUnavailable),
        ([{"wrong": "mistyped", "code": "not_revocable"}, DONE], NotRevocable),
        ([{"magic_failed": "down", "retry_after_s": 7.0}, DONE], MagicUnavailable),
    ],
)
async def test_a_revocation_that_was_not_done_is_no_success(
    answers: list[dict[str, Any] | None], error: type[Exception]
) -> None:
    """The store is everybody's, and so is what can be typed wrong: no other worker is asked."""
    with pytest.raises(error):
        await _supervisor(*map(Revoking, answers)).revoke("ada")


class Explaining(WorkerProcess):
    """A worker that explains as it is told, or is down."""

    def __init__(self, answer: dict[str, Any] | None) -> None:
        super().__init__(1, ())
        self._answer = answer

    async def ask(self, what: str, within_s: float, **more: object) -> dict[str, Any]:
        assert (what, more["document"]) == ("explain", {"url": "/"})
        assert within_s > DEADLINE_S + Settings.model_fields["magic"].default.timeout_s
        if self._answer is None:
            raise PeerGone(what)
        return self._answer


async def test_any_worker_explains_for_all() -> None:
    """The first that is there."""
    found = {"verdict": "admitted"}
    supervisor = _supervisor(Explaining(None), Explaining({"explanation": found}))
    assert found == await supervisor.explain({"url": "/"})


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (None, StoreUnavailable),
        ({"wrong": "no URL"}, ValueError),
        ({"failed": "down"}, StoreUnavailable),
        ({"magic_failed": "down", "retry_after_s": 7.0}, MagicUnavailable),
    ],
)
async def test_what_a_worker_cannot_explain_is_told(
    answer: dict[str, Any] | None, error: type[Exception]
) -> None:
    """As it was told there."""
    with pytest.raises(error):
        await _supervisor(Explaining(answer)).explain({"url": "/"})

"""
One of several processes that serve, started by `gateway.runtime.supervisor`.

    python -m gateway.runtime.worker FD HANDOFF [LEVEL]

FD is its end of the RPC connection, HANDOFF its end of the channel over which it is handed sockets
of other workers; LEVEL is that of the log, where ``--log-level`` gave one. When the supervisor
dies, the connection is closed, and the worker drains as after SIGTERM: it would not be restarted,
nor told of a new config.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, cast

from gateway.config.per_worker import share
from gateway.config.schema import Settings
from gateway.config.source import ConfigSnapshot
from gateway.core.errors import GatewayError, MagicUnavailable, NotReached, StoreUnavailable
from gateway.proxy.downstream.shared_counts import SharedCounts
from gateway.revocation.name import RevocationRefused
from gateway.runtime import garbage, handoff, serve
from gateway.runtime.gateway import Gateway, running
from gateway.runtime.last_resort import WORKER_S, LastResort
from gateway.runtime.process import Inherited
from gateway.runtime.worker_rpc import Message, RpcConnection
from gateway.telemetry import logs
from gateway.telemetry.logs import LogLevel
from gateway.util.background import background

_log = logging.getLogger("gateway")

LEAVING: Message = {"number": None}
"""What a worker sends when it drains: it accepts no more connections."""


class WorkerConfig(NamedTuple):
    """What a worker is started with."""

    config: ConfigSnapshot
    workers: int
    seed: bytes
    made_up_key: bytes
    store_url: str | None
    client_id: str | None
    descriptors: tuple[int, ...]
    """Of its listening sockets, which it has inherited."""
    number: int = 1
    counts_descriptor: int | None = None
    """See `gateway.proxy.downstream.shared_counts`."""
    candidate: ConfigSnapshot | None = None
    """Decides about requests too, without effect; see `gateway.runtime.shadow`."""
    is_shadowed: bool = False
    """Whether it gets a candidate when it serves."""
    dashboard_socket: str | None = None
    """Of the supervisor; see `gateway.runtime.process.Inherited`."""

    def to_json(self) -> dict[str, Any]:
        """Encode it for the RPC connection."""
        keys = {"seed": self.seed.hex(), "made_up_key": self.made_up_key.hex()}
        candidate = None if self.candidate is None else self.candidate._asdict()
        configs = {"config": self.config._asdict(), "candidate": candidate}
        return {**self._asdict(), **configs, **keys}

    @classmethod
    def from_json(cls, message: Message) -> "WorkerConfig":
        """Decode what `to_json` has encoded."""
        keys = {key: bytes.fromhex(message[key]) for key in ("seed", "made_up_key")}
        more = {
            "config": ConfigSnapshot(**message["config"]),
            "candidate": _snapshot_of(message["candidate"]),
            "descriptors": tuple(message["descriptors"]),
        }
        return cls(**{**message, **more, **keys})

    def inherited(self) -> Inherited:
        """Return what `gateway.runtime.gateway.running` is handed."""
        sockets = [socket.socket(fileno=descriptor) for descriptor in self.descriptors]
        counts = None
        if self.counts_descriptor is not None:
            counts = SharedCounts(self.counts_descriptor, self.workers, self.number)
        return Inherited(
            *(self.seed, self.made_up_key, sockets, self.store_url, self.client_id, counts),
            role=f"worker-{self.number}",
            is_shadowed=self.is_shadowed,
            dashboard_socket=self.dashboard_socket,
        )


def _snapshot_of(sent: dict[str, Any] | None) -> ConfigSnapshot | None:
    return None if sent is None else ConfigSnapshot(**sent)


async def work(descriptor: int, handoff_descriptor: int) -> None:
    """
    Serve until SIGTERM, or until the supervisor is gone.

    A second signal does nothing: systemd sends one to all processes, and the supervisor passes its
    own on. To end workers at once, the supervisor kills them.
    """
    connection = await RpcConnection.over(socket.socket(fileno=descriptor))
    stop = serve.Stop(signal.SIGTERM)
    message = await connection.receive()
    if message is None:
        return
    worker_config = WorkerConfig.from_json(message)
    try:
        with socket.socket(fileno=handoff_descriptor) as channel:
            await _serve(worker_config, connection, channel, stop)
    except GatewayError as error:
        connection.send({"failed": str(error), "not_reached": isinstance(error, NotReached)})
    await connection.aclose()


async def _serve(
    worker_config: WorkerConfig,
    connection: RpcConnection,
    channel: socket.socket,
    stop: serve.Stop,
) -> None:
    workers = worker_config.workers
    settings = share(worker_config.config.settings(os.environ), workers)
    logs.configure(settings.log.level, settings.log.format)
    candidate = None
    if worker_config.candidate is not None:
        candidate = share(worker_config.candidate.settings(os.environ), workers)
    inherited = worker_config.inherited()
    async with running(settings, sys.stdout.fileno(), inherited, candidate) as gateway:
        async with serve.collecting(gateway), background(handoff.follow(channel, gateway)):
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGUSR1, gateway.reopen_files)
            connection.send({"addresses": gateway.addresses})
            answering = asyncio.create_task(_answer_requests(connection, gateway, workers, stop))
            await stop.wait()
            LastResort(WORKER_S).begin(gateway.drain_s)
        connection.send(LEAVING)
    answering.cancel()


async def _answer_requests(
    connection: RpcConnection, gateway: Gateway, workers: int, stop: serve.Stop
) -> None:
    """
    Answer the supervisor until it is gone; then stop.

    No other request waits for a revocation or an explanation: Magic may have to be asked for them.
    """

    async def answer(message: Message) -> None:
        connection.send({"number": message["number"], **await _answer(message, gateway, workers)})

    revoking: set[asyncio.Task[None]] = set()
    try:
        while (message := await connection.receive()) is not None:
            if message["what"] in ("revoke", "explain"):
                task = asyncio.create_task(answer(message))
                revoking.add(task)
                task.add_done_callback(revoking.discard)
            else:
                await answer(message)
    finally:
        for task in revoking:
            task.cancel()
        stop.now()


async def _answer(message: Message, gateway: Gateway, workers: int) -> Message:
    answer: Message
    match message["what"]:
        case "state":
            answer = (await gateway.state()).to_json()
        case "snapshot":
            answer = (await gateway.snapshot()).to_json()
        case "refusals":
            answer = {"refusals": await gateway.refusals(message["since"])}
        case "revoke":
            answer = await _revoke(gateway, message["issuer"], message["until_s"])
        case "explain":
            answer = await _explain(gateway, message["document"])
        case "candidate":
            answer = await _use_candidate(gateway, _snapshot_of(message["config"]), workers)
        case _:
            config = ConfigSnapshot(**message["config"])
            answer = await _applied(gateway.reload, config, workers, "config")
    return answer


async def _use_candidate(gateway: Gateway, config: ConfigSnapshot | None, workers: int) -> Message:
    if config is None:
        await gateway.use_candidate(None)
        return {}
    return await _applied(gateway.use_candidate, config, workers, "candidate config")


async def _applied(
    apply: Callable[[Settings], Awaitable[None]], config: ConfigSnapshot, workers: int, what: str
) -> Message:
    """Call ``apply`` with a config; return why that failed, if it did. The log says ``what``."""
    try:
        with garbage.frozen_after():
            settings = await asyncio.to_thread(config.settings, os.environ)
            await apply(share(settings, workers))
    except GatewayError as error:
        return {"failed": str(error)}
    except Exception as error:  # noqa: BLE001 (such as no descriptor left: what served goes on)
        _log.exception("%s not reloaded", what)
        return {"failed": type(error).__name__}
    return {}


async def _revoke(gateway: Gateway, issuer: str, until_s: float) -> Message:
    """Revoke, but not after ``until_s``, in Unix time: the supervisor has given up by then."""
    left_s = until_s - time.time()
    if left_s < 0:
        return {"failed": "too late"}
    try:
        async with asyncio.timeout(left_s):  # Magic may be asked first, which takes long
            return (await gateway.revoke(issuer)).to_json()
    except TimeoutError:
        return {"failed": "too late"}
    except RevocationRefused as error:
        return {"wrong": str(error), "code": error.code}
    except StoreUnavailable as error:
        return {"failed": error.reason}
    except MagicUnavailable as error:
        return {"magic_failed": error.reason, "retry_after_s": error.retry_after_s}


async def _explain(gateway: Gateway, document: object) -> Message:
    try:
        return {"explanation": await gateway.explain(document)}
    except ValueError as error:
        return {"wrong": str(error)}
    except StoreUnavailable as error:
        return {"failed": error.reason}
    except MagicUnavailable as error:
        return {"magic_failed": error.reason, "retry_after_s": error.retry_after_s}
    except Exception as error:  # noqa: BLE001 (the supervisor waits for an answer)
        _log.exception("request not explained")
        return {"failed": type(error).__name__}


def main() -> None:
    """Serve until told to stop."""
    gc.freeze()  # as in `gateway.cli.run`
    descriptor, channel, *given = sys.argv[1:]
    [level] = cast("list[LogLevel | None]", given or [None])
    logs.set_up(fixed_level=level)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)  # the supervisor handles them
    serve.run(work(int(descriptor), int(channel)))


if __name__ == "__main__":
    main()

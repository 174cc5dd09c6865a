"""
One of several processes that serve: started by `gateway.runtime.supervisor`, and told by it what to do.

    python -m gateway.runtime.worker FD

FD is its end of the channel. The supervisor's death is heard there as the end of the file, and ends
the worker like SIGTERM: nobody would look after it.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from typing import Any, NamedTuple

from gateway.config.per_worker import share
from gateway.config.source import ConfigSnapshot
from gateway.core.errors import GatewayError, NotReached, StoreUnavailable
from gateway.runtime import serve
from gateway.runtime.gateway import Gateway, Inherited, running
from gateway.runtime.worker_rpc import Message, RpcConnection
from gateway.telemetry import logs

_log = logging.getLogger("gateway")

LEAVING: Message = {"number": None}
"""What a worker says when it drains: it accepts no more connections."""


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

    def to_json(self) -> dict[str, Any]:
        """For the channel."""
        keys = {"seed": self.seed.hex(), "made_up_key": self.made_up_key.hex()}
        return {**self._asdict(), "config": self.config._asdict(), **keys}

    @classmethod
    def from_json(cls, said: Message) -> "WorkerConfig":
        """What `to_json` made."""
        keys = {key: bytes.fromhex(said[key]) for key in ("seed", "made_up_key")}
        config = ConfigSnapshot(**said["config"])
        return cls(**{**said, "config": config, **keys, "descriptors": tuple(said["descriptors"])})

    def given(self) -> Inherited:
        """For `gateway.runtime.gateway.running`."""
        sockets = [socket.socket(fileno=descriptor) for descriptor in self.descriptors]
        return Inherited(self.seed, self.made_up_key, sockets, self.store_url, self.client_id)


async def work(descriptor: int) -> None:
    """
    Serve until SIGTERM, or until the supervisor is gone.

    A second signal does nothing: systemd sends one to all processes, and the supervisor passes its
    own on. It kills those that are to end at once.
    """
    channel = await RpcConnection.over(socket.socket(fileno=descriptor))
    stop = serve.Stop(signal.SIGTERM)
    said = await channel.receive()
    if said is None:
        return
    worker_config = WorkerConfig.from_json(said)
    settings = share(worker_config.config.settings(os.environ), worker_config.workers)
    try:
        async with running(settings, sys.stdout.fileno(), worker_config.given()) as gateway:
            serve.freeze_gc()
            channel.send({"places": gateway.places})
            obey = asyncio.create_task(_obey(channel, gateway, worker_config.workers, stop))
            await stop.wait()
            channel.send(LEAVING)
        obey.cancel()
    except GatewayError as error:
        channel.send({"failed": str(error), "not_reached": isinstance(error, NotReached)})
    await channel.aclose()


async def _obey(channel: RpcConnection, gateway: Gateway, workers: int, stop: serve.Stop) -> None:
    try:
        while (message := await channel.receive()) is not None:
            answer = await _answer(message, gateway, workers)
            channel.send({"number": message["number"], **answer})
    finally:
        stop.now()


async def _answer(message: Message, gateway: Gateway, workers: int) -> Message:
    match message["what"]:
        case "state":
            return (await gateway.state())._asdict()
        case "snapshot":
            return (await gateway.snapshot()).to_json()
        case "revoke":
            return await _revoke(gateway, message["issuer"], message["until_s"])
        case _:
            config = ConfigSnapshot(**message["config"])
            try:
                settings = await asyncio.to_thread(config.settings, os.environ)
                await gateway.reload(share(settings, workers))
            except GatewayError as error:
                return {"failed": str(error)}
            except Exception as error:  # noqa: BLE001 (such as no descriptor left: the old config still serves)
                _log.exception("config not reloaded")
                return {"failed": type(error).__name__}
            return {}


async def _revoke(gateway: Gateway, issuer: str, until_s: float) -> Message:
    """Not after ``until_s``, in Unix time: nobody waits for it any more."""
    if time.time() > until_s:
        return {"failed": "too late"}
    try:
        return (await gateway.revoke(issuer))._asdict()
    except ValueError as error:
        return {"wrong": str(error)}
    except StoreUnavailable as error:
        return {"failed": error.reason}


def main() -> None:
    """Work until told to stop."""
    gc.freeze()  # as in `gateway.cli.run`
    logs.set_up()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the supervisor's business
    serve.run(work(int(sys.argv[1])))


if __name__ == "__main__":
    main()

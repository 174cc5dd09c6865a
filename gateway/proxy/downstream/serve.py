"""
One request of a client connection, from its head to its line in the log.

`begin` does what needs no wait: a request that is refused by then takes no task. `finish` does the
rest, in the task of the connection.
"""

import asyncio
import logging
from collections.abc import Coroutine
from time import perf_counter
from typing import Any, NamedTuple, Protocol

from gateway.core.errors import InternalError, Refusal
from gateway.core.record import RequestRecord
from gateway.core.request import Outbound, Reply, RequestHead
from gateway.proxy.downstream.assembler import ParsedRequest
from gateway.proxy.downstream.server import ProxyServer, ServingConfig
from gateway.proxy.exchange import Exchange
from gateway.proxy.http1.close import ClientGone
from gateway.proxy.http1.framing import Framing
from gateway.proxy.http1.parser import StreamReader
from gateway.proxy.http1.strict import framing_of, keeps_alive
from gateway.proxy.tunnel.switch import TunnelClient, serve_upgrade
from gateway.telemetry.metrics import CLIENT_GONE

_log = logging.getLogger(__name__)

_CLIENT_CLOSED_REQUEST = 499  # as nginx logs a client that left before the answer


class ServedClient(TunnelClient, Protocol):
    """The client's connection, as its requests use it."""

    def refuse(
        self, refusal: Refusal, record: RequestRecord, head: RequestHead | None = None
    ) -> None:
        """Answer with a refusal of the request with ``head``."""


class Begun(NamedTuple):
    """A request that has not been refused so far."""

    head: RequestHead
    body: StreamReader
    record: RequestRecord
    started_s: float
    framing: Framing
    serving: ServingConfig | None
    """None for an upgrade: a tunnel may outlast many, and needs none."""
    work: Coroutine[Any, Any, Outbound | Reply | None]
    """The rest of the stages; for an upgrade, all that is left to do."""


def begin(client: ServedClient, server: ProxyServer, request: ParsedRequest) -> Begun | None:
    """Begin with a request; None where it is answered, which needed no wait."""
    (head, message, body), record = request, RequestRecord()
    client_keeps_alive = message is None or keeps_alive(message)
    # A reload replaces it: one request is served by one configuration.
    client.serving = serving = server.serving
    if serving.with_sent_id is not None:
        head = serving.with_sent_id(head)
    client.writer.start(head.request_id, head.method, head.version, keeps_alive=client_keeps_alive)
    started_s = perf_counter()  # the loop of uvloop counts whole milliseconds
    try:
        framing = framing_of(message, body, serving.max_body_bytes)
        if message is not None and message.upgrade:
            tunnel = serve_upgrade(client, server, serving, head, body, record)
            return Begun(head, body, record, started_s, framing, None, tunnel)
        begun = head, body, record, started_s, framing, serving, serving.admit(head, record)
        return tuple.__new__(Begun, begun)  # half the time of a call of the class
    except Exception as error:  # noqa: BLE001 (an unexpected error is answered and logged, too)
        _answer_error(client, server, head, record, error)
    _end(client, server, head, body, record, started_s)
    return None


async def finish(client: ServedClient, server: ProxyServer, begun: Begun) -> None:
    """Answer a request that `begin` has not."""
    head, body, record, started_s, framing, serving, work = begun
    try:
        admitted = await work
        if isinstance(admitted, Reply):
            client.answer(admitted)
        elif admitted is not None and serving is not None:
            await Exchange(client, admitted, framing, body, serving, record).run()
    except (asyncio.CancelledError, ClientGone) as error:
        _note_gone(client, record)
        if isinstance(error, asyncio.CancelledError):
            raise
    except Exception as error:  # noqa: BLE001 (an unexpected error is answered and logged, too)
        _answer_error(client, server, head, record, error)
    finally:
        _end(client, server, head, body, record, started_s)


def abandon(client: ServedClient, server: ProxyServer, begun: Begun) -> None:
    """Log a request whose client has left before `finish`."""
    begun.work.close()
    _note_gone(client, begun.record)
    _end(client, server, begun.head, begun.body, begun.record, begun.started_s)


def _answer_error(
    client: ServedClient,
    server: ProxyServer,
    head: RequestHead,
    record: RequestRecord,
    error: Exception,
) -> None:
    """Answer with a refusal: ``error``, or the one for a bug."""
    if isinstance(error, Refusal):
        client.refuse(error, record, head)
        error.__traceback__ = None  # a body may keep it: its frames would be a cycle
        told = server.serving.told
        if told and (tell := told.get(type(error))) is not None:
            record.request_id = head.request_id
            tell(error, record)
    else:
        _log.error("request %s failed", head.request_id, exc_info=error)
        client.refuse(InternalError(), record, head)


def _note_gone(client: ServedClient, record: RequestRecord) -> None:
    client.writer.status = client.writer.status or _CLIENT_CLOSED_REQUEST
    record.refusal = CLIENT_GONE


def _end(
    client: ServedClient,
    server: ProxyServer,
    head: RequestHead,
    body: StreamReader,
    record: RequestRecord,
    started_s: float,
) -> None:
    """Log the request; what is left of its body ends the connection."""
    writer = client.writer
    client.serving = None
    for ended in record.on_end:
        ended()
    if not body.is_eof():
        writer.will_close = True
    server.log(head, record, writer.status, writer.bytes_out, perf_counter() - started_s)

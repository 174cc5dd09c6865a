"""
The HTTP server of ``gateway upstash``.

It listens on loopback alone. DNS rebinding: a page of a browser may point its own host name at the
server, so ``Host`` must be an address or ``localhost``. Everything is bounded: connections, bodies,
event streams, and each wait.
"""

import asyncio
import hmac
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import count
from secrets import token_hex
from typing import Final

from aiohttp import web

from gateway.admin.guard import host_of
from gateway.core.errors import StartError
from gateway.upstash import answer
from gateway.upstash.answer import RestAnswer, fault_answer, limited, too_large
from gateway.upstash.call import (
    MAX_BODY_BYTES,
    METHODS,
    CallTarget,
    EventStream,
    ReplyFormat,
    RestFault,
    read_call,
    read_format,
    read_target,
    read_token,
)
from gateway.upstash.commands import READ_ONLY_USER, STANDARD_USER, as_upstash
from gateway.upstash.events import event_of
from gateway.upstash.link import EXCHANGE_S, Link, LinkBroken, LinkPool, RepliesTooLong, open_link
from gateway.upstash.plan import StoreCall, answer_to, commands_of
from gateway.upstash.resp import ErrorReply, RespReply
from gateway.upstash.scripts import ScriptNames

HOST: Final = "127.0.0.1"
MAX_CONNECTIONS: Final = 512
MAX_STREAMS: Final = 64
KEEPALIVE_S: Final = 75.0
"""Deadline of the next head of a connection, the first one included."""
BODY_S: Final = 30.0
ANSWER_S: Final = 30.0
EVENT_S: Final = 10.0
"""Deadline of writing an event: a subscriber that stops reading is disconnected."""
STOP_S: Final = 1.0

SYNC_FIELD: Final = "Upstash-Sync-Token"


@dataclass(frozen=True, slots=True)
class RestTokens:
    """The two tokens of the database."""

    standard: str = field(repr=False)
    read_only: str = field(repr=False)

    def user_of(self, token: str | None) -> str | None:
        """Return the user of the store that ``token`` stands for; None for an unknown one."""
        sent = (token or "").encode("utf-8", "replace")
        if hmac.compare_digest(sent, self.standard.encode()):
            return STANDARD_USER
        if hmac.compare_digest(sent, self.read_only.encode()):
            return READ_ONLY_USER
        return None


class RestServer:
    """Answers requests of Upstash's REST protocol from the store at ``socket_path``."""

    def __init__(self, socket_path: str, tokens: RestTokens) -> None:
        self._socket_path = socket_path
        self._tokens = tokens
        self._pools = {
            user: LinkPool(socket_path, user) for user in (STANDARD_USER, READ_ONLY_USER)
        }
        self._scripts = ScriptNames()
        self._streams = 0
        started = token_hex(4)
        self._sync_tokens = (f"{started}-{number}" for number in count(1))

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request; a client that does not read its answer in time is disconnected."""
        response = await self._answered(request)
        try:
            async with asyncio.timeout(ANSWER_S):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            _disconnect(request)
        return response

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._respond(request)
        except RestFault as fault:
            return self._response(fault_answer(fault))
        except RepliesTooLong as error:
            return self._response(fault_answer(too_large(error.size_bytes)))
        except LinkBroken:
            return self._response(fault_answer(RestFault(*answer.STORE_UNAVAILABLE)))

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        _refuse_foreign_host(request.headers.get("Host", ""))
        if request.method not in METHODS:
            raise RestFault(*answer.METHOD_NOT_ALLOWED)
        target = read_target(request.raw_path)
        user = self._user(target, request.headers)
        reply_format = _format(request.headers)
        call = read_call(target, request.headers.get("Accept", ""), await _body(request))
        if isinstance(call, EventStream):
            if request.method == "HEAD":
                raise RestFault(*answer.METHOD_NOT_ALLOWED)
            return await self._stream(request, call, user)
        return self._response(await self._answer(call, user, reply_format))

    def _user(self, target: CallTarget, headers: Mapping[str, str]) -> str:
        user = self._tokens.user_of(read_token(target, headers.get("Authorization", "")))
        if user is None:
            raise RestFault(*answer.UNAUTHORIZED)
        return user

    async def _answer(self, call: StoreCall, user: str, reply_format: ReplyFormat) -> RestAnswer:
        commands = [self._scripts.for_store(command) for command in commands_of(call)]
        replies = await self._pools[user].exchange(commands) if commands else []
        is_read_only = user == READ_ONLY_USER
        return limited(answer_to(call, replies, reply_format, is_read_only=is_read_only))

    def _response(self, made: RestAnswer) -> web.Response:
        headers = {"Content-Type": made.content_type, SYNC_FIELD: next(self._sync_tokens)}
        if made.status == answer.METHOD_NOT_ALLOWED[0]:
            headers["Allow"] = ", ".join(METHODS)  # RFC 9110 section 15.5.6
        return web.Response(status=made.status, body=made.body, headers=headers)

    # --- event streams --------------------------------------------------------------------------

    async def _stream(
        self, request: web.BaseRequest, call: EventStream, user: str
    ) -> web.StreamResponse:
        if self._streams >= MAX_STREAMS:
            raise RestFault(*answer.TOO_MANY_STREAMS)
        self._streams += 1
        try:
            async with open_link(self._socket_path, _stream_user(call, user)) as link:
                async with asyncio.timeout(EXCHANGE_S):
                    first = (await link.exchange([call.command]))[0]
                if isinstance(first.value, ErrorReply):
                    error = as_upstash(first.value, call.command, is_read_only=True)
                    raise RestFault(400, error.text.decode("utf-8", "replace"))
                return await self._send_events(request, link, first)
        except TimeoutError as error:
            raise LinkBroken("time-out") from error
        finally:
            self._streams -= 1

    async def _send_events(
        self, request: web.BaseRequest, link: Link, first: RespReply
    ) -> web.StreamResponse:
        """Send what the store pushes until the client leaves, or reads too slowly."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        response.headers["Cache-Control"] = "no-cache"
        response.headers[SYNC_FIELD] = next(self._sync_tokens)
        await response.prepare(request)
        reply = first
        try:
            while True:
                event = event_of(reply.value)
                if event:
                    async with asyncio.timeout(EVENT_S):
                        await response.write(event)
                reply = await link.next()
        except (LinkBroken, TimeoutError, ConnectionError):
            _disconnect(request)  # a clean end would look as if nothing was missed
        return response

    def close(self) -> None:
        """Close the connections to the store."""
        for pool in self._pools.values():
            pool.close()


def _stream_user(call: EventStream, user: str) -> str | None:
    """Let the standard token MONITOR as the store's owner: the command is one of administration."""
    is_monitor = call.command[0] == b"MONITOR"
    return None if is_monitor and user == STANDARD_USER else user


def _disconnect(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()


def _refuse_foreign_host(field_value: str) -> None:
    host = host_of(field_value)
    if host == "localhost":
        return
    try:
        ip_address(host)
    except ValueError:
        raise RestFault(*answer.FOREIGN_HOST) from None


def _format(headers: Mapping[str, str]) -> ReplyFormat:
    return read_format(
        headers.get("Upstash-Encoding", ""), headers.get("Upstash-Response-Format", "")
    )


async def _body(request: web.BaseRequest) -> bytes:
    """Read the body. Raises `RestFault` where it is too long, or does not arrive in time."""
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise too_large(request.content_length or 0)
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # curl waits a second for it
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.content.iter_any():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    raise too_large(len(body))
    except TimeoutError:
        raise RestFault(*answer.BODY_TIMED_OUT) from None
    return bytes(body)


class _Refused(asyncio.Protocol):
    """A connection beyond the limit, which is closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


@asynccontextmanager
async def serving(socket_path: str, tokens: RestTokens, port: int) -> AsyncIterator[int]:
    """
    Serve on ``port`` of loopback, 0 for any free one, until the context ends; yields the port.

    Raises `StartError` where another program uses it.
    """
    rest = RestServer(socket_path, tokens)
    server = web.Server(
        rest.handle,
        handler_cancellation=True,  # a subscriber that leaves ends its subscription
        access_log=None,
        keepalive_timeout=KEEPALIVE_S,
    )

    def accept() -> asyncio.Protocol:
        return server() if len(server.connections) < MAX_CONNECTIONS else _Refused()

    try:
        listener = await asyncio.get_running_loop().create_server(accept, HOST, port)
    except OSError as error:
        raise StartError(
            f"cannot listen on {HOST}:{port}: {os.strerror(error.errno or 0)}; stop the program"
            " that uses it, or name another port: --port 0 takes any free one"
        ) from error
    try:
        yield int(listener.sockets[0].getsockname()[1])
    finally:
        listener.close()
        server.pre_shutdown()
        await server.shutdown(STOP_S)
        rest.close()

"""
Exchanges with a store over the REST API of Upstash.

The commands of a tick travel in one request to ``/pipeline``. Strings come back as base64, so that
each is exact; values that are not UTF-8 are armoured on the way there (`gateway.store.armour`).
Each answer has a sync token, which the next request hands back: so a gateway reads what it has
written, whichever replica it asks. HTTP says which answer is whose: nothing is echoed, which would
be billed. A connection on which something came unasked is closed (`QuietConnector`).
"""

from binascii import a2b_base64
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
)
from redis.exceptions import (
    AuthenticationError,
    InvalidResponse,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.core.text import printable_text
from gateway.store.armour import armour
from gateway.store.batch import WrongReply
from gateway.store.exchanges import Exchanges, ReplyCheck
from gateway.store.line import Line
from gateway.store.packing import Command, Packed, words_of
from gateway.store.quota import QuotaExceeded, quota_error
from gateway.util.quiet_connector import QuietConnector

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Of one answer. A request of Upstash's may have 10 MB."""
MAX_CONNECTIONS = 8
"""To the API; a batch takes one until it is answered."""

_OK = 200
_UNAUTHORIZED = 401
_SYNC_TOKEN = "upstash-sync-token"  # noqa: S105 (the name of a field)
_MAX_SYNC_TOKEN = 4096
"""A longer one is not handed back: it would not fit into the head of a request."""

_ERRORS: Mapping[str, type[ResponseError | AuthenticationError]] = {
    "NOSCRIPT": NoScriptError,
    "READONLY": ReadOnlyError,
    "NOAUTH": AuthenticationError,
    "WRONGPASS": AuthenticationError,
    "NOPERM": NoPermissionError,
}
"""By the first word of an error, where it means more than that the command failed."""


class RestLines:
    """Sends batches to ``/pipeline``; a batch takes a connection of aiohttp's pool."""

    def __init__(self, url: str, token: str, timeout_s: float) -> None:
        """``url`` is an origin, ``timeout_s`` the time-out for one answer."""
        self._url = url.rstrip("/") + "/pipeline"
        self._fields = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Upstash-Encoding": "base64",
            "Accept-Encoding": "identity",  # by default, aiohttp asks for gzip
        }
        self._sync_token = ""
        self._timeout_s = timeout_s
        self._session: ClientSession | None = None

    def take_ready(self, now_s: float) -> Line | None:  # noqa: ARG002 (of the protocol)
        """Take nothing: each exchange needs a task."""
        return None

    async def execute(self, commands: Sequence[Command], check: ReplyCheck) -> list[Any]:
        """
        Send all commands; return their replies, which ``check`` has passed.

        An error reply is an exception there. Raises redis-py's errors: `ConnectionError` where the
        API cannot be reached or does not answer 200, `AuthenticationError`, and `InvalidResponse`.
        """
        body = orjson.dumps([[*map(_word, words_of(command))] for command in commands])
        replies = decode_replies(await self._post(body, is_read=_is_read(commands)), len(commands))
        check(replies)
        return replies

    async def read(self, commands: Sequence[Command], check: ReplyCheck, trial: int) -> list[Any]:
        """Like `execute`, once more where the connection breaks: for commands that only read."""
        try:
            return await self.execute(commands, check)
        except (AuthenticationError, QuotaExceeded):
            raise
        except RedisConnectionError:
            if trial:
                raise
        return await self.execute(commands, check)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def _post(self, body: bytes, *, is_read: bool) -> bytes:
        """
        Return the answer to ``body``.

        The sync token of a read is not kept: of two requests that are under way together, a replica
        may answer the read after the write, with a token that is older than the write.
        """
        fields = self._fields
        if self._sync_token:
            fields = {**fields, _SYNC_TOKEN: self._sync_token}
        try:
            async with self._opened().post(
                self._url, data=body, headers=fields, allow_redirects=False
            ) as response:
                answer = await _read(response)
        except ClientConnectorError as error:
            raise RedisConnectionError(str(error)) from None  # names the host and the reason
        except (ClientError, OSError) as error:  # TimeoutError is an OSError
            raise RedisConnectionError(type(error).__name__) from None
        if response.status != _OK:
            raise _refusal(response.status, answer)
        if not is_read:
            self._sync_token = _kept_token(response)
        return answer

    def _opened(self) -> ClientSession:
        """Return the session, made where a loop runs."""
        if self._session is None:
            self._session = ClientSession(
                connector=QuietConnector(limit=MAX_CONNECTIONS),
                cookie_jar=DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,  # the size limit counts bytes as sent
                timeout=ClientTimeout(total=self._timeout_s),
            )
        return self._session


async def _read(response: ClientResponse) -> bytes:
    """Read the body. Raises `InvalidResponse` where it is too long."""
    parts, size_bytes = [], 0
    async for part in response.content.iter_any():
        size_bytes += len(part)
        if size_bytes > MAX_ANSWER_BYTES:
            raise InvalidResponse("too long")
        parts.append(part)
    return b"".join(parts)


def _kept_token(response: ClientResponse) -> str:
    token = response.headers.get(_SYNC_TOKEN, "")
    return token if len(token) <= _MAX_SYNC_TOKEN and token.isascii() else ""


def _refusal(status: int, answer: bytes) -> Exception:
    """Return what an answer means that is not 200: the API has carried out nothing, or says so."""
    try:
        text = orjson.loads(answer)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        text = ""
    if status == _UNAUTHORIZED:
        return AuthenticationError(
            "the REST API refused the token: set redis.token (or the variable that it is read from)"
            " to the REST token of this database, not a read-only one"
        )
    if isinstance(text, str) and (over_quota := quota_error(text)) is not None:
        return over_quota
    told = printable_text(text) if isinstance(text, str) else None
    return RedisConnectionError(f"status {status}" + (f": {told[:200]}" if told else ""))


def _is_read(commands: Sequence[Command]) -> bool:
    return all(not isinstance(command, Packed) and command[0] == "MGET" for command in commands)


def _word(word: str | bytes | int) -> str | int:
    """Return ``word`` as JSON has it. What only looks as if it were armoured has been armoured."""
    if not isinstance(word, bytes):
        return word
    try:
        return word.decode("utf-8")
    except UnicodeDecodeError:
        return armour(word)


def decode_replies(answer: bytes, expected: int) -> list[Any]:
    """
    Decode the answer of ``/pipeline`` to as many commands; an error is an exception there.

    Raises `InvalidResponse` or `WrongReply` where it is none.
    """
    try:
        results = orjson.loads(answer)
    except orjson.JSONDecodeError:
        raise InvalidResponse("no JSON") from None
    if not isinstance(results, list) or len(results) != expected:
        raise WrongReply("pipeline")
    return list(map(_reply, results))


def _reply(result: object) -> Any:
    match result:
        case {"result": value}:
            return _value(value)
        case {"error": str(text)}:
            code, _, rest = text.partition(" ")
            kind = _ERRORS.get(code)
            return kind(rest) if kind is not None else ResponseError(text)
    raise WrongReply("pipeline")


def _value(value: object) -> Any:
    """Return a value as a reply of the Redis protocol; "OK" alone does not come as base64."""
    if isinstance(value, str):
        try:
            return b"OK" if value == "OK" else a2b_base64(value, strict_mode=True)
        except ValueError:
            raise WrongReply("base64") from None
    if isinstance(value, list):
        return list(map(_value, value))
    if isinstance(value, bool | float | dict):
        raise WrongReply("pipeline")
    return value


_: type[Exchanges] = RestLines

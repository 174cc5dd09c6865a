"""
Access to Magic: signature checks by magic-admin, and its admin API over aiohttp.

magic-admin's ``Token.validate`` is the authority on signatures. It takes 106 µs with coincurve and
runs inline, because a thread makes it slower. Its network calls are not used: they block, sleep for
as long as ``Retry-After`` says, and cost four times as much as the same requests made with aiohttp.
"""

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlencode

import orjson
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, hdrs
from yarl import URL

from gateway import __version__
from gateway.authn.did_token.token import CLOCK_SKEW_S
from gateway.core.email import canonical_email
from gateway.core.errors import (
    ExpiredToken,
    InvalidToken,
    MagicUnavailable,
    StartError,
)
from gateway.core.identity import User
from gateway.core.issuer import canonical_did
from gateway.core.ports import Clock
from gateway.core.text import printable_text
from gateway.users.clock_skew import ClockSkew
from gateway.users.metadata import user_of
from gateway.util.call_watch import UNWATCHED, CallWatch
from gateway.util.circuit_breaker import CircuitBreaker
from gateway.util.eth_imports import eth_imports
from gateway.util.quiet_connector import QuietConnector

with eth_imports():
    import magic_admin
    from eth_keys.main import KeyAPI
    from magic_admin.config import base_url
    from magic_admin.error import DIDTokenExpired

MAGIC_API_URL: Final[str] = base_url
MAX_BODY_BYTES: Final = 64 * 1024
KEY_REFUSED: Final = "secret key refused"
"""A reason of `MagicUnavailable`."""

_OK: Final = 200
_JSON: Final = {"Content-Type": "application/json"}
_KEY: Final = re.compile(r"[!-~]+")
_MAX_RETRY_AFTER_DIGITS: Final = 6


def require_coincurve() -> None:
    """Raise `StartError` unless signatures are checked in C; in Python, each takes 4.2 ms."""
    backend = type(KeyAPI().backend).__name__
    if backend != "CoinCurveECCBackend":
        raise StartError(f"signatures would be checked by {backend}: install coincurve")


class SignatureChecker:
    """
    Checks the signatures of DID tokens by magic-admin, for one client id in this process.

    magic-admin keeps the client id in a global: a second one would silently replace the first.
    Raises `StartError` for that, for an empty key or client id, and without coincurve.
    """

    def __init__(self, secret_key: str, client_id: str) -> None:
        require_coincurve()
        if not secret_key or not client_id:
            raise StartError("Magic's secret key and client id must not be empty")
        if getattr(magic_admin, "client_id", None) not in (None, client_id):
            raise StartError("this process already checks tokens of another client id")
        magic = magic_admin.Magic(api_secret_key=secret_key, client_id=client_id, retries=0)
        self._validate = magic.Token.validate

    def check(self, token: str, clock_skew_s: float = CLOCK_SKEW_S) -> None:
        """
        Return if magic-admin accepts ``token``; else raise `ExpiredToken` or `InvalidToken`.

        Its tolerance for ``nbf`` is a global, too, in whole seconds. It is set before each call,
        because two configs may be in use during a reload.
        """
        magic_admin.did_token_nbf_grace_period_s = ceil(clock_skew_s)
        try:
            self._validate(token)
        except DIDTokenExpired:
            raise ExpiredToken("magic-admin: DIDTokenExpired") from None
        except Exception as error:  # noqa: BLE001 - for hostile tokens, the libraries raise TypeError,
            # KeyError, binascii.Error and errors of eth_keys (gateway/selftest/corpus/tokens.py)
            raise InvalidToken(f"magic-admin: {type(error).__name__}") from None


class _ApiResponse(NamedTuple):
    status: int
    body: bytes


class MagicApi:
    """
    Client of Magic's admin API: the calls of magic-admin 2.5.0, in its wire format, over aiohttp.

    Use it as a context manager. Every call ends within ``deadline_s``, waiting for a slot included,
    and raises `MagicUnavailable` where Magic gave no usable response. Calls neither sleep nor
    retry, except that aiohttp repeats a request when a kept-alive connection was closed.
    """

    def __init__(
        self,
        secret_key: str,
        api_url: str = MAGIC_API_URL,
        *,
        deadline_s: float = 3.0,
        max_calls: int = 16,
        max_waiting: int = 256,
        clock: Clock = time.monotonic,
        skew: ClockSkew | None = None,
        watch: CallWatch = UNWATCHED,
    ) -> None:
        """
        Measure the clock skew by the ``Date`` of each response with ``skew``.

        ``watch`` hears of each call that Magic was asked.
        """
        self._api_url = _checked_url(api_url)
        self._fields = _request_fields(secret_key)
        self._deadline_s = deadline_s
        self._slots = asyncio.Semaphore(max_calls)
        self._room = max_calls + max_waiting
        self._clock = clock
        self._skew = skew or ClockSkew()
        self._watch = watch
        self._circuit = CircuitBreaker(failures=5, pause_s=1.0, one_trial=False)
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = ClientSession(
            connector=QuietConnector(),
            cookie_jar=DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,  # the size limit counts bytes as sent
            timeout=ClientTimeout(total=self._deadline_s),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def is_up(self) -> bool:
        """Whether calls are made; they are paused after failures."""
        return self._circuit.is_closed

    async def client_id(self) -> str:
        """Look up the client id of the secret key. Raises `MagicUnavailable`."""
        response = await self._get("/v1/admin/client")
        client_id = _record(response).get("client_id") if response.status == _OK else None
        if not isinstance(client_id, str) or printable_text(client_id) is None:
            raise MagicUnavailable(f"no client id in an answer of status {response.status}")
        return client_id

    async def user(self, issuer: str) -> User | None:
        """
        Look up ``issuer``; None if Magic does not know it.

        How Magic reports that is not documented: a 4xx, a null issuer and the record of another
        issuer all count. Raises `MagicUnavailable`.
        """
        query = urlencode({"issuer": issuer, "wallet_type": "NONE"})
        response = await self._get(f"/v1/admin/user?{query}")
        return _user(_record(response), issuer) if response.status == _OK else None

    async def issuers(self, email: str) -> tuple[str, ...]:
        """
        Look up the issuers of a canonical email address; none where Magic does not know it.

        Raises `MagicUnavailable`.
        """
        query = urlencode({"type": "email", "value": email})
        response = await self._get(f"/v2/admin/user?{query}")
        return _issuers(_json(response), email) if response.status == _OK else ()

    async def log_out(self, issuer: str) -> None:
        """End the sessions that ``issuer`` has with Magic itself. Raises `MagicUnavailable`."""
        body = orjson.dumps({"issuer": issuer})
        response = await self._request("POST", "/v1/admin/user/logout", body)
        if response.status != _OK:
            raise MagicUnavailable(f"status {response.status}")

    async def _get(self, path: str) -> _ApiResponse:
        return await self._request("GET", path)

    async def _request(self, method: str, path: str, body: bytes | None = None) -> _ApiResponse:
        """
        Send a request; return a 200, or a 4xx that is about the issuer.

        Raises `MagicUnavailable` for everything else.
        """
        now_s = self._clock()
        if not self._circuit.admit(now_s):
            raise MagicUnavailable("calls to Magic are paused", self._circuit.wait_s(now_s))
        with self._waiting_slot():
            try:
                async with asyncio.timeout(self._deadline_s), self._slots:
                    response = await self._call(method, path, body)
            except TimeoutError:
                raise self._failed("no answer in time") from None
            except (ClientError, OSError, ValueError) as error:  # UnicodeError is a ValueError
                raise self._failed(type(error).__name__) from None
        self._circuit.succeeded()
        self._watch.answered(self._clock() - now_s)
        return response

    async def _call(self, method: str, path: str, body: bytes | None) -> _ApiResponse:
        if self._session is None or self._session.closed:
            raise MagicUnavailable("not open")
        url = URL(self._api_url + path, encoded=True)
        fields = self._fields if body is None else {**self._fields, **_JSON}
        asked_s = time.time()
        async with self._session.request(
            method, url, headers=fields, data=body, allow_redirects=False
        ) as response:
            self._skew.answered(response.headers.get(hdrs.DATE), asked_s, time.time())
            refusal = self._refusal(response)
            if refusal is not None:
                raise refusal
            return _ApiResponse(response.status, await self._body(response))

    def _refusal(self, response: ClientResponse) -> MagicUnavailable | None:
        """Return the failure that the status means; None for one that is about the issuer."""
        match response.status:
            case 200:
                return None
            case 401 | 403:
                return self._failed(KEY_REFUSED)
            case 429 | 503:
                retry_after_s = _retry_after_s(response.headers.get(hdrs.RETRY_AFTER))
                return self._failed(f"status {response.status}", retry_after_s)
            case status if 400 <= status < 500:  # noqa: PLR2004 - RFC 9110 section 15.5
                return None
            case status:
                return self._failed(f"status {status}")

    async def _body(self, response: ClientResponse) -> bytes:
        body = bytearray()
        async for part in response.content.iter_any():
            body += part
            if len(body) > MAX_BODY_BYTES:
                raise self._failed("answer too long")
        return bytes(body)

    def _failed(self, reason: str, retry_after_s: float | None = None) -> MagicUnavailable:
        now_s = self._clock()
        self._watch.failed()
        self._circuit.failed(now_s, retry_after_s)
        return MagicUnavailable(reason, max(1.0, self._circuit.wait_s(now_s)))

    @contextmanager
    def _waiting_slot(self) -> Iterator[None]:
        """Hold a place in the queue of calls; refuse at once when the queue is full."""
        if self._room == 0:
            raise MagicUnavailable("too many calls to Magic are waiting")
        self._room -= 1
        try:
            yield
        finally:
            self._room += 1


def _user(record: dict[str, object], issuer: str) -> User | None:
    named = record.get("issuer")
    if named is None:
        return None
    if not isinstance(named, str):
        raise MagicUnavailable("issuer in the answer is not text")
    if named.lower() != issuer.lower():
        return None
    members = {
        **record,
        "phone": record.get("phone_number"),
        "wallets": _wallets(record.get("wallets")),
    }
    return user_of(issuer, members)  # in the verified spelling, not in that of the response


def _wallets(value: object) -> list[dict[str, object]]:
    """
    Convert wallets to the member names that we use.

    Magic's names are not documented: its SDKs read ``public_address`` elsewhere in this record, and
    type those of wallets as ``publicAddress``.
    """
    entries = (
        [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
    )
    return [
        {
            "network": entry.get("network"),
            "public_address": entry.get("public_address", entry.get("publicAddress")),
            "wallet_type": entry.get("wallet_type", entry.get("walletType")),
        }
        for entry in entries
    ]


def _issuers(answer: object, email: str) -> tuple[str, ...]:
    """
    Return the issuers in an answer about ``email``: a record, or a list of records.

    Records of another email are left out: an operator would act on another user.
    """
    records: list[Any] = answer if isinstance(answer, list) else [answer]
    if not all(isinstance(record, dict) for record in records):
        raise MagicUnavailable("answer is not an object")
    return tuple(
        _issuer(record["issuer"])
        for record in records
        if record.get("issuer") is not None and _is_of(record, email)
    )


def _is_of(record: dict[str, object], email: str) -> bool:
    """Whether a record is of ``email``; one that names no email is, as Magic was asked by it."""
    named = record.get("email")
    if named is None:
        return True
    try:
        return isinstance(named, str) and canonical_email(named) == email
    except ValueError:
        return False


def _issuer(value: object) -> str:
    try:
        return canonical_did(str(value))
    except ValueError:
        raise MagicUnavailable("issuer in the answer is no issuer") from None


def _record(response: _ApiResponse) -> dict[str, object]:
    record = _json(response)
    if not isinstance(record, dict):
        raise MagicUnavailable("answer is not an object")
    return record


def _json(response: _ApiResponse) -> Any:
    try:
        return orjson.loads(response.body)
    except orjson.JSONDecodeError:
        raise MagicUnavailable("answer is not JSON") from None


def _retry_after_s(field: str | None) -> float | None:
    """Parse the seconds of Retry-After (RFC 9110 section 10.2.3); None for a date, or without."""
    if field is None or len(field) > _MAX_RETRY_AFTER_DIGITS:
        return None
    return float(field) if field.isascii() and field.isdigit() else None


def _checked_url(api_url: str) -> str:
    try:
        url = URL(api_url)
    except ValueError:
        raise StartError("Magic's API URL is not a URL") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise StartError("Magic's API URL is not an http or https URL")
    return api_url.rstrip("/")


def _request_fields(secret_key: str) -> dict[str, str]:
    """
    Return the header fields of every request.

    magic-admin's User-Agent reveals the host's name and system; ours does not.
    """
    if _KEY.fullmatch(secret_key) is None:
        raise StartError("Magic's secret key is empty or holds characters that no key has")
    return {
        "X-Magic-Secret-Key": secret_key,
        "User-Agent": f"magic-gateway/{__version__}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
    }

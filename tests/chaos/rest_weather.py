"""A relay before a REST API that fails as an Upstash database may: errors, quotas, silence, lag."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Any

import orjson
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

_QUOTA = "ERR max daily request limit exceeded. Limit: 10000, Usage: 10000."
_READS = {"GET", "MGET"}
_NOT_CARRIED = {"host", "content-length", "transfer-encoding", "connection"}


class RestWeather(Enum):
    """How requests are answered."""

    FAIR = auto()
    BROKEN = auto()
    """500, with a page of HTML."""
    OVER_QUOTA = auto()
    """Each command fails, as the day's requests are used up."""
    HANGING = auto()
    """No answer while this lasts."""
    LAGGING = auto()
    """Reads do not find what was written less than `LAG_S` ago: a replica answers them."""


LAG_S = 2.0


class RestRelay:
    """Carries requests to the API at ``target``; ``weather`` may be changed at any time."""

    def __init__(self, target: str, session: ClientSession) -> None:
        self.url = ""
        self.weather = RestWeather.FAIR
        self.hidden = 0
        """Values that a replica did not have yet."""
        self._target = target
        self._session = session
        self._written_at_s: dict[str, float] = {}
        self._calm = asyncio.Event()

    async def heal(self) -> None:
        """Answer well again, also those that hang."""
        self.weather = RestWeather.FAIR
        self._calm.set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        if request.path.startswith("/subscribe"):
            return await self._stream(request)
        body = await request.read()
        match self.weather:
            case RestWeather.BROKEN:
                return web.Response(status=500, text="<h1>Internal Server Error</h1>")
            case RestWeather.OVER_QUOTA:
                return _json([{"error": _QUOTA}] * len(orjson.loads(body)))
            case RestWeather.HANGING:
                self._calm.clear()
                await self._calm.wait()
        return await self._carried(request, body)

    async def _carried(self, request: web.Request, body: bytes) -> web.Response:
        fields = {n: v for n, v in request.headers.items() if n.lower() not in _NOT_CARRIED}
        url = self._target + request.path_qs
        async with self._session.request(request.method, url, data=body, headers=fields) as got:
            results: Any = orjson.loads(await got.read())
            if request.path == "/pipeline" and isinstance(results, list):
                results = self._as_a_replica(orjson.loads(body), results)
            kept = {n: v for n, v in got.headers.items() if n.lower().startswith("upstash-")}
            return _json(results, got.status, kept)

    def _as_a_replica(self, commands: list[list[Any]], results: list[Any]) -> list[Any]:
        now_s = time.monotonic()
        for command in commands:
            for key in _written(command):
                self._written_at_s[key] = now_s
        if self.weather is not RestWeather.LAGGING:
            return results
        return [self._lagging(*pair) for pair in zip(commands, results, strict=True)]

    def _lagging(self, command: list[Any], result: Any) -> Any:
        if command[0] not in _READS or "result" not in result:
            return result
        values = result["result"] if command[0] == "MGET" else [result["result"]]
        seen = [
            None if self._is_new(key) else value
            for key, value in zip(command[1:], values, strict=True)
        ]
        self.hidden += sum(value is not None for value in values) - sum(v is not None for v in seen)
        return {"result": seen if command[0] == "MGET" else seen[0]}

    def _is_new(self, key: str) -> bool:
        return time.monotonic() - self._written_at_s.get(key, -LAG_S) < LAG_S

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Carry an event stream, which goes on in any weather."""
        fields = {n: v for n, v in request.headers.items() if n.lower() not in _NOT_CARRIED}
        out = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        url = self._target + request.path_qs
        async with self._session.post(url, headers=fields) as got:
            await out.prepare(request)
            async for part in got.content.iter_any():
                await out.write(part)
        return out


def _written(command: list[Any]) -> list[str]:
    """Return the keys that a plain write touches: those of scripts are read at the primary."""
    return [str(command[1])] if command[0] in ("SET", "DEL") else []


def _json(value: object, status: int = 200, fields: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(value), status=status, headers=fields, content_type="application/json"
    )


@asynccontextmanager
async def rest_relay(target: str) -> AsyncIterator[RestRelay]:
    """A relay before the API at ``target``, an origin."""
    async with ClientSession() as session:
        relay = RestRelay(target, session)
        app = web.Application(client_max_size=16 << 20)
        app.router.add_route("*", "/{path:.*}", relay.answer)
        async with TestServer(app) as server:
            relay.url = f"http://127.0.0.1:{server.port}"
            try:
                yield relay
            finally:
                await relay.heal()

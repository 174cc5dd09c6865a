"""An app for uvicorn: the paths that `tests.peers.test_origins` asks for."""

from collections.abc import Awaitable, Callable
from typing import Any

LARGE = bytes(range(256)) * 8192
"""2 MiB."""

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer as the path says; HEAD gets the body that GET would get."""
    if scope["type"] != "http":
        return
    sent = await _body(receive)
    name = scope["path"].rpartition("/")[2]
    bodies = {"hello": b"hello", "large": LARGE, "stream": b"", "moved": b""}
    body = bodies.get(name, sent) if name not in ("empty", "unchanged") else b""
    status = {"empty": 204, "unchanged": 304, "moved": 302}.get(name, 200)
    fields = [(b"content-type", b"text/plain")]
    if name == "moved":
        fields.append((b"location", b"hello"))
    if name == "unchanged":
        fields.append((b"etag", b'"x"'))
    if name not in ("stream", "empty", "unchanged"):
        fields.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    if name == "stream":
        for number in range(50):
            part = b"part %d\n" % number
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)

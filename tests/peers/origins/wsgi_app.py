"""An app for gunicorn and waitress: the paths that `tests.peers.test_origins` asks for."""

from collections.abc import Callable, Iterable
from typing import Any

BODIES = {"hello": b"hello", "large": bytes(range(256)) * 8192}


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer as the path says; HEAD gets the body that GET would get, as some frameworks do."""
    match environ["PATH_INFO"].rpartition("/")[2]:
        case "stream":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return (b"part %d\n" % number for number in range(50))
        case "empty":
            start_response("204 No Content", [])
        case "unchanged":
            start_response("304 Not Modified", [("ETag", '"x"')])
        case "moved":
            start_response("302 Found", [("Location", "hello"), ("Content-Length", "0")])
        case name:
            body = BODIES.get(name) or environ["wsgi.input"].read()
            start_response("200 OK", [("Content-Length", str(len(body)))])
            return [body]
    return []

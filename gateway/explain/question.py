"""The request that is to be explained, as an operator writes it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_URL = re.compile(r"(https?)://([^/?#]*)(.*)", re.DOTALL | re.IGNORECASE)
_LINE_END = re.compile(r"[\r\n\0]")
_KEYS = frozenset({"method", "url", "headers", "peer", "as"})

Fields = tuple[tuple[str, str], ...]
"""Names and values of header fields, in order."""

DEFAULT_PEER = "127.0.0.1"


class Question(NamedTuple):
    """A request, and who sends it."""

    method: str
    url: str
    """An absolute URL, or a path on the public host; as written, not normalised."""
    fields: Fields = ()
    peer: str = DEFAULT_PEER
    """The address of the other end of the socket."""
    name: str = ""
    """An issuer or an email address that is taken for authenticated; empty for none."""

    def place(self, public_url: str) -> "UrlParts":
        """Split the URL; a path belongs to ``public_url``. Raises `ValueError`."""
        found = _URL.fullmatch(self.url)
        if found is not None:
            return UrlParts(found[1].lower(), found[2], found[3] or "/")
        if not self.url.startswith(("/", "*")):
            raise ValueError("the URL begins with neither http://, https:// nor /")
        public = urlsplit(public_url)
        return UrlParts(public.scheme, public.netloc, self.url)


class UrlParts(NamedTuple):
    """Where a request leads."""

    scheme: str
    host: str
    """With the port, if there is one."""
    target: str
    """As on the wire."""


def read_field(text: str) -> tuple[str, str]:
    """Read ``Name: value``, as curl takes it. Raises `ValueError`."""
    name, colon, value = text.partition(":")
    if not colon or not name:
        raise ValueError("expected NAME: VALUE")
    return name, value.strip(" \t")


def head_bytes(question: Question, public_url: str) -> bytes:
    """
    Write the head as a client would; Host is that of the URL, unless a field says otherwise.

    Raises `ValueError` for what would be more than one line.
    """
    place = question.place(public_url)
    fields = question.fields
    if not any(name.lower() == "host" for name, _ in fields):
        fields = (("Host", place.host), *fields)
    lines = [f"{question.method} {place.target} HTTP/1.1", *(f"{n}: {v}" for n, v in fields)]
    if any(_LINE_END.search(line) for line in lines):
        raise ValueError("a line break or NUL in the method, the URL or a field")
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("utf-8", "surrogateescape")


def question_of(document: object) -> Question:
    """Read a question in JSON: ``{method, url, headers, peer, as}``. Raises `ValueError`."""
    if not isinstance(document, dict) or not document.keys() <= _KEYS:
        raise ValueError("expected an object with method, url, headers, peer and as")
    texts = {
        key: _text(document, key, default)
        for key, default in (("method", "GET"), ("url", None), ("peer", DEFAULT_PEER), ("as", ""))
    }
    fields = _fields(document.get("headers", {}))
    return Question(texts["method"], texts["url"], fields, texts["peer"], texts["as"])


def _text(document: Mapping[str, Any], key: str, default: str | None) -> str:
    value = document.get(key, default)
    if not isinstance(value, str):
        raise ValueError(f"{key}: expected a text")  # noqa: TRY004 (of what an operator wrote)
    return value


def _fields(headers: object) -> Fields:
    """Read an object, or a list of ``Name: value``, in which names may be repeated."""
    if isinstance(headers, dict):
        pairs: Sequence[tuple[object, object]] = tuple(headers.items())
        if all(isinstance(value, str) for _, value in pairs):
            return tuple((str(name), str(value)) for name, value in pairs)
    if isinstance(headers, list) and all(isinstance(line, str) for line in headers):
        return tuple(map(read_field, headers))
    raise ValueError("headers: expected an object of texts, or a list of NAME: VALUE")

"""
Which request does a proxy in front ask about, and what is it told? (Forward-auth.)

nginx, Traefik, Caddy, Envoy and HAProxy forward by themselves and only ask whether they may. What
they say of the request is put together to the head that the client would have sent us, and decided
on as one. Who may say it, the journey has judged before.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from multidict import CIMultiDict, CIMultiDictProxy

from gateway.core.errors import BadOriginal
from gateway.core.request import Client, Reply, RequestHead, RequestHeaders
from gateway.core.route import FieldLines


class _RequestDescription(NamedTuple):
    """What is said of a request, in one convention; None where nothing is."""

    method: str | None
    target: str | None
    host: str | None


_X_ORIGINAL = ("X-Original-Method", "X-Original-URI", "X-Original-Host")  # nginx, HAProxy
_X_FORWARDED = ("X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host")  # Traefik, Caddy
_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")
_REMEMBERED = 4096
"""Answers, one for each caller: some 4 MiB at the most."""
_HANDSHAKE = ("Sec-WebSocket-Key", "Sec-WebSocket-Version")


def checked_request(head: RequestHead, place: str) -> RequestHead:
    """
    The request that the check ``head`` asks about; checks are asked for at the path ``place``.

    A whole account must be there: in the ``X-Original-`` fields, in the ``X-Forwarded-`` ones, or
    in the check itself, with the target behind ``place`` (Envoy). A second one must say the same in
    all that it says: the client may have written it (CVE-2026-40575). Raises `BadOriginal` for all
    else. What target and host are worth is judged as for any request, later.
    """
    accounts = [*_in_fields(head.headers), *_in_the_check(head, place)]
    asked = next((account for account in accounts if None not in account), None)
    if asked is None:
        raise BadOriginal("no account of a request is whole")
    for account in accounts:
        if any(said not in (None, ours) for said, ours in zip(account, asked, strict=True)):
            raise BadOriginal("two accounts of the request disagree")
    method, target, host = map(str, asked)
    if not _METHOD.fullmatch(method):
        raise BadOriginal("no method")
    headers, peer = CIMultiDict(head.headers), head.peer
    for name in (*_X_ORIGINAL, *_X_FORWARDED):
        headers.popall(name, None)
    headers["Host"] = host
    return head._replace(
        method=method,
        target=target,
        version=(1, 1),
        # What else is known of the connection is about the proxy, such as a certificate.
        peer=Client(peer.address, peer.text, peer.limit_key, peer.scheme),
        headers=CIMultiDictProxy(headers),
        memo=None,  # it is one of other fields
        upgrade=_upgrade(head.headers),
    )


def _in_fields(headers: RequestHeaders) -> Iterator[_RequestDescription]:
    for names in (_X_ORIGINAL, _X_FORWARDED):
        yield _RequestDescription(*(_only(headers, name) for name in names))


def _in_the_check(head: RequestHead, place: str) -> Iterator[_RequestDescription]:
    if head.target.startswith(f"{place}/"):
        yield _RequestDescription(
            head.method, head.target[len(place) :], _only(head.headers, "Host")
        )
    elif head.target.partition("?")[0] != place:  # Caddy leaves the query of the request there
        raise BadOriginal("neither the place of checks nor a target behind it")


def _only(headers: RequestHeaders, name: str) -> str | None:
    values = headers.getall(name, ())
    if len(values) > 1:
        raise BadOriginal("a field is repeated")
    return values[0] if values else None


def _upgrade(headers: RequestHeaders) -> str:
    """
    What the connection is to become, by the fields that proxies leave in a check.

    Most drop ``Upgrade`` from it. Pages cannot write ``Sec-`` fields, and no browser opens a
    WebSocket without them, so a page of another site cannot hide one (RFC 6455 section 4.1).
    """
    if "Upgrade" in headers:
        return ",".join(headers.getall("Upgrade")).lower()
    return "websocket" if any(name in headers for name in _HANDSHAKE) else ""


def takes_redirect(head: RequestHead) -> bool:
    """Whether whoever asks leads the client to where the answer says; nginx answers it 500."""
    return not any(name in head.headers for name in _X_ORIGINAL)


def allowed_reply(names: tuple[str, ...], lines: bytes, asserted: bytes = b"") -> Reply:
    """
    The answer that lets a request pass: ``lines`` are what an app would be told of the identity.

    Those of ``names`` that are not among them are there without a value. A proxy that copies what
    is there would else let the client's own field of that name pass (CVE-2026-30851). ``asserted``
    is a line that is signed: it may be good for this request alone, so it is not remembered.
    """
    fields = _identity_fields(names, lines)
    if asserted:
        name, value = asserted.decode("ascii").rstrip().split(": ", 1)
        fields = (*(field for field in fields if field[0] != name), (name, value))
    return Reply(HTTPStatus.OK.value, fields, b"")


@lru_cache(maxsize=_REMEMBERED)
def _identity_fields(names: tuple[str, ...], lines: bytes) -> FieldLines:
    said = dict(line.split(": ", 1) for line in lines.decode("ascii").splitlines())
    return (*{**dict.fromkeys(names, ""), **said, "Cache-Control": "no-store"}.items(),)

"""
Forward-auth checks: reads the described request, and writes the response to the proxy in front.

nginx, Traefik, Caddy, Envoy and HAProxy forward by themselves and only ask whether a request may
pass. Their description of it is turned into the head that the client would have sent to us. The
pipeline has checked before that the peer is a trusted proxy.
"""

from collections.abc import Iterator
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from multidict import CIMultiDict, CIMultiDictProxy

from gateway.core.errors import BadOriginal
from gateway.core.method import UNFORWARDED, is_forwardable
from gateway.core.request import Client, Reply, RequestHead, RequestHeaders
from gateway.core.route import FieldLines


class _RequestDescription(NamedTuple):
    """Description of a request, by one convention of fields; None for a part that is absent."""

    method: str | None
    target: str | None
    host: str | None


_X_ORIGINAL = ("X-Original-Method", "X-Original-URI", "X-Original-Host")  # nginx, HAProxy
_X_FORWARDED = ("X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host")  # Traefik, Caddy
_REMEMBERED = 4096
"""Cached responses, one for each caller: some 4 MiB at the most."""
_HANDSHAKE = ("Sec-WebSocket-Key", "Sec-WebSocket-Version")


def checked_request(head: RequestHead, place: str) -> RequestHead:
    """
    Build the head of the request that the check ``head``, sent to the path ``place``, describes.

    One description must be complete: in the ``X-Original-`` fields, in the ``X-Forwarded-`` ones,
    or in the check itself, with the target behind ``place`` (Envoy). Any other one must agree with
    it in every part that it has, as the client may have written it (CVE-2026-40575). Raises
    `BadOriginal` otherwise. Target and host are validated later, as for any request.
    """
    descriptions = [*_in_fields(head.headers), *_in_check(head, place)]
    complete = next((found for found in descriptions if None not in found), None)
    if complete is None:
        raise BadOriginal("no description of the request is complete")
    for found in descriptions:
        if any(part not in (None, ours) for part, ours in zip(found, complete, strict=True)):
            raise BadOriginal("two descriptions of the request disagree")
    method, target, host = map(str, complete)
    if not is_forwardable(method) and method not in UNFORWARDED:
        raise BadOriginal("no method")
    headers, peer = CIMultiDict(head.headers), head.peer
    for name in (*_X_ORIGINAL, *_X_FORWARDED):
        headers.popall(name, None)
    headers["Host"] = host
    return head._replace(
        method=method,
        target=target,
        version=(1, 1),
        # Without the certificate: it is that of the proxy.
        peer=Client(peer.address, peer.text, peer.limit_key, peer.scheme),
        headers=CIMultiDictProxy(headers),
        memo=None,  # that one belongs to the fields of the check
        upgrade=_upgrade(head.headers),
    )


def _in_fields(headers: RequestHeaders) -> Iterator[_RequestDescription]:
    for names in (_X_ORIGINAL, _X_FORWARDED):
        yield _RequestDescription(*(_only(headers, name) for name in names))


def _in_check(head: RequestHead, place: str) -> Iterator[_RequestDescription]:
    if head.target.startswith(f"{place}/"):
        yield _RequestDescription(
            head.method, head.target[len(place) :], _only(head.headers, "Host")
        )
    elif head.target.partition("?")[0] != place:  # Caddy leaves the query of the request there
        raise BadOriginal("the target is not below the path of checks")


def _only(headers: RequestHeaders, name: str) -> str | None:
    values = headers.getall(name, ())
    if len(values) > 1:
        raise BadOriginal("a field is repeated")
    return values[0] if values else None


def _upgrade(headers: RequestHeaders) -> str:
    """
    Return the protocol of the upgrade, by the fields that proxies leave in a check.

    Most proxies drop ``Upgrade`` from it. Scripts cannot write ``Sec-`` fields, and no browser
    opens a WebSocket without them, so a page of another site cannot hide one (RFC 6455 section
    4.1).
    """
    if "Upgrade" in headers:
        return ",".join(headers.getall("Upgrade")).lower()
    return "websocket" if any(name in headers for name in _HANDSHAKE) else ""


def takes_redirect(head: RequestHead) -> bool:
    """Whether the proxy passes a redirect on to the client; nginx answers 500 instead."""
    return not any(name in head.headers for name in _X_ORIGINAL)


def allowed_reply(names: tuple[str, ...], lines: bytes, asserted: bytes = b"") -> Reply:
    """
    Make the response that lets a request pass, with the identity fields for the app (``lines``).

    Those of ``names`` that are not among them are sent empty. Otherwise a proxy that copies only
    fields that are present would let the client's own field of that name pass (CVE-2026-30851).
    ``asserted`` is a signed line. It may be valid for this request alone, so it is not cached.
    """
    fields = _identity_fields(names, lines)
    if asserted:
        name, value = asserted.decode("ascii").rstrip().split(": ", 1)
        fields = (*(field for field in fields if field[0] != name), (name, value))
    return Reply(HTTPStatus.OK.value, fields, b"")


@lru_cache(maxsize=_REMEMBERED)
def _identity_fields(names: tuple[str, ...], lines: bytes) -> FieldLines:
    known = dict(line.split(": ", 1) for line in lines.decode("ascii").splitlines())
    return (*{**dict.fromkeys(names, ""), **known, "Cache-Control": "no-store"}.items(),)

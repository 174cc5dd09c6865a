"""
Callers: the texts by which a limit distinguishes requests, from what is known of each.

They become parts of keys in the store, so a text is short, printable, and without braces, which
enclose hash tags. What does not fit is hashed; a hash begins with ``#``. Apps and operators write
callers too (`gateway limits`, overrides), so the usual ones stay readable: an address, an issuer,
an email address.

A part that a request does not have:

- Without a caller, as on a route with ``auth: optional``, what authentication finds out is counted
  by address, as ``ip=`` and the address.
- An authenticated caller without a session, an API key or an email address, or whose roles are
  unknown, is counted by its issuer, as ``issuer=`` and the issuer: so it shares no count with
  others.
- Requests without a header field share one counter, ``none``, as do callers without a role.
"""

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from gateway.core.email import canonical_email
from gateway.core.identity import AuthMethod, Identity
from gateway.core.limit import BY_ADDRESS, BY_HEADER, Limit
from gateway.core.request import Client, RequestHead

NONE: Final = "none"
MAX_CHARS: Final = 128
"""Of one part. A combined key has at most twice as many."""

_PLAIN = re.compile(r"(?!none\Z|#|ip=|issuer=)[!-z|~]{1,128}")
"""What stays as it is: printable ASCII without braces and spaces, which join parts."""
_CREDENTIAL = re.compile(
    r"assertion|auth|bearer|cookie|credential|jwt|key|otp|pass|secret|session|signature|token"
)
_HASH_CHARS = 32


def caller_of(
    limit: Limit, head: RequestHead, route: str, client: Client, identity: Identity | None
) -> str:
    """Return the caller that ``limit`` counts; ``route`` is the name of the request's route."""
    per = limit.per
    if per == BY_ADDRESS:
        return client.limit_key
    if len(per) == 1:
        return _part(per[0], head, route, client, identity)
    text = " ".join([_part(name, head, route, client, identity) for name in per])
    return text if len(text) <= 2 * MAX_CHARS else _hashed(text)


def caller_named(per: Sequence[str], parts: Sequence[str]) -> str:
    """Return the caller that an operator names by ``parts``, one for each of ``per``."""
    text = " ".join([_written(name, part) for name, part in zip(per, parts, strict=True)])
    return text if len(per) == 1 or len(text) <= 2 * MAX_CHARS else _hashed(text)


def _written(name: str, text: str) -> str:
    """Return a part as it is counted; what says itself that something is missing stays so."""
    if text == NONE or text.startswith(("#", "ip=", "issuer=")):
        return text
    is_credential = name.startswith(BY_HEADER) and _CREDENTIAL.search(name)
    return _hashed(text) if is_credential else _plain(text)


def _part(
    name: str, head: RequestHead, route: str, client: Client, identity: Identity | None
) -> str:
    match name:
        case "ip":
            return client.limit_key
        case "route":
            return route
        case _ if name.startswith(BY_HEADER):
            return _field(name.removeprefix(BY_HEADER), head)
    return f"ip={client.limit_key}" if identity is None else _proven(name, identity)


def _field(name: str, head: RequestHead) -> str:
    values = head.headers.getall(name, ())
    if not values:
        return NONE
    value = ", ".join(values)  # RFC 9110 section 5.3
    return _hashed(value) if _CREDENTIAL.search(name) else _plain(value)


def _proven(name: str, identity: Identity) -> str:
    """Return the part of a caller that authentication has found out."""
    user = identity.user
    found: str | None = None
    match name:
        case "issuer":
            return _plain(user.issuer)
        case "session":
            found = identity.session_key
        case "api-key" if identity.method == AuthMethod.API_KEY:
            found = identity.token_id
        case "email":
            found = _email(user.email)
        case "role" if identity.roles is not None:
            return _plain(",".join(identity.roles)) if identity.roles else NONE
    if not found:
        return "issuer=" + _plain(user.issuer)
    return _plain(found)


def _email(text: str | None) -> str | None:
    """Return an address in its canonical spelling; as it is where it has none."""
    try:
        return text and canonical_email(text)
    except ValueError:
        return text


def _plain(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else _hashed(text)


def _hashed(text: str) -> str:
    return "#" + sha256(text.encode(errors="backslashreplace")).hexdigest()[:_HASH_CHARS]

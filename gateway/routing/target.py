"""
Canonical targets: parsed once, matched, and sent to the upstream as they were matched.

Ambiguous targets are refused, never repaired: a gateway that repairs matches one request and
forwards another (CVE-2026-33494, CVE-2026-42274, CVE-2025-66490).
"""

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple

from gateway.core.errors import BadHost, BadTarget
from gateway.core.request import Target

_QUERY = re.compile(r"[!-\"$-~]*")  # visible ASCII but "#"; laxer than RFC 3986, as browsers are
_PLAIN = re.compile(rf"(/[A-Za-z0-9._~!$&'()*+,;=:@/-]*+)(?:\?{_QUERY.pattern}+)?")
"""RFC 3986 section 3.3: pchar and "/", without escapes, as nearly all paths are; and a query."""
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/\[\]^|-]*")
"""The same with escapes, and with what browsers (WHATWG's URL) leave raw beside it."""
_RAW_ESCAPES = (("[", "%5B"), ("]", "%5D"), ("^", "%5E"), ("|", "%7C"))

_TAIL = "%[89AB][0-9A-F]"
_CANONICAL_ESCAPES = re.compile(
    r"[^%]*(?:(?:%(?:2[0-9A-CF]|3[A-F]|40|5[B-E]|60|7[B-D])"
    rf"|%(?:C[2-9A-F]|D[0-9A-F]|E0%[AB][0-9A-F]|E[1-9A-CEF]{_TAIL}|ED%[89][0-9A-F]"
    rf"|F0%[9AB][0-9A-F]{_TAIL}|F[1-3]{_TAIL}{_TAIL}|F4%8[0-9A-F]{_TAIL}){_TAIL})[^%]*)*"
)
"""Text in which each escape is canonical, and their octets are UTF-8 (RFC 3629 section 4)."""
_HEX = "0123456789ABCDEFabcdef"
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_CONTROLS = frozenset([*range(0x20), 0x7F])
_SPELLINGS = {
    high + low: chr(octet) if chr(octet) in _UNRESERVED else f"%{octet:02X}"
    for high in _HEX
    for low in _HEX
    if (octet := int(high + low, 16)) not in _CONTROLS
}
"""What each escape is in canonical form; those of control characters have none."""

MAX_ESCAPES = 1024
"""
How many escapes and ``;`` a path may hold.

All readings of a path are judged before any limit is charged, at a cost that grows with these. An
S3 key has 1024 octets at most.
"""
_TWICE_ESCAPED = re.compile(r"%25(?:2[EeFf5]|5[Cc]|00)")
"""``%252e``: an app that decodes twice reads a dot, slash, backslash or NUL."""
_ESCAPED_PCHARS = tuple((f"%{ord(character):02X}", character) for character in "!$&'()*+,:;=@")
_PARAMETERS = re.compile(r";[^/]*")
_DOT_SEGMENT = re.compile(r"/\.{1,2}(?:[/;]|%3B|\Z)")
"""``..;x`` is ``..`` to servlet containers, which cut parameters off first."""

_AUTHORITY = re.compile(
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253})|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{0,5}))?"
)


class Authority(NamedTuple):
    """A normalised host, and the port if there is one; it may be empty (RFC 3986 section 3.2.3)."""

    host: str
    """Lower case, without the trailing dot of a fully qualified name; IPv6 in its one spelling."""
    port: int | None


class AbsoluteForm(NamedTuple):
    """What an absolute-form target says of the host (RFC 9112 section 3.2.2)."""

    authority: Authority
    default_port: int
    """That of the scheme: a port that is left out is this one."""

    def agrees_with(self, host: Authority) -> bool:
        """Whether the Host field names the same host and port."""
        host_port, port = host.port or self.default_port, self.authority.port or self.default_port
        return host.host == self.authority.host and host_port == port


_DEFAULT_PORTS = {"http": 80, "https": 443}  # RFC 9110 section 4.2


def canonical_target(raw: str) -> Target:
    """
    Return the canonical form of an origin-form target (RFC 9112 section 3.2.1).

    Escaped unreserved characters are decoded and the other escapes written in upper case: both
    spellings are equivalent (RFC 3986 section 6.2.2). Brackets, ``^`` and ``|``, which browsers
    leave raw, are escaped. Raises `BadTarget` for malformed and ambiguous targets.
    """
    plain = _PLAIN.fullmatch(raw)
    if plain is not None:
        path = plain[1]
        if "//" in path or "/." in path:
            _refuse_ambiguous_segments(path)
        return tuple.__new__(Target, (path, raw, False))  # half the time of a call of the class
    path, mark, query = raw.partition("?")
    if not _QUERY.fullmatch(query):
        raise BadTarget("character not allowed in the query")
    if not _PATH.fullmatch(path):
        raise BadTarget("character not allowed in the path")
    path = _with_canonical_escapes(path)
    if _TWICE_ESCAPED.search(path):  # only now: %25%32e is one of them too
        raise BadTarget("escaped twice")
    _refuse_ambiguous_segments(path)
    return Target(path, path + mark + query, has_encoded_slash="%2F" in path or "%5C" in path)


def _with_canonical_escapes(path: str) -> str:
    """
    Return ``path`` with all its escapes in canonical form.

    Their octets must be UTF-8: lenient decoders read overlong forms such as ``%C0%AE`` as a dot.
    """
    for character, escape in _RAW_ESCAPES:
        path = path.replace(character, escape)
    if path.count("%") + path.count(";") > MAX_ESCAPES:
        raise BadTarget("too many escapes and parameters")
    if _CANONICAL_ESCAPES.fullmatch(path):
        return path
    start, *parts = path.split("%")
    try:
        path = start + "".join([_SPELLINGS[part[:2]] + part[2:] for part in parts])
    except KeyError as error:
        digits = error.args[0]
        is_escape = len(digits) == 2 and set(digits) <= set(_HEX)  # noqa: PLR2004 (of an octet)
        raise BadTarget(
            "escaped control character" if is_escape else "stray percent sign"
        ) from None
    if not _CANONICAL_ESCAPES.fullmatch(path):
        raise BadTarget("escapes are not UTF-8")
    return path


def _refuse_ambiguous_segments(path: str) -> None:
    if "//" in path:
        raise BadTarget("empty segment")
    if _DOT_SEGMENT.search(path):
        raise BadTarget("dot segment")


def with_prefix_replaced(target: Target, prefix: str, new_prefix: str) -> Target:
    """
    Replace ``prefix`` of ``target`` with ``new_prefix``; neither ends in a slash.

    The prefix is cut at a slash alone, and the result must be canonical too: a path that is
    normalised after the cut is another one than was matched (CVE-2026-48020). Raises `BadTarget`
    where it is not.
    """
    rest = target.path.removeprefix(prefix)
    if not target.path.startswith(prefix) or (rest and not rest.startswith("/")):
        raise BadTarget("the route's prefix is not there to be replaced")
    path = new_prefix + rest or "/"
    new = Target(path, path + target.wire[len(target.path) :], target.has_encoded_slash)
    if canonical_target(new.wire) != new:
        raise BadTarget("not canonical without the route's prefix")
    alternative_paths(path)
    return new


def alternative_paths(path: str) -> tuple[str, ...]:
    """
    Return the other paths that common apps read in the canonical ``path``.

    All apps decode escaped reserved characters (``%40admin`` is ``@admin``), many decode the
    escaped slash, and servlet containers cut ``;parameters`` off each segment. All readings must
    match one route: otherwise ``/admin;x/users`` is public for the gateway and private for the app
    (CVE-2025-66490). Raises `BadTarget` where a reading holds dot segments.
    """
    if "%" not in path and ";" not in path:
        return ()
    if path.count(";") > MAX_ESCAPES:
        raise BadTarget("too many parameters")
    plain = path
    for escape, character in _ESCAPED_PCHARS:
        plain = plain.replace(escape, character)
    slashed = plain.replace("%2F", "/").replace("%5C", "/")
    found = dict.fromkeys((plain, _without_parameters(plain), _without_parameters(slashed)))
    readings = tuple(reading for reading in found if reading != path)
    for reading in readings:
        _refuse_ambiguous_segments(reading)
    return readings


def _without_parameters(path: str) -> str:
    return _PARAMETERS.sub("", path) if ";" in path else path


def split_absolute(raw: str) -> tuple[AbsoluteForm | None, str]:
    """
    Split an absolute-form target into its authority and its origin-form (RFC 9112 section 3.2.2).

    An origin-form target is returned as it is, with None. Raises `BadTarget` for other forms and
    for schemes other than http and https.
    """
    if raw.startswith("/"):
        return None, raw
    scheme, separator, rest = raw.partition("://")
    default_port = _DEFAULT_PORTS.get(scheme.lower())
    if not separator or default_port is None:
        raise BadTarget("neither origin-form nor absolute-form")
    end = next((i for i, c in enumerate(rest) if c in "/?#"), len(rest))
    path = rest[end:]
    try:
        absolute = AbsoluteForm(parse_authority(rest[:end]), default_port)
    except BadHost:
        raise BadTarget("malformed authority in the target") from None
    return absolute, path if path.startswith("/") else "/" + path


@lru_cache(maxsize=1024)
def parse_authority(text: str) -> Authority:
    """Parse a Host field or an authority; userinfo is malformed. Raises `BadHost`."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise BadHost("malformed host")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:  # noqa: PLR2004 (RFC 6335 section 6)
        raise BadHost("port out of range")
    host = match["host"].lower()
    if host.startswith("["):
        return Authority(_canonical_ipv6(host), port)
    if ".." in host:
        raise BadHost("empty label")
    return Authority(host.removesuffix("."), port)


def _canonical_ipv6(literal: str) -> str:
    """Normalise an IPv6 literal: ``[0:0::1]`` and ``[::1]`` are one host, with one route."""
    try:
        return f"[{IPv6Address(literal[1:-1])}]"
    except ValueError:
        raise BadHost("malformed IPv6 address") from None

"""
Decoding of JWTs of trusted issuers, and every check that needs no cryptography.

Follows RFC 7519 for signed compact JWS (RFC 7515), with the advice of RFC 8725: the config names
the accepted algorithms and the keys, never the token. Header parameters that change how the rest is
read are refused. Nothing is verified yet: the signature is checked after this, over the same bytes.
"""

import binascii
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import quote

from gateway.authn.api_key.key import readable_scopes
from gateway.authz.roles import MAX_ROLES, ROLE
from gateway.core.errors import ExpiredToken, InvalidToken
from gateway.core.identity import AuthMethod, Identity, User
from gateway.core.reasons import Reason
from gateway.core.text import printable_text

MAX_JWT_CHARS = 8192

ALGORITHMS = frozenset(
    f"{family}{bits}" for family in ("RS", "PS", "ES") for bits in (256, 384, 512)
) | {"EdDSA", "Ed25519"}
"""Asymmetric algorithms alone: with a shared secret, the gateway could make tokens itself."""

_DOTS = 2  # RFC 7515 section 7.1
_MAX_BRACKETS = 256
_MAX_INSTANT_S = 2**53  # what JSON writers agree on (RFC 8259 section 6)
_MAX_SUBJECT_CHARS = 255
_PART = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_KEY_ID = re.compile(r"[!-~]{1,256}", re.ASCII)
_TOKEN_ID = re.compile(r"[!-~]{1,128}", re.ASCII)
_TYPES = frozenset({"jwt", "at+jwt"})
"""RFC 7519 section 5.1 and RFC 9068 section 2.1; tokens of other types have other purposes."""
_REFUSED_PARAMETERS = frozenset(
    {
        # Those that bring their own key (RFC 7515 section 4.1.2 and on) or change how it is read.
        *("jwk", "jku", "x5u", "x5c"),
        *("crit", "b64", "zip", "enc"),
    }
)
_SAFE_IN_SUBJECT = ":@|"


class JwtFault(Reason):
    """`invalid_token` or `expired_token`, of a JWT"""

    TOO_LONG = "jwt_too_long", "It has more characters than a JWT may."
    NOT_THREE_PARTS = "jwt_not_three_parts", "It is not three parts of base64url."
    TOO_DEEP = "jwt_too_deep", "It nests too deep."
    NOT_JSON = "jwt_not_json", "Header or payload is not JSON, or a key is repeated."
    NOT_AN_OBJECT = "jwt_not_an_object", "Header or payload is no object."
    BAD_HEADER = "jwt_bad_header", "The header has a member that is not allowed."
    BAD_TYPE = "jwt_bad_type", "It is of another type."
    BAD_KEY_ID = "jwt_bad_key_id", "`kid` is not printable text."
    OTHER_ISSUER = "jwt_other_issuer", "`iss` is none of those configured."
    OTHER_ALGORITHM = "jwt_other_algorithm", "`alg` is not allowed for this issuer."
    OTHER_AUDIENCE = "jwt_other_audience", "`aud` is not us."
    OTHER_PARTY = "jwt_other_party", "`azp` is none of those configured."
    BAD_INSTANT = "jwt_bad_instant", "`exp`, `iat` or `nbf` is not a time."
    BAD_SUBJECT = "jwt_bad_subject", "`sub` is not printable text."
    LIVES_TOO_LONG = "jwt_lives_too_long", "Longer than its issuer's may."
    EXPIRED = "jwt_expired", "`exp` is over."
    NOT_YET_VALID = "jwt_not_yet_valid", "`nbf` is in the future."
    ISSUED_LATER = "jwt_issued_later", "`iat` is in the future."


class TrustedIssuer(NamedTuple):
    """Settings of the config for one issuer."""

    name: str
    """The exact value of ``iss``."""
    audience: str
    """The value that ``aud`` must be or contain; if empty, the token must have no ``aud``."""
    algorithms: frozenset[str]
    """Some of `ALGORITHMS`."""
    prefix: str = ""
    """Prefix of the identities of its subjects; ``name`` where it is empty."""
    clock_skew_s: float = 60.0
    """How far ``iat`` and ``nbf`` may lie in the future. ``exp`` has no tolerance."""
    max_lifetime_s: float = 7 * 86_400.0
    email_claim: str = ""
    roles_claim: str = ""
    scopes_claim: str = "scope"
    parties: frozenset[str] = frozenset()
    """One of them must be ``azp``, the party that the token was issued to; empty for any."""


class ParsedJwt(NamedTuple):
    """A decoded token; nothing in it is verified yet."""

    algorithm: object
    key_id: str | None
    claims: Mapping[str, Any]
    signing_input: bytes
    signature: bytes


def has_jwt_shape(token: str) -> bool:
    """Whether a token is meant to be a signed JWT: no DID token can have a dot."""
    return token.count(".") == _DOTS


def parse(token: str) -> ParsedJwt:
    """Decode ``token``. Raises `InvalidToken`, with a `JwtFault` as reason."""
    if len(token) > MAX_JWT_CHARS:
        raise InvalidToken(JwtFault.TOO_LONG)
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature
        raise InvalidToken(JwtFault.NOT_THREE_PARTS)
    head, payload, signature = map(_decoded, parts)
    header, claims = _object(head), _object(payload)
    if not _REFUSED_PARAMETERS.isdisjoint(header):
        raise InvalidToken(JwtFault.BAD_HEADER)
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise InvalidToken(JwtFault.BAD_TYPE)
    key_id = header.get("kid")
    if key_id is not None and not (isinstance(key_id, str) and _KEY_ID.fullmatch(key_id)):
        raise InvalidToken(JwtFault.BAD_KEY_ID)
    signing_input = token.rpartition(".")[0].encode("ascii")
    return ParsedJwt(header.get("alg"), key_id, claims, signing_input, signature)


def issuer_of(parsed: ParsedJwt, known: Mapping[str, TrustedIssuer]) -> TrustedIssuer:
    """Return the issuer that ``iss`` names. Raises `InvalidToken` for one not in ``known``."""
    name = parsed.claims.get("iss")
    issuer = known.get(name) if isinstance(name, str) else None
    if issuer is None:
        raise InvalidToken(JwtFault.OTHER_ISSUER)
    return issuer


def inspect(
    parsed: ParsedJwt,
    issuer: TrustedIssuer,
    token: str,
    now_s: float,
    method: AuthMethod = AuthMethod.JWT,
) -> Identity:
    """
    Check everything but the signature, and return the identity of the subject.

    Raises `ExpiredToken` or `InvalidToken`, with a `JwtFault` as reason.
    """
    claims = parsed.claims
    if not isinstance(parsed.algorithm, str) or parsed.algorithm not in issuer.algorithms:
        raise InvalidToken(JwtFault.OTHER_ALGORITHM)
    _check_recipient(claims, issuer)
    expires_at_s, issued_at_s = _instant(claims, "exp"), _instant(claims, "iat")
    if expires_at_s <= now_s:
        raise ExpiredToken(JwtFault.EXPIRED)
    if expires_at_s - issued_at_s > issuer.max_lifetime_s:
        raise InvalidToken(JwtFault.LIVES_TOO_LONG)
    if issued_at_s > now_s + issuer.clock_skew_s:
        raise InvalidToken(JwtFault.ISSUED_LATER)
    if "nbf" in claims and _instant(claims, "nbf") > now_s + issuer.clock_skew_s:
        raise InvalidToken(JwtFault.NOT_YET_VALID)
    return Identity(
        User(_subject_name(claims, issuer), email=_email(claims, issuer)),
        method,
        _token_id(claims, token),
        int(expires_at_s * 1000),
        proven_at_ms=int(min(issued_at_s, now_s) * 1000),
        roles=_roles(claims, issuer),
        scopes=_scopes(claims, issuer),
    )


# --- parts -------------------------------------------------------------------------------------


def _decoded(part: str) -> bytes:
    """Decode the base64url of ``part``: the canonical spelling, without padding."""
    if _PART.fullmatch(part) is None:
        raise InvalidToken(JwtFault.NOT_THREE_PARTS)
    try:
        octets = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise InvalidToken(JwtFault.NOT_THREE_PARTS) from None
    if urlsafe_b64encode(octets).rstrip(b"=") != part.encode("ascii"):
        raise InvalidToken(JwtFault.NOT_THREE_PARTS)
    return octets


def _object(octets: bytes) -> dict[str, Any]:
    """Decode the JSON object in ``octets``; repeated keys are refused as ambiguous."""
    if octets.count(b"[") + octets.count(b"{") > _MAX_BRACKETS:
        raise InvalidToken(JwtFault.TOO_DEEP)
    try:
        value = json.loads(
            octets.decode(), object_pairs_hook=_without_repeats, parse_constant=_refuse_constant
        )
    except ValueError:  # UnicodeDecodeError and JSONDecodeError are
        raise InvalidToken(JwtFault.NOT_JSON) from None
    if not isinstance(value, dict):
        raise InvalidToken(JwtFault.NOT_AN_OBJECT)
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key is repeated")
    return members


def _refuse_constant(_: str) -> None:
    raise ValueError("NaN and Infinity are no JSON")


def _check_recipient(claims: Mapping[str, Any], issuer: TrustedIssuer) -> None:
    """Check ``aud`` (RFC 7519 section 4.1.3) and ``azp`` (OpenID Connect Core section 2)."""
    audience = claims.get("aud")
    if issuer.audience:
        is_for_us = issuer.audience in (audience if isinstance(audience, list) else [audience])
    else:
        is_for_us = "aud" not in claims
    if not is_for_us:
        raise InvalidToken(JwtFault.OTHER_AUDIENCE)
    if issuer.parties and claims.get("azp") not in [*issuer.parties]:  # it may be unhashable
        raise InvalidToken(JwtFault.OTHER_PARTY)


def _instant(claims: Mapping[str, Any], name: str) -> float:
    """Return a NumericDate, in seconds (RFC 7519 section 2). Raises `InvalidToken`."""
    value: Any = claims.get(name)
    # Not isinstance: True is no time. The bound refuses infinity and NaN, too.
    if type(value) not in (int, float) or not 0 <= value < _MAX_INSTANT_S:
        raise InvalidToken(JwtFault.BAD_INSTANT)
    return float(value)


def _subject_name(claims: Mapping[str, Any], issuer: TrustedIssuer) -> str:
    """
    Make our name of the subject, which no other subject, user or service can have.

    The first ``#`` ends the issuer's part: neither that nor the encoded subject can hold one. DIDs
    of users and names of services hold none.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_SUBJECT_CHARS:
        raise InvalidToken(JwtFault.BAD_SUBJECT)
    if not subject.isprintable():
        raise InvalidToken(JwtFault.BAD_SUBJECT)
    return f"{issuer.prefix or issuer.name}#{quote(subject, safe=_SAFE_IN_SUBJECT)}"


def _email(claims: Mapping[str, Any], issuer: TrustedIssuer) -> str | None:
    """Return the email, if the config names its claim and it is not marked unverified."""
    if not issuer.email_claim or claims.get("email_verified", True) is not True:
        return None
    return printable_text(claims.get(issuer.email_claim))


def _roles(claims: Mapping[str, Any], issuer: TrustedIssuer) -> tuple[str, ...]:
    value = claims.get(issuer.roles_claim) if issuer.roles_claim else None
    names = value if isinstance(value, list) else [value]
    found = {name for name in names if isinstance(name, str) and ROLE.fullmatch(name)}
    return tuple(sorted(found)[:MAX_ROLES])


def _scopes(claims: Mapping[str, Any], issuer: TrustedIssuer) -> tuple[str, ...]:
    """Return the scopes of a list, or of words separated by spaces (RFC 8693 section 4.2)."""
    value = claims.get(issuer.scopes_claim) if issuer.scopes_claim else None
    if isinstance(value, str):
        return readable_scopes(value.split(" "))
    return readable_scopes(value) if isinstance(value, list) else ()


def _token_id(claims: Mapping[str, Any], token: str) -> str:
    value = claims.get("jti")
    if isinstance(value, str) and _TOKEN_ID.fullmatch(value):
        return value
    return sha256(token.encode("ascii")).hexdigest()[:32]

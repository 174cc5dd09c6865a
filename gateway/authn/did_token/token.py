"""
Decoding of DID tokens, and every check that needs no cryptography.

A token is base64 of ``[proof, claim]``, two JSON strings in a JSON array; the claim is JSON again.
Only the canonical spelling is accepted. magic-admin, which checks the signature, accepts many
spellings for each signature (white space, escapes, repeated keys, other values of v). Each of them
would be one more way past a cache or a deny list.

Nothing is verified yet. The signature is checked after this, and then Magic is asked whether the
issuer is a user.
"""

import binascii
import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from gateway.core.errors import ExpiredToken, InvalidToken
from gateway.core.reasons import Reason

MAX_TOKEN_CHARS = 4096
"""Real tokens have about 750."""

CLOCK_SKEW_S = 300.0
"""Default tolerance for a clock of Magic that is ahead of ours: magic-admin's grace."""

_MAX_BRACKETS = 64
"""Bounds the depth before a recursive parser runs. Real tokens have two brackets."""

_CHECKS_VERSION = 3
"""Version of the checks in this module, and of stored verdicts. A higher one invalidates older."""

_MAX_INSTANT_S = 2**53  # what JSON writers agree on (RFC 8259 section 6)
_HALF_ORDER = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0"
"""Half the order of secp256k1: of the two valid ``s``, signers use the lower one (EIP-2)."""

# r, s and v as personal_sign writes them: v is 27 or 28 (EIP-191; magic-admin also takes others).
_PROOF = re.compile(r"0x[0-9a-f]{64}([0-9a-f]{64})1[bc]", re.ASCII)
_ISSUER = re.compile(r"did:ethr:0x[0-9a-fA-F]{40}", re.ASCII)
_TOKEN_ID = re.compile(r"[!-~]{1,128}", re.ASCII)
_SPLIT = len('["0x",') + 130
"""Offset of the second string of the array, if no space comes before it."""


class TokenFault(Reason):
    """`invalid_token` or `expired_token`, of a DID token"""

    TOO_LONG = "token_too_long", "It has more than 4096 characters."
    NOT_BASE64 = "token_not_base64", "It is not base64 in the one canonical spelling."
    TOO_DEEP = "token_too_deep", "It has more brackets than any token."
    NOT_JSON = "token_not_json", "It, or its claim, is not JSON."
    NOT_A_PAIR = "token_not_a_pair", "It is not a proof and a claim."
    NOT_CANONICAL = (
        "token_not_canonical",
        "It, or its claim, is not spelled as Magic does.",
    )
    BAD_PROOF = "token_bad_proof", "The proof is not a signature, or one of the malleable kind."
    NOT_A_CLAIM = "token_not_a_claim", "The claim is not an object."
    BAD_ISSUER = "token_bad_issuer", "`iss` is not a `did:ethr` address."
    BAD_INSTANT = "token_bad_instant", "`iat`, `nbf` or `ext` is not a time."
    BAD_ID = "token_bad_id", "`tid` is not printable text."
    BAD_SUBJECT = "token_bad_subject", "`sub` is not text."
    OTHER_AUDIENCE = "token_other_audience", "`aud` is another client than `magic.client_id`."
    LIVES_TOO_LONG = "token_lives_too_long", "Longer than `identity.max_token_lifetime`."
    EXPIRED = "token_expired", "`ext` is over."
    NOT_YET_VALID = "token_not_yet_valid", "`nbf` is in the future, by more than clocks may differ."
    ISSUED_LATER = "token_issued_later", "`iat` is in the future, by more than clocks may differ."


class TokenRules(NamedTuple):
    """Settings of the config that can change a verdict on a token."""

    audience: str
    """The client id that tokens must name."""
    max_lifetime_s: float
    clock_skew_s: float = CLOCK_SKEW_S
    """How far ``iat`` and ``nbf`` may lie in the future. ``ext`` has no tolerance."""

    def epoch(self) -> bytes:
        """
        Hash the rules, and the version of the checks, to 32 bytes.

        Verdicts on tokens are cached under this hash, so that none outlives the config or the code
        that it was reached by.
        """
        # JSON of a list: no two lists have one spelling, wherever their parts begin and end.
        return sha256(orjson.dumps(["token rules", _CHECKS_VERSION, *self])).digest()


class TokenClaim(NamedTuple):
    """The checked claim of a token. Times are Unix times in seconds."""

    issuer: str
    """``did:ethr:0x…`` as signed; only the checksummed spelling of the address can be verified."""
    token_id: str
    issued_at_s: int
    expires_at_s: int
    audience: str


class DecodedToken(NamedTuple):
    """A decoded token; nothing in it is checked yet."""

    proof: str
    text: str
    """The text of the claim, which the proof signs."""
    claim: dict[str, Any]


def inspect(token: str, rules: TokenRules, now_s: float) -> TokenClaim:
    """
    Decode ``token`` and check everything but its signature.

    Raises `ExpiredToken` or `InvalidToken`, with a `TokenFault` as reason, and nothing else.
    """
    claim = read(token).claim
    for fault in faults(claim, rules, now_s):
        raise ExpiredToken(fault) if fault is TokenFault.EXPIRED else InvalidToken(fault)
    return TokenClaim(claim["iss"], claim["tid"], claim["iat"], claim["ext"], claim["aud"])


def read(token: str) -> DecodedToken:
    """Decode ``token``, if it has Magic's canonical spelling. Raises `InvalidToken`."""
    proof, text = _pair(_decoded(token))
    return DecodedToken(proof, text, _claim(text))


def faults(claim: dict[str, Any], rules: TokenRules, now_s: float) -> Iterator[TokenFault]:
    """
    Check ``claim`` and yield all faults, in the order of the checks.

    The first is the reason of the refusal. Times are not checked further where one is malformed.
    """
    if not _is_text(_ISSUER, claim.get("iss")):
        yield TokenFault.BAD_ISSUER
    has_times = all(_is_instant(claim.get(name)) for name in ("iat", "nbf", "ext"))
    if not has_times:
        yield TokenFault.BAD_INSTANT
    if claim.get("aud") != rules.audience:
        yield TokenFault.OTHER_AUDIENCE
    if not _is_text(_TOKEN_ID, claim.get("tid")):
        yield TokenFault.BAD_ID
    if not isinstance(claim.get("sub"), str):
        yield TokenFault.BAD_SUBJECT
    if has_times:
        yield from _faults_in_time(claim["iat"], claim["nbf"], claim["ext"], rules, now_s)


def _faults_in_time(
    iat: int, nbf: int, ext: int, rules: TokenRules, now_s: float
) -> Iterator[TokenFault]:
    if ext - iat > rules.max_lifetime_s:
        yield TokenFault.LIVES_TOO_LONG
    if ext <= now_s:
        yield TokenFault.EXPIRED
    if nbf > now_s + rules.clock_skew_s:
        yield TokenFault.NOT_YET_VALID
    if iat > now_s + rules.clock_skew_s:
        yield TokenFault.ISSUED_LATER


def _decoded(token: str) -> bytes:
    """
    Decode the base64 of ``token``.

    The URL-safe alphabet is not needed: in ASCII text it differs only for ``>``, ``?``, ``~`` and
    DEL, and tokens hold none of them.
    """
    if len(token) > MAX_TOKEN_CHARS:
        raise InvalidToken(TokenFault.TOO_LONG)
    try:
        decoded = binascii.a2b_base64(token)
    except ValueError:
        raise InvalidToken(TokenFault.NOT_BASE64) from None
    if binascii.b2a_base64(decoded, newline=False) != token.encode("ascii"):
        raise InvalidToken(TokenFault.NOT_BASE64)
    return decoded


def _pair(decoded: bytes) -> tuple[str, str]:
    """Decode the array of the proof and the text of the claim."""
    if decoded.count(b"[") + decoded.count(b"{") > _MAX_BRACKETS:
        raise InvalidToken(TokenFault.TOO_DEEP)
    match _json(decoded):
        case [str(proof), str(text)]:
            pass
        case _:
            raise InvalidToken(TokenFault.NOT_A_PAIR)
    signature = _PROOF.fullmatch(proof)
    if signature is None or signature[1] > _HALF_ORDER:
        raise InvalidToken(TokenFault.BAD_PROOF)
    compact = orjson.dumps([proof, text])
    spaced = compact[:_SPLIT] + b" " + compact[_SPLIT:]  # as Python's json writes by default
    if decoded not in (compact, spaced):
        raise InvalidToken(TokenFault.NOT_CANONICAL)
    return proof, text


def _claim(text: str) -> dict[str, Any]:
    """
    Decode the claim, if ``text`` is its compact ASCII spelling.

    magic-admin checks the signature over its own compact spelling of the claim, not over the text:
    the first value of a repeated key, for example, is not signed.
    """
    claim = _json(text)
    if not isinstance(claim, dict):
        raise InvalidToken(TokenFault.NOT_A_CLAIM)
    if not text.isascii() or orjson.dumps(claim) != text.encode("ascii"):
        raise InvalidToken(TokenFault.NOT_CANONICAL)
    return claim


def _is_text(shape: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and shape.fullmatch(value) is not None


def _is_instant(value: object) -> bool:
    """Whether ``value`` is a Unix time in seconds: an int, not True, 1.0, NaN or "1"."""
    return type(value) is int and 0 <= value <= _MAX_INSTANT_S


def _json(text: str | bytes) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidToken(TokenFault.NOT_JSON) from None

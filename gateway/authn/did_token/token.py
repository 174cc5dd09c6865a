"""
What a DID token says, and every check of it that costs no cryptography.

A token is base64 of ``[proof, claim]``, two JSON strings in a JSON array; the claim is JSON again.
One token has one spelling here: magic-admin, which proves it, lets many through for each signature
(white space, escapes, repeated keys, other values of v), and each would be one more way past a
cache or a deny list.

Nothing is proven yet: the signature is checked after this, and Magic is asked whether the issuer is
a user after that.
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
"""A real one has about 750."""

CLOCK_SKEW_S = 300.0
"""By how much Magic's clock may be ahead, if the config does not say: magic-admin's grace."""

_MAX_BRACKETS = 64
"""Real tokens hold two. Bounds the depth before any parser that recurses is asked."""

_CHECKS_VERSION = 2
"""Of what this module makes of a token. A higher one lets older verdicts be forgotten."""

_MAX_INSTANT_S = 2**53  # what JSON writers agree on (RFC 8259 section 6)
_HALF_ORDER = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0"
"""Half the order of secp256k1: of the two ``s`` that fit, signers take the lower one (EIP-2)."""

# r, s and v as personal_sign writes them: v is 27 or 28 (EIP-191; magic-admin also takes others).
_PROOF = re.compile(r"0x[0-9a-f]{64}([0-9a-f]{64})1[bc]", re.ASCII)
_ISSUER = re.compile(r"did:ethr:0x[0-9a-fA-F]{40}", re.ASCII)
_TOKEN_ID = re.compile(r"[!-~]{1,128}", re.ASCII)
_SPLIT = len('["0x",') + 130
"""Where the second string of the array begins, if no space comes before it."""


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
    """What the config says of tokens: all of it that can change a verdict."""

    audience: str
    """The client id that tokens must name."""
    max_lifetime_s: float
    clock_skew_s: float = CLOCK_SKEW_S
    """By how much ``iat`` and ``nbf`` may lie ahead; ``ext`` has no grace: an end is an end."""

    def epoch(self) -> bytes:
        """
        32 bytes that differ between any two rules, and between versions of the checks.

        What is remembered of a token is remembered under these, so that no verdict outlives the
        config, or the code, that it was found by.
        """
        # JSON of a list: no two lists have one spelling, wherever their parts begin and end.
        return sha256(orjson.dumps(["token rules", _CHECKS_VERSION, *self])).digest()


class TokenClaim(NamedTuple):
    """What a token says about itself. Times are Unix times in seconds."""

    issuer: str
    """``did:ethr:0x…`` as signed; only the checksummed spelling of the address can be proven."""
    token_id: str
    issued_at_s: int
    expires_at_s: int
    audience: str


class DecodedToken(NamedTuple):
    """A token, taken apart."""

    proof: str
    text: str
    """Of the claim: what the proof is a signature of."""
    claim: dict[str, Any]


def inspect(token: str, rules: TokenRules, now_s: float) -> TokenClaim:
    """
    What ``token`` says, once all that is cheap to check has been checked.

    Raises `ExpiredToken` or `InvalidToken`, with a `TokenFault` as reason, and nothing else.
    """
    claim = read(token).claim
    for fault in faults(claim, rules, now_s):
        raise ExpiredToken(fault) if fault is TokenFault.EXPIRED else InvalidToken(fault)
    return TokenClaim(claim["iss"], claim["tid"], claim["iat"], claim["ext"], claim["aud"])


def read(token: str) -> DecodedToken:
    """Take ``token`` apart, if it is spelled as Magic does. Raises `InvalidToken`."""
    proof, text = _pair(_decoded(token))
    return DecodedToken(proof, text, _claim(text))


def faults(claim: dict[str, Any], rules: TokenRules, now_s: float) -> Iterator[TokenFault]:
    """
    All that is wrong with ``claim``, in the order of the checks: it is refused for the first.

    Of times that are none, no more is said.
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
    The bytes that ``token`` is the base64 of.

    The URL-safe alphabet is not needed: in ASCII text only ``>``, ``?``, ``~`` and DEL are spelled
    differently by it, and tokens hold none of them.
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
    """The proof, and the text of the claim."""
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
    The claim that ``text`` spells, if it is the compact ASCII spelling.

    magic-admin checks the signature over its own such spelling of the claim, not over the text:
    what a repeated key said first, for one, was never signed.
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
    """A Unix time in seconds: an int and nothing like it (True, 1.0, NaN, "1")."""
    return type(value) is int and 0 <= value <= _MAX_INSTANT_S


def _json(text: str | bytes) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidToken(TokenFault.NOT_JSON) from None

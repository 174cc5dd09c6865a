"""
Crafted DID tokens: what attackers send, and what must become of it.

Each case says who has to catch it: the cheap checks (`inspect`), or magic-admin's check of the
signature. Most come from fuzzing magic-admin 2.5.0: it accepts some of them, and lets exceptions
that are not its own escape for others.
"""

import base64
import json
from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.authn.did_token.mint import TokenSigner, encode, mint
from gateway.core.errors import ExpiredToken, InvalidToken
from tests.fakes.tokens import (
    ABSENT,
    BOB,
    claim,
    compact,
    minted,
    packed,
    reproved,
    respelled,
    signed,
)

Forge = Callable[[float, str, TokenSigner], str]
"""From the Unix time in seconds, the audience and a signer to the text of a token."""

MAX_LIFETIME_S: Final = 86_400
"""The ceiling that the cases are made for."""

ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Of secp256k1."""


class Case(NamedTuple):
    """One hostile token."""

    id: str
    forge: Forge
    refusal: type[InvalidToken] = InvalidToken
    needs_signature: bool = False
    """Whether only the check of the signature can tell."""


def _claims(name: str, **changes: object) -> Case:
    """A token that its issuer did sign, with these claims."""
    return Case(name, lambda now, aud, by: signed(now, by, **{"aud": aud, **changes}))


def _raw(name: str, text: str | bytes) -> Case:
    """Base64 of ``text``."""
    return Case(name, lambda *_: packed(text))


def _text(name: str, token: str) -> Case:
    return Case(name, lambda *_: token)


def _claim_text(name: str, text: str) -> Case:
    """A pair whose claim is ``text``, signed as it stands."""
    return Case(name, lambda _now, _aud, by: encode(by.sign(text), text))


def _proof(name: str, proof: Callable[[str], object], *, needs_signature: bool = False) -> Case:
    """A good claim with its proof rewritten."""
    return Case(
        name,
        lambda now, _, by: reproved(now, by, proof=proof),
        needs_signature=needs_signature,
    )


def _spelling(name: str, text: Callable[[str], str], **changes: object) -> Case:
    """A claim whose text is rewritten after it was signed."""
    return Case(name, lambda now, _, by: respelled(now, by, text=text, **changes))


def _times(name: str, refusal: type[InvalidToken] = InvalidToken, **offsets_s: int) -> Case:
    """A signed token whose times lie these seconds after now."""
    return Case(
        name,
        lambda now, aud, by: signed(
            now, by, aud=aud, **{name: int(now) + offset for name, offset in offsets_s.items()}
        ),
        refusal,
    )


def _issuer(name: str, shape: str, *, needs_signature: bool = False) -> Case:
    """A signed token whose ``iss`` is ``shape``, with the signer's address for ``@``."""
    return Case(
        name,
        lambda now, aud, by: signed(now, by, aud=aud, iss=shape.replace("@", by.address)),
        needs_signature=needs_signature,
    )


def _numbers(proof: str) -> tuple[int, int, int]:
    """R, s and v of a signature."""
    return int(proof[2:66], 16), int(proof[66:130], 16), int(proof[130:], 16)


def _signature(r: int, s: int, v: int) -> str:
    return f"0x{r:064x}{s:064x}{v:02x}"


def _with_v(v: int) -> Callable[[str], str]:
    return lambda proof: proof[:-2] + f"{v:02x}"


def _high_s(proof: str) -> str:
    """The other signature that fits: it recovers to the same address (EIP-2)."""
    r, s, v = _numbers(proof)
    return _signature(r, ORDER - s, 55 - v)


def _other_digit(proof: str) -> str:
    return proof[:40] + ("1" if proof[40] == "0" else "0") + proof[41:]


def _stolen_proof(now_s: float, _: str, by: TokenSigner) -> str:
    """The claim of one, under the proof of another."""
    text = compact(claim(now_s, by))
    return encode(BOB.sign(text), text)


def _other_claim(now_s: float, _: str, by: TokenSigner) -> str:
    """A proof that was made for another claim of the same issuer."""
    return encode(by.sign(compact(claim(now_s, by))), compact(claim(now_s, by, tid="another")))


def _foreign_issuer(now_s: float, audience: str, by: TokenSigner) -> str:
    """Signed by one key, claimed for another: accepting these would allow impersonation."""
    return signed(now_s, by, aud=audience, iss=BOB.issuer)


def _unpadded(now_s: float, _: str, by: TokenSigner) -> str:
    """A pair whose base64 needs padding, without it."""
    pair = base64.b64decode(minted(now_s, by))
    return packed(pair + b" " * (1 - len(pair) % 3 or 3)).rstrip("=")


def _escaped_pair(now_s: float, _: str, by: TokenSigner) -> str:
    """The pair with an escape that no writer makes."""
    text = compact(claim(now_s, by))
    return packed(compact([by.sign(text), text]).replace("0x", "\\u0030x", 1))


def _wide_pair(now_s: float, _: str, by: TokenSigner) -> str:
    text = compact(claim(now_s, by))
    return packed(json.dumps([by.sign(text), text], indent=1))


def _three_parts(now_s: float, _: str, by: TokenSigner) -> str:
    text = compact(claim(now_s, by))
    return packed(compact([by.sign(text), text, "more"]))


def _pair_in_object(now_s: float, _: str, by: TokenSigner) -> str:
    text = compact(claim(now_s, by))
    return packed(compact({"0": by.sign(text), "1": text}))


def _claim_not_in_text(now_s: float, _: str, by: TokenSigner) -> str:
    said = claim(now_s, by)
    return packed(compact([by.sign(compact(said)), said]))


def _junk_in_base64(now_s: float, _: str, by: TokenSigner) -> str:
    token = minted(now_s, by)
    return f"{token[:9]}!*{token[9:]}"


def _spaces_in_base64(now_s: float, _: str, by: TokenSigner) -> str:
    token = minted(now_s, by)
    return f"{token[:76]}\r\n{token[76:]}"


def _trailing_bits(now_s: float, _: str, by: TokenSigner) -> str:
    """The last character before the padding has bits that decode to nothing."""
    text = compact(claim(now_s, by))
    pair = compact([by.sign(text), text])
    while len(pair) % 3 != 1:
        text = compact({**json.loads(text), "sub": json.loads(text)["sub"] + "x"})
        pair = compact([by.sign(text), text])
    token = packed(pair)
    return token[:-3] + chr(ord(token[-3]) + 1) + "=="


def _padding_twice(now_s: float, _: str, by: TokenSigner) -> str:
    return minted(now_s, by) + "===="


def _expired(now_s: float, audience: str, by: TokenSigner) -> str:
    return mint(by, audience, now_s - 901, 900)


def _ends_now(now_s: float, audience: str, by: TokenSigner) -> str:
    return mint(by, audience, int(now_s) - 900, 900)


def _duplicated(name: str, first: object) -> Case:
    """``name`` twice: a parser that takes the first sees what was never signed."""
    return _spelling(
        f"{name}-twice", lambda text: "{" + f"{compact(name)}:{compact(first)}," + text[1:]
    )


def _nested(depth: int) -> Callable[[str], str]:
    return lambda text: text[:-1] + ',"x":' + "[" * depth + "]" * depth + "}"


_NOT_BASE64 = [
    _text("empty", ""),
    _text("one-character", "a"),
    _text("only-padding", "===="),
    _text("words", "not a token"),
    _text("non-ascii", "tökén"),
    _text("lone-surrogate", "\udc80" * 8),
    _text("NUL", "\x00" * 8),
    _text("a-jwt", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0."),
    _text("huge", "A" * 1_000_000),
    Case("over-the-cap", lambda now, _, by: signed(now, by, sub="x" * 4096)),
    Case("junk-in-base64", _junk_in_base64),
    Case("line-breaks-in-base64", _spaces_in_base64),
    Case("unpadded-base64", _unpadded),
    Case("padded-twice", _padding_twice),
    Case("trailing-bits-in-base64", _trailing_bits),
    Case("leading-space", lambda now, _, by: " " + minted(now, by)),
    Case("trailing-newline", lambda now, _, by: minted(now, by) + "\n"),
]

_NOT_A_PAIR = [
    _raw("bytes-that-are-not-utf8", b"\xff\xfe\xfd"),
    _raw("byte-order-mark", b'\xef\xbb\xbf["a","b"]'),
    _raw("json-null", "null"),
    _raw("json-int", "5"),
    _raw("json-float", "1.5"),
    _raw("json-true", "true"),
    _raw("json-string-of-two", '"11"'),
    _raw("json-object-of-two", '{"a":1,"b":2}'),
    _raw("json-nan", "NaN"),
    _raw("empty-array", "[]"),
    _raw("array-of-one", '["0x"]'),
    _raw("array-of-two-arrays", "[[],[]]"),
    _raw("int-of-2500-digits", "9" * 2500),
    _raw("int-of-5000-digits", "9" * 5000),
    _raw("nested-900-deep", "[" * 900 + "]" * 900),
    _raw("nested-without-end", "[" * 3000),
    _raw("objects-without-end", '{"a":' * 600),
    Case("nested-70-000-deep", lambda *_: packed("[" * 70_000)),
    Case("array-of-three", _three_parts),
    Case("object-for-array", _pair_in_object),
    Case("claim-not-in-a-string", _claim_not_in_text),
    Case("pair-with-white-space", _wide_pair),
    Case("pair-with-escapes", _escaped_pair),
]

_CLAIM_TEXTS = [
    _claim_text("claim-empty", ""),
    _claim_text("claim-null", "null"),
    _claim_text("claim-int", "5"),
    _claim_text("claim-float", "1.5"),
    _claim_text("claim-true", "true"),
    _claim_text("claim-array", '["iat","ext","nbf","iss","sub","aud","tid"]'),
    _claim_text("claim-string", '"iat ext nbf iss sub aud tid"'),
    _claim_text("claim-nothing", "{}"),
    _claim_text("claim-words", "iss=me"),
    _claim_text("claim-int-of-2000-digits", "9" * 2000),
    _claim_text("claim-byte-order-mark", "\ufeff{}"),
    _claim_text("claim-nested-without-end", "[" * 2000),
]

_PROOFS = [
    _proof("proof-null", lambda _: None),
    _proof("proof-float", lambda _: 1.5),
    _proof("proof-true", lambda _: True),
    _proof("proof-array", lambda proof: [proof]),
    _proof("proof-object", lambda proof: {"proof": proof}),
    _proof("proof-int", lambda proof: int(proof, 16)),
    _proof("proof-negative", lambda _: -5),
    _proof("proof-empty", lambda _: ""),
    _proof("proof-0x", lambda _: "0x"),
    _proof("proof-not-hex", lambda _: "0x" + "zz" * 65),
    _proof("proof-not-ascii", lambda _: "0x" + "é" * 130),
    _proof("proof-fullwidth-digits", lambda proof: proof[:-2] + "１b"),
    _proof("proof-without-0x", lambda proof: proof[2:]),
    _proof("proof-0X", lambda proof: "0X" + proof[2:]),
    _proof("proof-upper-case", lambda proof: "0x" + proof[2:].upper()),
    _proof("proof-with-newline", lambda proof: proof + "\n"),
    _proof("proof-64-bytes", lambda proof: proof[:-2]),
    _proof("proof-66-bytes", lambda proof: proof + "00"),
    _proof("proof-500-kilobytes", lambda proof: proof + "00" * 500_000),
    _proof("proof-odd-digits", lambda proof: proof + "0"),
    _proof("proof-all-f", lambda _: "0x" + "f" * 130),
    _proof("proof-zero-int", lambda _: 0),
    _proof("proof-v-0", _with_v(0)),
    _proof("proof-v-1", _with_v(1)),
    _proof("proof-v-5", _with_v(5)),
    _proof("proof-v-17", _with_v(0x11)),
    _proof("proof-v-29", _with_v(29)),
    _proof("proof-v-30", _with_v(30)),
    _proof("proof-v-35", _with_v(35)),
    _proof("proof-v-36", _with_v(36)),
    _proof("proof-v-255", _with_v(255)),
    _proof("proof-high-s", _high_s),
    _proof("proof-s-max", lambda proof: _signature(_numbers(proof)[0], 2**256 - 1, 27)),
    _proof("proof-zero", lambda _: _signature(0, 0, 27), needs_signature=True),
    _proof("proof-r-zero", lambda _: _signature(0, 1, 27), needs_signature=True),
    _proof("proof-s-zero", lambda _: _signature(1, 0, 27), needs_signature=True),
    _proof("proof-r-order", lambda _: _signature(ORDER, 1, 27), needs_signature=True),
    _proof("proof-off-the-curve", lambda _: _signature(5, 1, 27), needs_signature=True),
    _proof("proof-r-max", lambda _: _signature(2**256 - 1, 1, 28), needs_signature=True),
    _proof(
        "proof-other-parity",
        lambda proof: _signature(*_numbers(proof)[:2], 55 - _numbers(proof)[2]),
        needs_signature=True,
    ),
    _proof("proof-digit-changed", _other_digit, needs_signature=True),
    Case("proof-of-another", _stolen_proof, needs_signature=True),
    Case("proof-of-another-claim", _other_claim, needs_signature=True),
    Case("issuer-of-another", _foreign_issuer, needs_signature=True),
]

_SPELLINGS = [
    _spelling("claim-spaced", lambda text: text.replace(",", ", ")),
    _spelling("claim-led-by-space", lambda text: " " + text),
    _spelling("claim-ends-in-newline", lambda text: text + "\n"),
    _spelling("claim-escaped", lambda text: text.replace("did:ethr", "\\u0064id:ethr")),
    _spelling("claim-slash-escaped", lambda text: text.replace("/", "\\/"), sub="a/b"),
    _spelling("claim-key-escaped", lambda text: text.replace('"iss"', '"\\u0069ss"')),
    _spelling("claim-raw-non-ascii", lambda text: text.replace("\\u00e9", "é"), sub="é"),
    _spelling("claim-time-as-exponent", lambda text: text.replace('"iat":1', '"iat":1E0')),
    _spelling("claim-minus-zero", lambda text: text.replace('"x":0', '"x":-0'), x=0),
    _claims("claim-escaped-non-ascii", sub="é"),
    _claims("claim-nested-900-deep-and-signed", x=json.loads("[" * 900 + "]" * 900)),
    _claims("claim-lone-surrogate", sub="\ud800"),
    _duplicated("iss", BOB.issuer),
    _duplicated("ext", 2**40),
    _duplicated("tid", "another"),
    _duplicated("aud", "did:magic:another"),
    _spelling("claim-nested-63-deep", _nested(63)),
    _spelling("claim-nested-900-deep", _nested(900)),
]

_ISSUERS = [
    _issuer("iss-admin", "admin:x:@"),
    _issuer("iss-other-method", "did:web:@"),
    _issuer("iss-empty-parts", "::@"),
    _issuer("iss-with-a-tail", "did:ethr:@:evil"),
    _issuer("iss-NUL", "\x00:\x00:@"),
    _issuer("iss-CRLF", "x\r\nX-User-Role=admin:y:@"),
    _issuer("iss-ends-in-newline", "did:ethr:@\n"),
    _issuer("iss-upper-method", "DID:ETHR:@"),
    _issuer("iss-space", "did:ethr: @"),
    _issuer("iss-address-alone", "@"),
    _issuer("iss-two-parts", "did:@"),
    _issuer("iss-long", "x" * 2000 + ":y:@"),
    _issuer("iss-megabyte", "x" * 1_000_000 + ":y:@"),
    _issuer("iss-fragment", "did:ethr:@#owner"),
    _issuer("iss-chain", "did:ethr:0x1:@"),
    _issuer("iss-key-separator", "did:ethr:{@}"),
    _issuer("iss-tab", "did:ethr:@\t"),
    _issuer("iss-empty", ""),
    _issuer("iss-zero-address", "did:ethr:0x" + "0" * 40, needs_signature=True),
    Case(
        "iss-lower-case",
        lambda now, aud, by: signed(now, by, aud=aud, iss=by.issuer.lower()),
        needs_signature=True,
    ),
    Case(
        "iss-upper-case",
        lambda now, aud, by: signed(now, by, aud=aud, iss=f"did:ethr:0x{by.address[2:].upper()}"),
        needs_signature=True,
    ),
    Case(
        "iss-0X",
        lambda now, aud, by: signed(now, by, aud=aud, iss=f"did:ethr:0X{by.address[2:]}"),
    ),
    Case(
        "iss-fullwidth-digits",
        lambda now, aud, by: signed(now, by, aud=aud, iss="did:ethr:0x" + "１" * 40),
    ),
    _claims("iss-null", iss=None),
    _claims("iss-int", iss=5),
    _claims("iss-array", iss=["did", "ethr"]),
    _claims("iss-object", iss={}),
    _claims("iss-absent", iss=ABSENT),
]

_TIMES = [
    *(
        _claims(f"{name}-{label}", **{name: value})
        for name in ("iat", "nbf", "ext")
        for label, value in {
            "absent": ABSENT,
            "null": None,
            "true": True,
            "string": "1800000000",
            "array": [],
            "object": {},
            "float": 1.8e9,
            "NaN": float("nan"),
            "infinity": float("inf"),
            "minus-infinity": float("-inf"),
            "negative": -1,
            "10**400": 10**400,
            "2**53+1": 2**53 + 1,
            "2**64": 2**64,
        }.items()
    ),
    Case("expired", _expired, ExpiredToken),
    Case("ends-now", _ends_now, ExpiredToken),
    _times("expired-long-ago", ExpiredToken, iat=-MAX_LIFETIME_S, ext=-10, nbf=-MAX_LIFETIME_S),
    _times("ended-before-it-began", ExpiredToken, ext=-60),
    _times("not-before-next-hour", nbf=3600, ext=7200),
    _times("not-before-beyond-the-grace", nbf=302, ext=900),
    _times("issued-next-hour", iat=3600, ext=7200),
    _times("issued-beyond-the-skew", iat=302, ext=900),
    _times("lives-30-years", ext=30 * 365 * 86_400),
    _times("lives-a-second-too-long", ext=MAX_LIFETIME_S + 1),
    _claims("issued-in-1970", iat=0),
    _claims("year-3000", ext=32_503_680_000),
]

_OTHERS = [
    _claims("aud-of-another", aud="did:magic:another"),
    _claims("aud-null", aud=None),
    _claims("aud-empty", aud=""),
    _claims("aud-absent", aud=ABSENT),
    _claims("aud-true", aud=True),
    Case("aud-array", lambda now, aud, by: signed(now, by, aud=[aud])),
    Case("aud-upper-case", lambda now, aud, by: signed(now, by, aud=aud.upper())),
    Case("aud-prefix", lambda now, aud, by: signed(now, by, aud=aud + "2")),
    _claims("tid-absent", tid=ABSENT),
    _claims("tid-null", tid=None),
    _claims("tid-int", tid=5),
    _claims("tid-array", tid=["a"]),
    _claims("tid-empty", tid=""),
    _claims("tid-CRLF", tid="a\r\nDEL x"),
    _claims("tid-newline", tid="a\n"),
    _claims("tid-space", tid="a b"),
    _claims("tid-NUL", tid="a\x00"),
    _claims("tid-DEL", tid="a\x7f"),
    _claims("tid-non-ascii", tid="é"),
    _claims("tid-129", tid="x" * 129),
    _claims("sub-absent", sub=ABSENT),
    _claims("sub-null", sub=None),
    _claims("sub-int", sub=7),
    _claims("sub-object", sub={}),
]

CASES: Final[list[Case]] = [
    *_NOT_BASE64,
    *_NOT_A_PAIR,
    *_CLAIM_TEXTS,
    *_PROOFS,
    *_SPELLINGS,
    *_ISSUERS,
    *_TIMES,
    *_OTHERS,
]

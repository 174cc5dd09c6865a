"""
How crafted DID tokens are forged: what attackers send, and what must become of it.

Each case says who has to catch it: the cheap checks (`inspect`), or magic-admin's check of the
signature. Most come from fuzzing magic-admin 2.5.0: it accepts some of them, and lets exceptions
that are not its own escape for others.
"""

import base64
import json
from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.authn.did_token.mint import TokenSigner, encode, mint
from gateway.core.errors import InvalidToken
from gateway.selftest.corpus.forge import (
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


class HostileToken(NamedTuple):
    """One hostile token."""

    id: str
    forge: Forge
    refusal: type[InvalidToken] = InvalidToken
    needs_signature: bool = False
    """Whether only the check of the signature can tell."""


def with_claims(name: str, **changes: object) -> HostileToken:
    """A token that its issuer did sign, with these claims."""
    return HostileToken(name, lambda now, aud, by: signed(now, by, **{"aud": aud, **changes}))


def of_raw(name: str, text: str | bytes) -> HostileToken:
    """Base64 of ``text``."""
    return HostileToken(name, lambda *_: packed(text))


def of_text(name: str, token: str) -> HostileToken:
    return HostileToken(name, lambda *_: token)


def of_claim_text(name: str, text: str) -> HostileToken:
    """A pair whose claim is ``text``, signed as it stands."""
    return HostileToken(name, lambda _now, _aud, by: encode(by.sign(text), text))


def with_proof(
    name: str, proof: Callable[[str], object], *, needs_signature: bool = False
) -> HostileToken:
    """A good claim with its proof rewritten."""
    return HostileToken(
        name,
        lambda now, _, by: reproved(now, by, proof=proof),
        needs_signature=needs_signature,
    )


def with_spelling(name: str, text: Callable[[str], str], **changes: object) -> HostileToken:
    """A claim whose text is rewritten after it was signed."""
    return HostileToken(name, lambda now, _, by: respelled(now, by, text=text, **changes))


def with_times(
    name: str, refusal: type[InvalidToken] = InvalidToken, **offsets_s: int
) -> HostileToken:
    """A signed token whose times lie these seconds after now."""
    return HostileToken(
        name,
        lambda now, aud, by: signed(
            now, by, aud=aud, **{name: int(now) + offset for name, offset in offsets_s.items()}
        ),
        refusal,
    )


def with_issuer(name: str, shape: str, *, needs_signature: bool = False) -> HostileToken:
    """A signed token whose ``iss`` is ``shape``, with the signer's address for ``@``."""
    return HostileToken(
        name,
        lambda now, aud, by: signed(now, by, aud=aud, iss=shape.replace("@", by.address)),
        needs_signature=needs_signature,
    )


def numbers(proof: str) -> tuple[int, int, int]:
    """R, s and v of a signature."""
    return int(proof[2:66], 16), int(proof[66:130], 16), int(proof[130:], 16)


def signature(r: int, s: int, v: int) -> str:
    return f"0x{r:064x}{s:064x}{v:02x}"


def with_v(v: int) -> Callable[[str], str]:
    return lambda proof: proof[:-2] + f"{v:02x}"


def high_s(proof: str) -> str:
    """The other signature that fits: it recovers to the same address (EIP-2)."""
    r, s, v = numbers(proof)
    return signature(r, ORDER - s, 55 - v)


def other_digit(proof: str) -> str:
    return proof[:40] + ("1" if proof[40] == "0" else "0") + proof[41:]


def stolen_proof(now_s: float, _: str, by: TokenSigner) -> str:
    """The claim of one, under the proof of another."""
    text = compact(claim(now_s, by))
    return encode(BOB.sign(text), text)


def other_claim(now_s: float, _: str, by: TokenSigner) -> str:
    """A proof that was made for another claim of the same issuer."""
    return encode(by.sign(compact(claim(now_s, by))), compact(claim(now_s, by, tid="another")))


def foreign_issuer(now_s: float, audience: str, by: TokenSigner) -> str:
    """Signed by one key, claimed for another: accepting these would allow impersonation."""
    return signed(now_s, by, aud=audience, iss=BOB.issuer)


def unpadded(now_s: float, _: str, by: TokenSigner) -> str:
    """A pair whose base64 needs padding, without it."""
    pair = base64.b64decode(minted(now_s, by))
    return packed(pair + b" " * (1 - len(pair) % 3 or 3)).rstrip("=")


def escaped_pair(now_s: float, _: str, by: TokenSigner) -> str:
    """The pair with an escape that no writer makes."""
    text = compact(claim(now_s, by))
    return packed(compact([by.sign(text), text]).replace("0x", "\\u0030x", 1))


def wide_pair(now_s: float, _: str, by: TokenSigner) -> str:
    text = compact(claim(now_s, by))
    return packed(json.dumps([by.sign(text), text], indent=1))


def three_parts(now_s: float, _: str, by: TokenSigner) -> str:
    text = compact(claim(now_s, by))
    return packed(compact([by.sign(text), text, "more"]))


def pair_in_object(now_s: float, _: str, by: TokenSigner) -> str:
    text = compact(claim(now_s, by))
    return packed(compact({"0": by.sign(text), "1": text}))


def claim_not_in_text(now_s: float, _: str, by: TokenSigner) -> str:
    said = claim(now_s, by)
    return packed(compact([by.sign(compact(said)), said]))


def junk_in_base64(now_s: float, _: str, by: TokenSigner) -> str:
    token = minted(now_s, by)
    return f"{token[:9]}!*{token[9:]}"


def spaces_in_base64(now_s: float, _: str, by: TokenSigner) -> str:
    token = minted(now_s, by)
    return f"{token[:76]}\r\n{token[76:]}"


def trailing_bits(now_s: float, _: str, by: TokenSigner) -> str:
    """The last character before the padding has bits that decode to nothing."""
    text = compact(claim(now_s, by))
    pair = compact([by.sign(text), text])
    while len(pair) % 3 != 1:
        text = compact({**json.loads(text), "sub": json.loads(text)["sub"] + "x"})
        pair = compact([by.sign(text), text])
    token = packed(pair)
    return token[:-3] + chr(ord(token[-3]) + 1) + "=="


def padding_twice(now_s: float, _: str, by: TokenSigner) -> str:
    return minted(now_s, by) + "===="


def expired_token(now_s: float, audience: str, by: TokenSigner) -> str:
    return mint(by, audience, now_s - 901, 900)


def ends_now(now_s: float, audience: str, by: TokenSigner) -> str:
    return mint(by, audience, int(now_s) - 900, 900)


def duplicated(name: str, first: object) -> HostileToken:
    """``name`` twice: a parser that takes the first sees what was never signed."""
    return with_spelling(
        f"{name}-twice", lambda text: "{" + f"{compact(name)}:{compact(first)}," + text[1:]
    )


def nested(depth: int) -> Callable[[str], str]:
    return lambda text: text[:-1] + ',"x":' + "[" * depth + "]" * depth + "}"

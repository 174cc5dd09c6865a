"""Sessions as the previous version wrote them."""

import orjson
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.sessions.listing import SignIn
from gateway.sessions.seal import FOR_ENTRY, FOR_SEAL, KEY_ID_BYTES, NONCE_BYTES, Sealer, key_name
from gateway.sessions.session import Session

NONCE = bytes(range(NONCE_BYTES))


def record_before(session: Session) -> bytes:
    """A record as a JSON object."""
    identity = session.identity
    return orjson.dumps(
        {
            "version": 2,
            "issuer": identity.user.issuer,
            "email": identity.user.email,
            "public_address": identity.user.public_address,
            "phone": identity.user.phone,
            "token_id": identity.token_id,
            "expires_at_ms": identity.expires_at_ms,
            "created_at_ms": session.created_at_ms,
            "proven_at_ms": identity.proven_at_ms,
        }
    )


def sealed_before(server_key: bytes, secret: str, record: bytes) -> bytes:
    """A record in the store, sealed with a nonce."""
    return _sealed(server_key, FOR_SEAL, secret, key_name(secret), record)


def entry_before(
    server_key: bytes, issuer: str, session_key: str, ends_at_ms: int, sign_in: SignIn
) -> bytes:
    """An entry of an issuer's list, with times in base 10; its field is the key itself."""
    record = orjson.dumps([sign_in.created_at_ms, *sign_in.browser])
    place = f"{issuer}\0{session_key}"
    sealed = _sealed(server_key, FOR_ENTRY, "", place, record)
    return b"%d %d %b" % (ends_at_ms, sign_in.created_at_ms, sealed)


def _sealed(server_key: bytes, use: bytes, secret: str, place: str, record: bytes) -> bytes:
    key_id = Sealer([server_key]).seal("", b"")[1 : 1 + KEY_ID_BYTES]
    head = b"\x01" + key_id
    derived = HKDF(SHA256(), length=32, salt=server_key, info=use).derive(secret.encode())
    text = ChaCha20Poly1305(derived).encrypt(NONCE, record, head + place.encode())
    return head + NONCE + text

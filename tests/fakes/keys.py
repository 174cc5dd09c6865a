"""Keys that sign assertions, for tests."""

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def _pem(private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def as_yaml(pem: str) -> str:
    """``pem`` as it can stand in a config."""
    return '"' + pem.replace("\n", "\\n") + '"'


PEM = _pem(ed25519.Ed25519PrivateKey.from_private_bytes(b"\x01" * 32))
PEM_2 = _pem(ed25519.Ed25519PrivateKey.from_private_bytes(b"\x02" * 32))
PEM_P256 = _pem(ec.derive_private_key(3, ec.SECP256R1()))

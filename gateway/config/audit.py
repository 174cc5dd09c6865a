"""Section ``audit``: the audit file, and the key of its chains."""

import binascii
from base64 import b64decode
from typing import Annotated, Literal

from pydantic import Field, SecretStr, WithJsonSchema

from gateway.audit.chain import KEY_BYTES
from gateway.config.section import Section
from gateway.config.texts import HIDDEN, FilePath, text
from gateway.config.units import of_text


def audit_key(written: str) -> SecretStr:
    """Check and hide base64 of 32 bytes, of either alphabet. Raises `ValueError`."""
    decode_audit_key(written)
    return SecretStr(text(written))


def decode_audit_key(written: str) -> bytes:
    """Return the bytes of a key. Raises `ValueError`, which does not show it."""
    try:
        key = b64decode(written.translate({45: 43, 95: 47}).rstrip("=") + "=", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"expected base64 of {KEY_BYTES} random bytes")
    return key


AuditKey = Annotated[
    SecretStr, of_text(audit_key), HIDDEN, WithJsonSchema({"type": "string", "minLength": 8})
]
"""A key of audit files, hidden when the settings are shown."""


class AuditSettings(Section):
    """The audit file: decisions about identities, one line each, chained by HMAC."""

    file: FilePath
    """
    File that all processes of this machine append to; SIGUSR1 opens it anew, as after a rotation.
    """
    key: AuditKey
    """
    Key of the chains: base64 of 32 random bytes, as `gateway keys generate --audit` prints. Keep it
    apart from the file: who has both can write a file that verifies.
    """
    old_keys: tuple[AuditKey, ...] = Field(())
    """Keys of older lines, which `gateway audit verify` accepts too."""
    on_failure: Literal["continue", "refuse"] = "continue"
    """
    What happens while the file takes no lines: continue, and write what fits into memory later; or
    refuse to sign users in (503), and to give rights by commands. Revoking is never refused.
    """

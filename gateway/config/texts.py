"""Parsers of text: plain text, secrets and paths of files."""

from typing import Annotated

from pydantic import PlainSerializer, SecretStr, WithJsonSchema

from gateway.config.units import of_text

_MIN_KEY_BYTES = 32  # exceeded by `openssl rand -base64 32` and `gateway keys generate`


def text(written: str) -> str:
    """Check for text without line breaks or other control characters. Raises `ValueError`."""
    if not written.isprintable():
        raise ValueError("expected text on one line, without control characters")
    return written


def optional_secret(written: str) -> SecretStr | None:
    """Hide a secret; None for empty text, which an unset variable gives. Raises `ValueError`."""
    return SecretStr(text(written)) if written else None


def seal_key(written: str) -> SecretStr:
    """Check and hide a secret key: 32 bytes or more. Raises `ValueError`."""
    if len(written.encode(errors="surrogatepass")) < _MIN_KEY_BYTES:
        raise ValueError(f"expected a random key of at least {_MIN_KEY_BYTES} bytes")
    return SecretStr(text(written))


def file_path(written: str) -> str:
    """Check the path of a file. Raises `ValueError`."""
    if not written:  # an unset variable must not switch a feature off
        raise ValueError("expected the path of a file")
    return text(written)


HIDDEN = PlainSerializer(str, when_used="unless-none")
"""Serialises a secret as stars."""

FilePath = Annotated[str, of_text(file_path), WithJsonSchema({"type": "string", "minLength": 1})]
"""The path of a file; a relative one starts at the gateway's working directory."""

OptionalText = Annotated[str, of_text(text, null=""), WithJsonSchema({"type": ["string", "null"]})]
"""Text; empty if the key has no value."""

OptionalSecret = Annotated[
    SecretStr | None,
    of_text(optional_secret, null=""),
    HIDDEN,
    WithJsonSchema({"type": ["string", "null"]}),
]
"""A secret; None for empty text."""

SealKey = Annotated[
    SecretStr, of_text(seal_key), HIDDEN, WithJsonSchema({"type": "string", "minLength": 8})
]
"""A secret key: a random key of at least 32 bytes, hidden when the settings are shown."""

"""Plain text, and text that nobody may see."""

from typing import Annotated

from pydantic import PlainSerializer, SecretStr, WithJsonSchema

from gateway.config.units import of_text

_SHORTEST_KEY = 32  # bytes: what `openssl rand -base64 32` or `gateway keys generate` exceeds


def text(written: str) -> str:
    """As it is; no line breaks or other control characters. Raises `ValueError`."""
    if not written.isprintable():
        raise ValueError("expected text on one line, without control characters")
    return written


def optional_secret(written: str) -> SecretStr | None:
    """A secret; None for empty text, which an unset variable gives. Raises `ValueError`."""
    return SecretStr(text(written)) if written else None


def seal_key(written: str) -> SecretStr:
    """A key that seals sessions: random text or base64, 32 bytes or more. Raises `ValueError`."""
    if len(written.encode(errors="surrogatepass")) < _SHORTEST_KEY:
        raise ValueError(f"expected a random key of at least {_SHORTEST_KEY} bytes")
    return SecretStr(text(written))


def file_path(written: str) -> str:
    """Where a file is. Raises `ValueError`."""
    if not written:  # what an unset variable gives must not switch anything off
        raise ValueError("expected the path of a file")
    return text(written)


HIDDEN = PlainSerializer(str, when_used="unless-none")
"""A secret writes itself as stars."""

FilePath = Annotated[str, of_text(file_path), WithJsonSchema({"type": "string", "minLength": 1})]
"""The path of a file; relative ones count from where the gateway was started."""

OptionalText = Annotated[str, of_text(text, null=""), WithJsonSchema({"type": ["string", "null"]})]
"""Text; empty where the key has no value."""

OptionalSecret = Annotated[
    SecretStr | None,
    of_text(optional_secret, null=""),
    HIDDEN,
    WithJsonSchema({"type": ["string", "null"]}),
]
"""A secret, or nothing."""

SealKey = Annotated[
    SecretStr, of_text(seal_key), HIDDEN, WithJsonSchema({"type": "string", "minLength": 8})
]
"""A key that seals sessions."""

"""Plain text, secrets and keys."""

import pytest

from gateway.config import texts


def test_text_is_one_line() -> None:
    """A line break in a key would add a header to requests to Magic (header injection)."""
    assert texts.text("pk_live_1") == "pk_live_1"
    with pytest.raises(ValueError, match="on one line"):
        texts.text("pk_live\r\nX: 1")


def test_optional_secret() -> None:
    """Empty text, which an unset variable gives, is no secret."""
    secret = texts.optional_secret("sk_live_1")
    assert secret is not None
    assert secret.get_secret_value() == "sk_live_1"
    assert texts.optional_secret("") is None


@pytest.mark.parametrize(
    "key", ["a" * 32, "é" * 16, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="]
)
def test_seal_key(key: str) -> None:
    """A key is text of 32 bytes or more, base64 or not."""
    assert key == texts.seal_key(key).get_secret_value()


@pytest.mark.parametrize("key", ["", "a" * 31])
def test_short_seal_key(key: str) -> None:
    """A shorter key could be guessed."""
    with pytest.raises(ValueError, match="at least 32 bytes"):
        texts.seal_key(key)

"""What a config may say of more ways in."""

import pytest

from gateway.config.credentials import issuer_name, keys_url, optional_issuer_name


@pytest.mark.parametrize("text", ["https://id.example.com", "ci", "accounts.example.com/a?b=c"])
def test_names_of_issuers(text: str) -> None:
    """Taken as they are."""
    assert text == issuer_name(text) == optional_issuer_name(text)


@pytest.mark.parametrize(
    "text", ["", "a b", "a#b", "é", "did:ethr:0x1", "Service:x", "cert:x", "a\n", "x" * 257]
)
def test_names_that_others_have(text: str) -> None:
    """Nobody's people could be told from a person, a service or a certificate."""
    with pytest.raises(ValueError, match="visible ASCII"):
        issuer_name(text)


def test_no_name_at_all() -> None:
    """Where there may be none."""
    assert "" == optional_issuer_name("")


@pytest.mark.parametrize(
    "text",
    [
        "https://id.example.com/jwks.json",
        "https://id.example.com:8443/a/b?c=d",
        "http://127.0.0.1:9000/keys",
        "http://localhost/keys",
        "https://id.example.com",
    ],
)
def test_where_keys_are(text: str) -> None:
    """Over https, or on this machine."""
    assert text == keys_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://id.example.com/keys",
        "ftp://id.example.com/keys",
        "//id.example.com/keys",
        "https://user:pass@id.example.com/keys",
        "https://id.example.com/a b",
        "https://id.example.com/a#b",
        "https://id.example.com/é",
        "https://id.example.com/a\n",
        "https:///keys",
    ],
)
def test_where_nobody_looks_for_keys(text: str) -> None:
    """Whoever stands between could put in their own."""
    with pytest.raises(ValueError, match="expected https"):
        keys_url(text)

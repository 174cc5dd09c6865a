"""Section ``credentials``: names of issuers, and URLs of key sets."""

import pytest

from gateway.config.credentials import issuer_name, keys_url, optional_issuer_name


@pytest.mark.parametrize("text", ["https://id.example.com", "ci", "accounts.example.com/a?b=c"])
def test_names_of_issuers(text: str) -> None:
    """The name of an issuer is kept as it is."""
    assert text == issuer_name(text) == optional_issuer_name(text)


@pytest.mark.parametrize(
    "text", ["", "a b", "a#b", "é", "did:ethr:0x1", "Service:x", "cert:x", "a\n", "x" * 257]
)
def test_names_of_other_kinds_of_issuers_are_refused(text: str) -> None:
    """Callers of a JWT issuer cannot have the issuer of a user, an API key or a certificate."""
    with pytest.raises(ValueError, match="visible ASCII"):
        issuer_name(text)


def test_an_optional_name_may_be_empty() -> None:
    """An unset variable gives empty text."""
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
def test_urls_of_key_sets(text: str) -> None:
    """Keys are fetched over https, or over http on loopback."""
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
def test_refused_urls_of_key_sets(text: str) -> None:
    """Over http, a network attacker (MITM) could replace the keys."""
    with pytest.raises(ValueError, match="expected https"):
        keys_url(text)

"""The canonical spelling of email addresses."""

import pytest

from gateway.core.email import canonical_email


@pytest.mark.parametrize(
    ("typed", "email"),
    [
        ("ada@example.com", "ada@example.com"),
        ("  Ada@Example.COM ", "ada@example.com"),
        ("ada+news@example.com", "ada+news@example.com"),
        ("zoë@bücher.example", "zoë@bücher.example"),
        ("root@localhost", "root@localhost"),
    ],
)
def test_addresses_compare_trimmed_and_in_lower_case(typed: str, email: str) -> None:
    """As Magic compares them; nothing else is changed."""
    assert email == canonical_email(typed)


def test_a_letter_that_looks_like_another_stays_another() -> None:
    """The Kelvin sign would be lowered to ``k``: the address of another user."""
    assert "\u212aate@example.com" == canonical_email("\u212aate@Example.com")


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "a@b@example.com",
        "a b@example.com",
        "ada@example.com\x00",
        "ada@exa\nmple.com",
        "*@*",
        "a" * 65 + "@example.com",
        "ada@" + "x" * 251,
        "did:ethr:0x1@example.com",
    ],
)
def test_other_text_is_refused(typed: str) -> None:
    """What is no single address names no user."""
    with pytest.raises(ValueError, match="email address"):
        canonical_email(typed)

"""Names of fields that other gateways write."""

import pytest

from gateway.headers.foreign import (
    FOREIGN_ADDRESSES,
    FOREIGN_IDENTITY,
    FOREIGN_IDENTITY_PREFIXES,
    is_foreign,
)


@pytest.mark.parametrize("name", ["Remote-User", "remote_user", "X.WebAuth.User", "cf-access-x"])
def test_every_spelling_counts(name: str) -> None:
    """As the laxest app reads it."""
    assert is_foreign(name)


@pytest.mark.parametrize("name", ["Remote", "X-User-Issuer", "X-Forwarded-For", "Cf-Ray", ""])
def test_no_other_name_does(name: str) -> None:
    """Fields of the gateway's own have rules of their own."""
    assert not is_foreign(name)


def test_names_are_kept_normalised() -> None:
    """Otherwise none of their spellings would match."""
    names = {*FOREIGN_IDENTITY, *FOREIGN_ADDRESSES, *FOREIGN_IDENTITY_PREFIXES}
    assert names == {name.lower().replace("_", "-") for name in names}
    assert all(is_foreign(name + "x" * name.endswith("-")) for name in names)

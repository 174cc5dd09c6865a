"""What pages are made from."""

import pytest

from gateway.pages.services import PageGroup
from tests.fakes.pages import ORIGIN, page_services


def test_the_public_origin_is_the_public_url() -> None:
    """Browsers name it in ``Origin``."""
    assert ORIGIN == page_services([]).public_origin


async def test_a_group_has_to_say_how_it_is_built() -> None:
    """And may leave it at that."""
    with pytest.raises(NotImplementedError):
        PageGroup.of(page_services([]))
    await PageGroup().aclose()

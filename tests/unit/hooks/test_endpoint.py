"""Which events an endpoint hears of."""

import pytest

from gateway.core.event import Event, EventType
from tests.fakes.hooks import ADA, endpoint


@pytest.mark.parametrize("kind", EventType)
def test_an_endpoint_hears_of_what_it_names(kind: EventType) -> None:
    """And of nothing else."""
    event = Event("e1", kind, ADA, 1, {})
    assert endpoint("crm", kind).wants(event)
    assert not endpoint("crm", *(set(EventType) - {kind})).wants(event)


def test_an_endpoint_shows_no_secret() -> None:
    """Its text may stand in a log."""
    assert "whsec_" not in repr(endpoint())

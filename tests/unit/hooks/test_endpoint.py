"""Which events an endpoint hears of."""

from dataclasses import replace

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


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://crm.example.com", "https://crm.example.com/"),
        ("https://crm.example.com/", "https://crm.example.com/"),
        ("https://crm.example.com:8443/hooks/new-user", "https://crm.example.com:8443/…"),
        ("https://chat.example.com/services/T0/B0/secret", "https://chat.example.com/…"),
        ("https://crm.example.com?key=secret", "https://crm.example.com/…"),
        ("http://[2001:db8::1]:8090/a?key=secret", "http://[2001:db8::1]:8090/…"),
        ("python:crm", "python:crm"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url: str, place: str) -> None:
    """The name of an endpoint tells which it is."""
    assert place == replace(endpoint(), url=url).place

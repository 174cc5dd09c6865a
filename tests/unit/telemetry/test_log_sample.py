"""Which requests have a line in the access log."""

import pytest

from gateway.telemetry.log_sample import SampledRequests, Sampler

ASSETS = SampledRequests(0.1, "assets")
FINE = SampledRequests(0.5, statuses=frozenset({2, 304}))
MISSING = SampledRequests(0.0, "assets", frozenset({404}))


@pytest.mark.parametrize(
    ("route", "status", "is_refusal", "expected"),
    [
        pytest.param("assets", 200, False, 0.1, id="route"),
        pytest.param("assets", 304, False, 0.1, id="the first that fits"),
        pytest.param("assets", 404, False, 0.0, id="status that is named"),
        pytest.param("assets", 404, True, 0.0, id="refusal whose status is named"),
        pytest.param("assets", 500, False, 1.0, id="error"),
        pytest.param("assets", 302, True, 1.0, id="refusal"),
        pytest.param("assets", 403, True, 1.0, id="refusal with an error"),
        pytest.param("rest", 204, False, 0.5, id="class"),
        pytest.param("rest", 304, False, 0.5, id="status"),
        pytest.param("rest", 301, False, 1.0, id="no sample fits"),
        pytest.param("rest", 200, True, 0.5, id="refusal of a class that is named"),
        pytest.param("", 0, False, 1.0, id="no request"),
    ],
)
def test_the_first_sample_that_fits_decides(
    route: str, status: int, is_refusal: bool, expected: float
) -> None:
    """Refusals and errors belong to samples that name their status."""
    sampler = Sampler([MISSING, ASSETS, FINE])
    for _ in range(2):  # the second time from memory
        assert expected == sampler.keep(route, status, is_refusal=is_refusal)


def test_a_sample_takes_its_part_of_requests() -> None:
    """None where nothing is kept, all where everything is; no draw is needed for these."""
    draws = iter([0.0, 0.49, 0.5, 0.99, 0.0])
    sampler = Sampler([FINE], lambda: next(draws))
    assert [True, True, False, False] == [sampler.takes(0.5) for _ in range(4)]
    assert not sampler.takes(0.0)
    assert sampler.takes(1.0)


def test_draws_are_random() -> None:
    """Near the part, of many."""
    sampler = Sampler([FINE])
    taken = sum(sampler.takes(0.1) for _ in range(20_000))
    assert 1500 < taken < 2500

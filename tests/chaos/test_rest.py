"""
Faults of a store that is reached over REST, while 50 people send 500 requests a second.

See `tests.chaos.test_one_server`.
"""

from pathlib import Path

import pytest

from tests.chaos.ordeal import CHAOS_S, Fault, endure
from tests.chaos.rest_weather import RestRelay, RestWeather, rest_relay
from tests.fakes.upstash import rest_database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(CHAOS_S * 2 + 120)]

NAMES = {
    RestWeather.BROKEN: "REST: 500",
    RestWeather.OVER_QUOTA: "REST: quota used up",
    RestWeather.HANGING: "REST: no answers",
    RestWeather.LAGGING: "REST: reads of a replica that lags",
}


@pytest.mark.parametrize("weather", NAMES, ids=lambda weather: weather.name)
async def test_a_rest_api_that_fails(tmp_path: Path, weather: RestWeather) -> None:
    """Known people go on; the others wait for a moment."""
    async with rest_database() as database, rest_relay(database.url) as relay:
        parts = {
            "redis": f"upstash+{relay.url}",
            "redis_timeout": f'2s, token: "{database.token}"',
        }
        await endure(tmp_path, parts, _fault(relay, weather))
        assert (relay.hidden > 0) is (weather is RestWeather.LAGGING)


def _fault(relay: RestRelay, weather: RestWeather) -> Fault:
    async def strike() -> None:
        relay.weather = weather

    return Fault(NAMES[weather], strike, relay.heal)

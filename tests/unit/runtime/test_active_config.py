"""What a config is compiled to, and that nothing of it is left when it is over."""

import pytest

from gateway.core.errors import StartError
from gateway.core.invalidation import InvalidationKind
from gateway.pages.routes import PAGES
from gateway.runtime.active_config import activate
from gateway.store.bus import StoreBus
from tests.fakes.services import fake_process, settings_of

UPSTREAMS = """
upstreams: {app: {servers: ["http://127.0.0.1:9"], timeouts: {idle: 200ms}}}
routes: [{name: all, match: {path: "/*"}, upstream: app}]
"""


async def test_the_pages_are_one_more_upstream() -> None:
    """Beside those that the config names."""
    settings = settings_of(UPSTREAMS)
    async with fake_process(settings) as process, activate(settings, process) as active:
        assert {"app", PAGES} == set(active.serving.upstreams)


@pytest.mark.parametrize(
    ("server", "more", "expected_s"),
    [
        pytest.param("", "", 0.5, id="as-a-rule"),
        pytest.param("", UPSTREAMS, 0.02, id="of-an-upstream"),
        pytest.param("timeouts: {head: 3s}", "", 0.3, id="a-tenth-of-the-shortest"),
        pytest.param("timeouts: {head: 20ms}", "", 0.02, id="not-all-the-time"),
    ],
)
async def test_how_often_deadlines_are_looked_at(server: str, more: str, expected_s: float) -> None:
    """Often enough for the shortest, whatever names it."""
    settings = settings_of(more, server=server)
    async with fake_process(settings) as process, activate(settings, process) as active:
        assert expected_s == pytest.approx(active.sweep_s)


async def test_lines_of_apps_have_a_deadline() -> None:
    """What an app has not sent for a while is forgotten."""
    settings = settings_of(UPSTREAMS)
    async with fake_process(settings) as process, activate(settings, process) as active:
        assert active.serving.answer_fields in process.wire.deadlines._waiting


async def test_nothing_is_left_of_a_config_that_is_over() -> None:
    """Nor of one that could not be opened to its end."""
    settings = settings_of("identity: {roles_from_store: true}\ncredentials: {api_keys: {}}")
    async with fake_process(settings) as process:
        bus = process.bus
        assert isinstance(bus, StoreBus)
        async with activate(settings, process):
            assert bus._missed_callbacks
        assert [] == bus._missed_callbacks
        assert {} == process.wire.deadlines._waiting
        broken = settings_of(
            'upstreams: {app: {servers: ["https://a"], tls: {ca: /nowhere/ca.pem}}}'
        )
        with pytest.raises(StartError):
            async with activate(broken, process):
                pass
        assert [] == bus._missed_callbacks
        assert not any(bus._subscribers.values())


async def test_a_count_that_was_set_back_is_told_to_the_limiter() -> None:
    """And no more when the config is over."""
    settings = settings_of(UPSTREAMS)
    async with fake_process(settings) as process:
        bus = process.bus
        assert isinstance(bus, StoreBus)
        async with activate(settings, process):
            told = bus._subscribers[InvalidationKind.LIMIT]
            assert 1 == sum(forget.__qualname__ == "RedisLimiter.forget" for forget in told)
        assert [] == bus._subscribers[InvalidationKind.LIMIT]

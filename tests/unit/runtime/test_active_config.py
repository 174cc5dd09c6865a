"""What a config is compiled to, and that nothing of it is left when it is over."""

import gc
import threading
import weakref
from pathlib import Path

import pytest
from jinja2.runtime import Context

from gateway.core.errors import StartError
from gateway.core.invalidation import InvalidationKind
from gateway.pages.error_pages import ErrorPages
from gateway.pages.look import Look
from gateway.pages.routes import PAGES
from gateway.runtime import active_config
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


async def test_requests_do_not_wait_for_pages_that_are_rendered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Templates of an operator are tried in a thread: a reload happens under load."""
    threads: list[threading.Thread] = []

    def noted(look: Look) -> ErrorPages:
        threads.append(threading.current_thread())
        return ErrorPages(look)

    monkeypatch.setattr(active_config, "ErrorPages", noted)
    settings = settings_of(UPSTREAMS)
    async with fake_process(settings) as process, activate(settings, process):
        [thread] = threads
        assert thread is not threading.main_thread()


MACROS = """
{% macro shown(id) %}{{ id }}{% endmacro %}
<title>{{ title }}</title>{{ shown(request_id) }}
"""


async def test_templates_are_freed_without_a_collection(tmp_path: Path) -> None:
    """A config is frozen: cycles in it would stay for good, each reload some more."""
    (tmp_path / "error.html").write_text(MACROS)
    settings = settings_of(f"{UPSTREAMS}\npages: {{templates: {tmp_path}}}")
    async with fake_process(settings) as process:
        gc.collect()
        gc.disable()
        try:
            async with activate(settings, process) as active:
                assert active.serving.to_page is not None
                pages: ErrorPages = active.serving.to_page.__self__  # type: ignore[attr-defined]
                made = pages.look._templates
                base = made.get_template("base.html")
                left: list[weakref.ref[object]] = [weakref.ref(made), weakref.ref(base)]
                assert not any(isinstance(each, Context) for each in gc.get_objects())
                assert all(each() is not None for each in left)
                del active, pages, made, base
            assert [None, None] == [each() for each in left]
        finally:
            gc.enable()


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

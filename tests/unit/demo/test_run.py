"""The demo: its config, its port, and the commands that it prints."""

import re
import shlex
import socket
from collections.abc import Iterator

import pytest

from gateway.config.lint import lint
from gateway.core.errors import StartError
from gateway.core.route import Auth
from gateway.demo import run


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of the developer's shell do not reach the config."""
    for name in ("REDIS_URL", "PORT", "APP_PORT", "RATE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port of loopback on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_settings_are_valid_and_need_nothing_else() -> None:
    """The config loads without an account, secrets, Redis or files."""
    settings = run._settings(8080, 3000)
    assert [str(address) for address in settings.server.listen] == ["127.0.0.1:8080"]
    assert settings.server.public_url == "http://127.0.0.1:8080"
    assert settings.admin is None
    assert settings.magic.mode == "development"
    assert settings.redis.url.get_secret_value() == "embedded://"
    assert [str(server) for server in settings.upstreams["app"].servers] == [
        "http://127.0.0.1:3000"
    ]


def test_settings_have_a_public_and_a_protected_route() -> None:
    """The printed commands try both kinds of routes, and the rate limit."""
    settings = run._settings(8080, 3000)
    routes = {route.match.path: route.auth for route in settings.routes}
    assert routes == {"/public/*": Auth.NONE, "/*": Auth.REQUIRED}
    assert settings.limits["small"].rate == (run._RATE, 60)
    assert lint(settings) == ()


def test_variables_of_the_shell_do_not_change_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """`PORT` is often that of another program; `--port` wins."""
    for name in ("PORT", "APP_PORT", "RATE"):
        monkeypatch.setenv(name, "5")
    settings = run._settings(8080, 3000)
    assert settings.server.public_url == "http://127.0.0.1:8080"
    assert [str(address) for address in settings.server.listen] == ["127.0.0.1:8080"]
    assert str(settings.upstreams["app"].servers[0]) == "http://127.0.0.1:3000"
    assert settings.limits["small"].rate == (run._RATE, 60)


def test_a_free_port_is_used_as_it_was_asked_for() -> None:
    """`gateway demo --port` is obeyed if the port is free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
    assert run._free_port(port) == port


def test_a_port_that_is_taken_is_said(taken_port: int) -> None:
    """With what to do; the demo does not move to another port silently."""
    with pytest.raises(StartError, match=rf"127\.0\.0\.1:{taken_port}: .*--port"):
        run._free_port(taken_port)


def test_any_free_port_is_used_where_that_was_asked_for() -> None:
    """By `--port 0`."""
    port = run._free_port(0)
    socket.create_server(("127.0.0.1", port)).close()


def test_printed_commands_are_valid_shell() -> None:
    """Every command can be pasted as it stands; the rest is comments and the introduction."""
    text = run._lines("http://127.0.0.1:8080", "token")
    commands = [line for line in text.splitlines() if re.match(r"(curl|TOKEN=|for) ?", line)]
    assert len(commands) == 11
    for command in commands:
        assert shlex.split(command)
        assert command == "TOKEN=token" or "http://127.0.0.1:8080/" in command


def test_the_address_is_the_fifth_word_of_the_first_line() -> None:
    """Programs that start the demo read the address there."""
    first = run._lines("http://127.0.0.1:8080", "token").strip().splitlines()[0]
    assert first.split()[4] == "http://127.0.0.1:8080"

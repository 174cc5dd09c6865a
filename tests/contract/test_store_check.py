"""``gateway store check`` over servers that are well, and others."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from gateway.cli.main import main
from gateway.store.kinds import server_of
from gateway.store.permissions import COMMANDS
from gateway.store.server import StoreOptions
from gateway.store.store_check import examine, trial_keys, trials
from tests.contract.conftest import Guarded
from tests.fakes.redis_kinds import PREFIX, SecureRedis
from tests.fakes.servers import RealServer, Servers

CONFIG = """
server: {{public_url: http://localhost}}
redis: {{url: "{url}", prefix: "gw:"}}
magic: {{mode: development}}
"""


def _run(url: str, folder: Path, *words: str) -> Result:
    config = folder / "gateway.yaml"
    config.write_text(CONFIG.format(url=url))
    return CliRunner().invoke(main, ["store", "check", "--config", str(config), *words])


def _levels(result: Result) -> dict[str, str]:
    found: list[dict[str, Any]] = json.loads(result.stdout)["findings"]
    return {each["name"]: each["level"] for each in found}


@contextmanager
def _configured(server: RealServer, **options: str) -> Iterator[None]:
    """A server with other options for a while."""
    with redis.Redis.from_url(server.url) as client:
        before = {name: client.config_get(name)[name] for name in options}
        for name, value in options.items():
            client.config_set(name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                client.config_set(name, value)


def test_a_server_that_is_well(servers: Servers, tmp_path: Path) -> None:
    """Exit status 0; nothing is left in it."""
    server = servers("redis")
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        result = _run(server.url, tmp_path)
        assert [] == client.keys()

    assert 0 == result.exit_code
    assert server.url in result.stdout
    for told in ("round trip", "clock", "noeviction", "every command", "a message was heard"):
        assert told in result.stdout


def test_eviction_is_warned_of(servers: Servers, tmp_path: Path) -> None:
    """It would take sessions; that is no reason to fail."""
    server = servers("redis")
    with _configured(server, **{"maxmemory-policy": "allkeys-lru"}):
        result = _run(server.url, tmp_path, "--json")

    assert 0 == result.exit_code
    assert "warning" == _levels(result)["memory"]


def test_a_server_that_takes_no_writes(mortal_server: RealServer, tmp_path: Path) -> None:
    """A replica is told, and what it refuses; exit status 1."""
    with redis.Redis.from_url(mortal_server.url) as client:
        client.replicaof("127.0.0.1", "1")
    result = _run(mortal_server.url, tmp_path, "--json")

    assert 1 == result.exit_code
    assert not json.loads(result.stdout)["ok"]
    levels = _levels(result)
    assert ("problem", "problem", "ok") == (
        levels["permissions"],
        levels["replication"],
        levels["clock"],
    )
    assert "SET (READONLY)" in result.stdout


def test_a_server_that_is_away(tmp_path: Path) -> None:
    """Exit status 3."""
    result = _run("unix:///nowhere.sock", tmp_path)

    assert 3 == result.exit_code
    assert "the store was not reached" in result.stderr


async def test_permissions_that_are_missing_are_named(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that the gateway needs are enough, without INFO."""
    server = guarded("tls")
    assert isinstance(server, SecureRedis)
    found = {each.name: each for each in await examine(server_of(server.options), server.options)}
    assert ("ok", "ok") == (found["permissions"].level, found["pub/sub"].level)
    assert ("warning", True) == (found["server"].level, "NOPERM INFO" in found["server"].text)

    monkeypatch.setattr("gateway.store.store_check.HEARD_WITHIN_S", 0.3)
    options = server.options._replace(prefix="other:")
    found = {each.name: each for each in await examine(server_of(options), options)}

    assert ("problem", "problem") == (found["permissions"].level, found["pub/sub"].level)
    assert "SET (NOPERM)" in found["permissions"].text
    assert "SCAN" not in found["permissions"].text


@pytest.mark.parametrize("kind", ["sentinel"])
async def test_a_group_with_sentinels(kind: str, guarded: Guarded) -> None:
    """The primary that they name is examined."""
    options = guarded(kind).options
    found = {each.name: each for each in await examine(server_of(options), options)}

    assert {"ok", "warning"} >= {each.level for each in found.values()}
    assert "online" in found["replication"].text


def test_every_command_is_tried() -> None:
    """Those that open a connection are used by it."""
    by_connecting = {"auth", "hello", "select", "subscribe", "unsubscribe"}
    of_confirm = {"wait"}  # where the config asks for it: see test_confirm.py
    tried = {str(words[0]).lower() for words in trials(trial_keys(PREFIX, "x"), 0)}

    assert {
        name for group in COMMANDS.values() for name in group
    } - by_connecting == tried | of_confirm


async def test_stores_that_cannot_be_asked_are_measured(servers: Servers) -> None:
    """Round trip and pub/sub need no command of their own."""

    class Quiet:
        """A server of which only the port is known."""

        def __init__(self) -> None:
            inner = server_of(options)
            self.store, self.listen = inner.store, inner.listen
            self.scan, self.slices = inner.scan, inner.slices

    options = StoreOptions(servers("valkey").url, PREFIX)

    found = await examine(Quiet(), options)

    assert [("round trip", "ok"), ("pub/sub", "ok")] == [each[:2] for each in found]

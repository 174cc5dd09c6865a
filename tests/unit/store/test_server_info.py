"""What is wrong with what a server says of itself."""

import pytest

from gateway.store.server_info import (
    Level,
    info_fields,
    judge_clock,
    judge_cluster,
    judge_permissions,
    judge_persistence,
    judge_round_trip,
    judge_server,
)

INFO = """# Server\r
redis_version:7.0.15\r
redis_mode:standalone\r
# Memory\r
used_memory:100\r
maxmemory:1000\r
maxmemory_policy:noeviction\r
loading:0\r
role:master\r
master_repl_offset:90\r
slave0:ip=192.0.2.1,port=6379,state=online,offset=80,lag=1\r
connected_clients:3\r
maxclients:10\r
"""


def _judged(**changes: str) -> dict[str, tuple[Level, str]]:
    return {
        found.name: (found.level, found.text) for found in judge_server(info_fields(INFO) | changes)
    }


def test_a_server_that_is_well() -> None:
    """Everything is told, and nothing warned of."""
    assert {
        "server": ("ok", "redis 7.0.15, standalone"),
        "replication": ("ok", "replica 192.0.2.1:6379 online, 10 bytes behind, lag 1 s"),
        "memory": ("ok", "100 bytes of 1000, noeviction"),
        "connections": ("ok", "3 of 10"),
    } == _judged()


@pytest.mark.parametrize(
    ("changes", "name", "level", "text"),
    [
        ({"server_name": "valkey", "valkey_version": "9.1"}, "server", "ok", "valkey 9.1"),
        ({"loading": "1"}, "server", "problem", "loading its data"),
        ({"role": "slave"}, "replication", "problem", "READONLY"),
        (
            {"slave0": "ip=h,port=1,state=wait_bgsave,offset=0,lag=0"},
            "replication",
            "warning",
            "wait_bgsave",
        ),
        (
            {"slave0": "ip=h,port=1,state=online,offset=0,lag=11"},
            "replication",
            "warning",
            "lag 11 s",
        ),
        ({"maxmemory_policy": "allkeys-lru"}, "memory", "warning", "set noeviction"),
        ({"maxmemory_policy": "volatile-ttl"}, "memory", "warning", "set noeviction"),
        ({"used_memory": "801"}, "memory", "warning", "OOM"),
        ({"maxmemory": "0"}, "memory", "ok", "100 bytes of no maximum"),
        ({"connected_clients": "9"}, "connections", "warning", "9 of 10"),
        ({"maxclients": "0"}, "connections", "ok", "3 of no maximum"),
    ],
)
def test_what_is_told_of_others(
    changes: dict[str, str], name: str, level: Level, text: str
) -> None:
    """Eviction, full memory, replicas that are behind, and servers that take no writes."""
    found = _judged(**changes)[name]

    assert level == found[0]
    assert text in found[1]


def test_what_is_no_number_counts_as_none() -> None:
    """A server may say what it likes: the command goes on."""
    info = dict.fromkeys(("used_memory", "maxmemory", "connected_clients", "maxclients"), "x")
    found = list(
        judge_server({**info, "slave0": "ip=h,lag=,offset=\u0664", "maxclients": "9" * 30})
    )
    assert {"ok", "warning"} == {finding.level for finding in found}
    assert "problem" == judge_cluster({"cluster_slots_ok": "all"}).level


def test_a_primary_alone() -> None:
    """That it has no replica is told."""
    alone = {name: value for name, value in info_fields(INFO).items() if name != "slave0"}

    assert "a primary without replicas" in [found.text for found in judge_server(alone)]


@pytest.mark.parametrize(
    ("info", "save", "level", "text"),
    [
        ({"aof_enabled": "1"}, "", "ok", "AOF"),
        ({}, "3600 1", "ok", "snapshots (3600 1)"),
        ({}, "", "warning", "ends all sessions"),
        ({}, None, "ok", "not told"),
        ({"rdb_last_bgsave_status": "err"}, "60 1", "problem", "rdb_last_bgsave_status"),
        ({"aof_enabled": "1", "aof_last_write_status": "err"}, "", "problem", "aof_last_write"),
    ],
)
def test_persistence(info: dict[str, str], save: str | None, level: Level, text: str) -> None:
    """What is lost when the server restarts."""
    found = judge_persistence(info, save)

    assert level == found.level
    assert text in found.text


@pytest.mark.parametrize(
    ("state", "slots", "level"),
    [("ok", 16384, "ok"), ("ok", 16383, "problem"), ("fail", 16384, "problem")],
)
def test_slots_of_a_cluster(state: str, slots: int, level: Level) -> None:
    """Each key is in one; without its server it can be neither read nor written."""
    told = {"cluster_state": state, "cluster_slots_ok": str(slots), "cluster_size": "3"}

    assert level == judge_cluster(told).level
    assert "problem" == judge_cluster({}).level


def test_times() -> None:
    """A round trip of a quarter of the time-out, and a second of difference, are warned of."""
    assert ["ok", "warning"] == [judge_round_trip(took_s, 0.25).level for took_s in (0.06, 0.07)]
    found = [judge_clock(offset_s, 0.01) for offset_s in (0.9, -0.9, 1.1, -1.1)]
    assert ["ok", "ok", "warning", "warning"] == [each.level for each in found]
    assert "1100.0 ms behind ours, ± 5.0 ms" == found[3].text


def test_permissions() -> None:
    """Each command that was refused is named."""
    assert "ok" == judge_permissions({}).level
    found = judge_permissions({"EVAL": "NOPERM", "SET": "OOM"})
    assert ("problem", "refused: EVAL (NOPERM), SET (OOM)") == (found.level, found.text)

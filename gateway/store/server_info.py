"""What a server of the Redis protocol says of itself (INFO), and what is wrong with that."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

Level = Literal["ok", "warning", "problem"]

_SLOTS: Final = 16384
_DIGITS: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_LAG_S: Final = 10
_FULL: Final = 0.8
"""Share of a maximum from which on it is told."""
_CLOCK_S: Final = 1.0


class StoreFinding(NamedTuple):
    """One line of ``gateway store check``."""

    name: str
    level: Level
    text: str


def info_fields(text: str) -> dict[str, str]:
    """Read the reply of INFO or CLUSTER INFO."""
    lines = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value.strip() for name, separator, value in lines if separator}


def _number(text: str) -> int:
    """Read a number; 0 for what is none."""
    return int(text) if _DIGITS.fullmatch(text) else 0


def judge_server(info: Mapping[str, str]) -> Iterator[StoreFinding]:
    """Judge version, role, replicas, memory, persistence and connections."""
    yield _version(info)
    yield from _replication(info)
    yield _memory(info)
    yield _connections(info)


def _version(info: Mapping[str, str]) -> StoreFinding:
    name = info.get("server_name", "redis")
    version = info.get(f"{name}_version", info.get("redis_version", "of an unknown version"))
    text = f"{name} {version}, {info.get('redis_mode', 'standalone')}"
    if info.get("loading", "0") != "0":
        return StoreFinding("server", "problem", f"{text}: loading its data, and serves none yet")
    return StoreFinding("server", "ok", text)


def _replication(info: Mapping[str, str]) -> Iterator[StoreFinding]:
    name = "replication"
    if info.get("role", "master") != "master":
        text = "a replica: it refuses writes (READONLY); name the primary in redis.url"
        yield StoreFinding(name, "problem", text)
        return
    replicas = [info[key] for key in sorted(info) if key.startswith("slave") and key[5:].isdigit()]
    if not replicas:
        yield StoreFinding(name, "ok", "a primary without replicas")
    for replica in replicas:
        fields = dict(part.partition("=")[::2] for part in replica.split(","))
        place = f"{fields.get('ip')}:{fields.get('port')}"
        lag_s = _number(fields.get("lag", "0"))
        behind_bytes = _number(info.get("master_repl_offset", "0")) - _number(
            fields.get("offset", "0")
        )
        is_well = fields.get("state") == "online" and lag_s <= _LAG_S
        text = f"replica {place} {fields.get('state')}, {behind_bytes} bytes behind, lag {lag_s} s"
        yield StoreFinding(name, "ok" if is_well else "warning", text)


def _memory(info: Mapping[str, str]) -> StoreFinding:
    used, most = _number(info.get("used_memory", "0")), _number(info.get("maxmemory", "0"))
    policy = info.get("maxmemory_policy", "noeviction")
    text = f"{used} bytes of {most or 'no maximum'}, {policy}"
    if policy != "noeviction":
        why = "sessions and revocations are deleted when memory is full; set noeviction"
        return StoreFinding("memory", "warning", f"{text}: {why}")
    if most and used > most * _FULL:
        return StoreFinding(
            "memory", "warning", f"{text}: writes are refused (OOM) when it is full"
        )
    return StoreFinding("memory", "ok", text)


def _connections(info: Mapping[str, str]) -> StoreFinding:
    used, most = _number(info.get("connected_clients", "0")), _number(info.get("maxclients", "0"))
    is_full = bool(most) and used > most * _FULL
    text = f"{used} of {most or 'no maximum'}"
    return StoreFinding("connections", "warning" if is_full else "ok", text)


def judge_persistence(info: Mapping[str, str], save: str | None) -> StoreFinding:
    """Judge what is on disk; ``save`` is that of the server's config, None where it is not told."""
    name = "persistence"
    failed = [
        key
        for key in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
        if info.get(key, "ok") != "ok"
    ]
    if failed:
        return StoreFinding(name, "problem", f"the last write failed: {', '.join(failed)}")
    if info.get("aof_enabled") == "1":
        return StoreFinding(name, "ok", "AOF")
    if save is None:
        return StoreFinding(name, "ok", "no AOF; whether snapshots are made is not told")
    if not save:
        text = "none: a restart of the server ends all sessions"
        return StoreFinding(name, "warning", text)
    return StoreFinding(name, "ok", f"snapshots ({save}); a crash loses what came after the last")


def judge_cluster(info: Mapping[str, str]) -> StoreFinding:
    """Judge the reply of CLUSTER INFO: keys of a slot without a server cannot be used."""
    state = info.get("cluster_state", "unknown")
    uncovered = _SLOTS - _number(info.get("cluster_slots_ok", "0"))
    if uncovered or state != "ok":
        text = f"{uncovered} of {_SLOTS} slots are not covered, state {state}"
        return StoreFinding("cluster", "problem", text)
    return StoreFinding(
        "cluster", "ok", f"all slots covered by {info.get('cluster_size')} primaries"
    )


def judge_round_trip(median_s: float, timeout_s: float) -> StoreFinding:
    """Judge the time of a round trip: strict limits and new sessions wait for it."""
    text = f"{median_s * 1000:.2f} ms (median); redis.timeout is {timeout_s * 1000:.0f} ms"
    is_long = median_s > timeout_s / 4
    return StoreFinding("round trip", "warning" if is_long else "ok", text)


def judge_clock(offset_s: float, round_trip_s: float) -> StoreFinding:
    """Judge how far the server's clock is ahead; it counts limits and ends keys."""
    side = "ahead of" if offset_s >= 0 else "behind"
    text = f"{abs(offset_s) * 1000:.1f} ms {side} ours, ± {round_trip_s * 500:.1f} ms"
    is_off = abs(offset_s) > _CLOCK_S + round_trip_s / 2
    return StoreFinding("clock", "warning" if is_off else "ok", text)


def judge_permissions(refused: Mapping[str, str]) -> StoreFinding:
    """Judge which commands were refused: the command, and the code of the error."""
    if not refused:
        return StoreFinding("permissions", "ok", "every command that the gateway sends")
    told = ", ".join(f"{command} ({code})" for command, code in refused.items())
    return StoreFinding("permissions", "problem", f"refused: {told}")

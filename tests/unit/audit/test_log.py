"""The audit log of a process: lines before answers, and what happens while a file takes none."""

import asyncio
import errno
import json
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import fakeredis
import pytest

from gateway.audit import log as audit_log
from gateway.audit.chain import Head
from gateway.audit.file import AuditFile
from gateway.audit.heads import Heads
from gateway.audit.log import AuditHeard, AuditLog
from gateway.core.audit import AuditEntry, AuditEvent
from gateway.core.errors import AuditUnavailable, StoreUnavailable
from gateway.core.ports import AuditTrail
from gateway.store.redis import RedisStore
from tests.fakes.audit import KEY

WRITER = "e:gateway:1"


def entry(actor: str = "did:ethr:0x1") -> AuditEntry:
    return AuditEntry(AuditEvent.LOGIN, actor)


class BrokenFile(AuditFile):
    """Takes no lines while ``is_full``, and is slow on demand."""

    is_full = False

    def append(self, entry: AuditEntry, time_ms: int | None = None) -> None:
        if self.is_full:
            raise OSError(28, "No space left on device")
        super().append(entry, time_ms)


@asynccontextmanager
async def logging(
    path: Path, *, refuses: bool = False, counted: list[str] | None = None
) -> AsyncIterator[tuple[AuditLog, BrokenFile, Any]]:
    """A log, its file, and the client of the store that has its head."""
    client = fakeredis.FakeAsyncRedis(server=fakeredis.FakeServer())
    store = RedisStore(client, "", 2)
    file = BrokenFile(str(path), KEY, WRITER)
    counted = [] if counted is None else counted
    heard = AuditHeard(lambda: counted.append("written"), lambda: counted.append("lost"))
    log = AuditLog(file, WRITER, Heads(store), KEY, heard, refuses=refuses, retry_s=0.02)
    try:
        yield log, file, client
    finally:
        file.is_full = False
        await log.aclose()
        await store.aclose()


def lines(path: Path) -> list[tuple[str, str]]:
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [(line["event"], line["actor"]) for line in found]


async def becomes(path: Path, count: int) -> None:
    async with asyncio.timeout(10):
        while len(lines(path)) < count:
            await asyncio.sleep(0.01)


async def test_a_line_is_there_when_the_call_returns(tmp_path: Path) -> None:
    """The head follows; at the end the chain is closed, and its head says so."""
    path = tmp_path / "audit"
    async with logging(path) as (log, _, client):
        trail: AuditTrail = log
        trail.require()
        await trail.write(entry("a"), may_refuse=True)
        assert [("user.login", "a")] == lines(path)
        trail.note(entry("b"))
        await log.aclose("done")
        record = json.loads(await client.get(f"audit:{WRITER}"))
        assert [("user.login", "a"), ("user.login", "b"), ("audit.ended", "gateway")] == lines(path)
        assert 3 == record["seq"]


async def test_a_full_disk_holds_nothing_up_and_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """
    With ``continue`` lines are kept in memory, and written when there is room again.

    The log names the file when it takes none, and when it takes them again.
    """
    caplog.set_level("INFO", "gateway.audit")
    path = tmp_path / "audit"
    async with logging(path) as (log, file, _):
        file.is_full = True
        for actor in ("a", "b"):
            await log.write(entry(actor), may_refuse=True)
        log.require()
        assert (True, []) == (log.is_failing, lines(path))
        file.is_full = False
        await becomes(path, 2)
        assert [("user.login", "a"), ("user.login", "b")] == lines(path)
        await log.write(entry("c"))
        assert not log.is_failing
    full = f"{path} takes no audit lines: {os.strerror(errno.ENOSPC)}"
    assert [full, f"{path} takes audit lines again"] == caplog.messages


async def test_a_full_disk_refuses_what_may_be_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``refuse``: its line is taken back, and others are kept."""
    path, tries_again = tmp_path / "audit", threading.Event()
    async with logging(path, refuses=True) as (log, file, _):
        monkeypatch.setattr(log, "_pause", tries_again.wait)
        file.is_full = True
        with pytest.raises(AuditUnavailable):
            await log.write(entry("a"), may_refuse=True)
        with pytest.raises(AuditUnavailable):
            log.require()
        with pytest.raises(AuditUnavailable):
            await log.write(entry("b"), may_refuse=True)
        await log.write(entry("logout"))
        file.is_full = False
        tries_again.set()
        await becomes(path, 1)
        assert [("user.login", "logout")] == lines(path)
        async with asyncio.timeout(10):
            while log.is_failing:  # the line is there a moment before its writer has told so
                await asyncio.sleep(0.01)
        log.require()


async def test_a_full_disk_is_forgotten_with_nothing_waiting(tmp_path: Path) -> None:
    """What was refused waits no more: the next line tries the file, and is not refused unseen."""
    path = tmp_path / "audit"
    async with logging(path, refuses=True) as (log, file, _):
        file.is_full = True
        with pytest.raises(AuditUnavailable):
            await log.write(entry("a"), may_refuse=True)
        async with asyncio.timeout(10):
            while log.is_failing:
                await asyncio.sleep(0.01)
        with pytest.raises(AuditUnavailable):
            await log.write(entry("b"), may_refuse=True)
        file.is_full = False
        async with asyncio.timeout(10):
            while log.is_failing:
                await asyncio.sleep(0.01)
        await log.write(entry("c"), may_refuse=True)
    assert [("user.login", "c"), ("audit.ended", "gateway")] == lines(path)


async def test_lines_beyond_the_bound_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line says how many are missing, before the next that is written."""
    monkeypatch.setattr(audit_log, "MAX_WAITING", 2)
    path, counted = tmp_path / "audit", list[str]()
    async with logging(path, counted=counted) as (log, file, _):
        file.is_full = True
        for actor in "abcd":
            await log.write(entry(actor))
        assert ["lost", "lost"] == counted
        file.is_full = False
        await becomes(path, 3)
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert ["audit.lost", "user.login", "user.login", "audit.ended"] == [
        line["event"] for line in found
    ]
    assert {"count": 2} == found[0]["details"]


async def test_a_file_that_cannot_be_opened_anew_takes_lines(tmp_path: Path) -> None:
    """Lines go on where they went, nothing is refused, and the new file is tried again."""
    folder, old = tmp_path / "logs", tmp_path / "audit.1"
    folder.mkdir()
    path = folder / "audit"
    async with logging(path, refuses=True) as (log, _, _):
        path.rename(old)
        folder.rmdir()
        log.reopen()
        await log.write(entry("a"), may_refuse=True)
        await log.write(entry("b"), may_refuse=True)
        assert not log.is_failing
        assert [("user.login", "a"), ("user.login", "b")] == lines(old)
        folder.mkdir()
        async with asyncio.timeout(10):
            while not path.exists():
                await asyncio.sleep(0.01)
        await log.write(entry("c"), may_refuse=True)
        assert ("user.login", "c") == lines(path)[-1]


async def test_a_reopened_file_has_the_next_line(tmp_path: Path) -> None:
    """The one before says that its chain goes on elsewhere."""
    path, old, counted = tmp_path / "audit", tmp_path / "audit.1", list[str]()
    async with logging(path, counted=counted) as (log, _, _):
        await log.write(entry("a"))
        path.rename(old)
        log.reopen()
        async with asyncio.timeout(10):
            while not path.exists():
                await asyncio.sleep(0.01)
        await log.write(entry("b"))
        assert ("user.login", "b") == lines(path)[-1]
        assert "audit.file_left" == lines(old)[-1][0]
    assert ["written"] * len(lines(old) + lines(path)) == counted


class AwayHeads(Heads):
    """Reach no store, and count how often they have tried."""

    asked = 0

    async def write(self, writer: str, head: Head) -> None:
        del writer, head
        self.asked += 1
        await asyncio.sleep(0)
        raise StoreUnavailable("away")


async def test_a_store_that_is_away_is_left_alone_for_a_while(tmp_path: Path) -> None:
    """It is asked once, and then after a pause."""
    heads = AwayHeads(RedisStore(fakeredis.FakeAsyncRedis(), "", 2))
    file = AuditFile(str(tmp_path / "audit"), KEY, WRITER)
    log = AuditLog(file, WRITER, heads, KEY, retry_s=3600.0)
    await log.write(entry())
    async with asyncio.timeout(10):
        while not heads.asked:
            await asyncio.sleep(0.01)
    for _ in range(100):
        await asyncio.sleep(0)
    assert 1 == heads.asked
    await log.aclose()


async def test_the_head_is_kept_when_the_store_is_back(tmp_path: Path) -> None:
    """No line waits for it."""
    path = tmp_path / "audit"
    async with logging(path) as (log, _, client):
        client.connection_pool.connection_kwargs["server"].connected = False
        await log.write(entry())
        client.connection_pool.connection_kwargs["server"].connected = True
        async with asyncio.timeout(10):
            while await client.get(f"audit:{WRITER}") is None:
                await asyncio.sleep(0.01)

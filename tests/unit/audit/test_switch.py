"""Which audit log is in use."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.audit.file import AuditFile
from gateway.audit.heads import Heads
from gateway.audit.log import AuditLog
from gateway.audit.sent import seal_sent
from gateway.audit.switch import AuditSwitch
from gateway.core.audit import AuditEntry, AuditEvent
from tests.fakes.audit import KEY, TIME_MS
from tests.fakes.memory import FakeClock, MemoryStore

ENTRY = AuditEntry(AuditEvent.LOGIN, "did:ethr:0x1")


def _log(path: Path, writer: str) -> AuditLog:
    store = MemoryStore(FakeClock())
    store.is_down = True
    return AuditLog(AuditFile(str(path), KEY, writer), writer, Heads(store), KEY)


def events(path: Path) -> list[str]:
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]


async def test_without_a_log_nothing_is_written() -> None:
    """And nothing is refused."""
    switch = AuditSwitch()
    switch.require()
    await switch.write(ENTRY, may_refuse=True)
    switch.note(ENTRY)
    switch.reopen()
    assert ("", False) == (switch.state, await switch.receive(b"", "192.0.2.1", TIME_MS))
    await switch.aclose()


async def test_a_new_log_ends_the_chain_of_the_old_one(tmp_path: Path) -> None:
    """Lines go to the new one at once; both are closed with the switch."""
    first, second = tmp_path / "first", tmp_path / "second"
    switch = AuditSwitch()
    switch.use(_log(first, "e:a:1"))
    assert "ok" == switch.state
    switch.note(ENTRY)
    switch.use(_log(second, "e:a:2"))
    switch.require()
    await switch.write(ENTRY)
    body = seal_sent(KEY, ENTRY, TIME_MS)
    assert await switch.receive(body, "192.0.2.9", TIME_MS)
    with pytest.raises(ValueError, match="before"):
        await switch.receive(body, "192.0.2.9", TIME_MS)
    third = tmp_path / "third"
    switch.use(_log(third, "e:a:3"))
    with pytest.raises(ValueError, match="before"):  # a reload forgets none
        await switch.receive(body, "192.0.2.9", TIME_MS)
    switch.reopen()
    await asyncio.wait_for(switch.aclose(), 30)
    assert ["user.login", "audit.ended"] == events(first)
    assert ["user.login", "user.login", "audit.ended"] == events(second)
    assert "192.0.2.9" in second.read_text()
    assert ["audit.ended"] == events(third)

"""The audit log of a process, as a config asks for it."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from gateway.config.schema import Settings
from gateway.core.audit import AuditEvent
from gateway.core.errors import ExpiredToken, Forbidden, InvalidToken, StartError
from gateway.core.reasons import ForbiddenReason
from gateway.core.record import RequestRecord
from gateway.runtime.services import audit
from gateway.telemetry.counters import Counters
from tests.fakes.audit import FakeTrail
from tests.fakes.memory import FakeClock, MemoryStore
from tests.fakes.services import settings_of

KEY, OTHER = (b64encode(each * 32).decode() for each in (b"a", b"b"))


def config(file: Path | None, more: str = "") -> Settings:
    return settings_of(
        *([] if file is None else [f"audit: {{file: '{file}', key: '{KEY}'{more}}}"])
    )


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def events(path: Path) -> list[str]:
    return [line["event"] for line in lines(path)]


def store() -> MemoryStore:
    made = MemoryStore(FakeClock())
    made.is_down = True
    return made


async def test_a_chain_begins_and_ends_with_its_process(tmp_path: Path) -> None:
    """It is named by the role of the process."""
    path = tmp_path / "audit"
    counters = Counters()
    async with audit.process_audit(config(path), "worker-2", store(), counters) as made:
        assert "ok" == made.trail.state
    assert ["audit.began", "audit.ended"] == events(path)
    assert "worker-2" == lines(path)[0]["writer"].split(":")[1]


async def test_a_reload_changes_file_and_key(tmp_path: Path) -> None:
    """Each change begins a chain; what is the same begins none, and a failure changes nothing."""
    first, second = tmp_path / "first", tmp_path / "second"
    async with audit.process_audit(config(first), "gateway", store()) as made:
        with audit.changing(made, config(first)):
            pass
        with audit.changing(made, config(first, ", on_failure: refuse")):
            pass
        with (
            pytest.raises(StartError, match="cannot be written"),
            audit.changing(made, config(tmp_path / "nowhere" / "file")),
        ):
            raise AssertionError
        with pytest.raises(KeyError), audit.changing(made, config(second)):
            raise KeyError
        with audit.changing(made, config(None)):
            pass
        assert "" == made.trail.state
        with audit.changing(None, config(second)):
            pass
        with audit.changing(made, config(second)):
            pass
    assert sorted(["audit.began", "audit.ended"] * 2) == sorted(events(first))
    assert ["audit.began", "audit.ended"] == events(second)


def test_old_keys_are_for_the_check(tmp_path: Path) -> None:
    """The first key seals."""
    settings = config(tmp_path, f", old_keys: ['{OTHER}']").audit
    assert settings is not None
    assert (b"a" * 32, b"b" * 32) == audit.keys_of(settings)
    assert b"a" * 32 == audit.key_of(settings)


def record(route: str, issuer: str = "did:ethr:0x1") -> RequestRecord:
    return RequestRecord("192.0.2.1", "a.example", route, "/x", issuer, refusal="forbidden")


def test_refused_rights_have_a_line(tmp_path: Path) -> None:
    """One a minute of a kind; what else is told of a refusal still is."""
    trail, heard = FakeTrail(), list[str]()
    told = audit.audited_refusals(
        config(tmp_path), trail, {Forbidden: lambda refusal, _: heard.append(refusal.reason)}
    )
    for _ in range(3):
        told[Forbidden](Forbidden(ForbiddenReason.DENIED), record("admin"))
    [entry] = trail.entries
    assert (AuditEvent.ACCESS_REFUSED, "did:ethr:0x1", "admin", "192.0.2.1", "refused") == entry[:5]
    assert ["denied"] * 3 == heard


def test_only_at_a_sign_in_a_bad_token_has_a_line(tmp_path: Path) -> None:
    """Elsewhere it refuses no right of a known caller."""
    trail = FakeTrail()
    told = audit.audited_refusals(config(tmp_path), trail, {})
    for kind in (InvalidToken, ExpiredToken):
        told[kind](kind("x"), record("rest"))
    assert [] == trail.entries
    told[ExpiredToken](ExpiredToken("x"), record("gateway-sign-in", ""))
    [entry] = trail.entries
    assert (AuditEvent.LOGIN, "unknown") == entry[:2]


def test_without_an_audit_file_nothing_is_added() -> None:
    """What is told stays as it is."""
    assert {} == audit.audited_refusals(config(None), FakeTrail(), {})

"""The config file in use, and the candidate that takes its place."""

import asyncio
import logging
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.admin.promotion import NoCandidate
from gateway.config.schema import Settings
from gateway.config.source import ConfigFile, ConfigSnapshot
from gateway.core.errors import ConfigError, StartError
from gateway.runtime import config_files
from gateway.runtime.config_files import ConfigFiles, warn_of_restart
from tests.fakes.services import CONFIG, LISTEN, settings_of


class World:
    """Two files, and what was put in use and handed to the candidate."""

    def __init__(self, folder: Path) -> None:
        self.paths = folder / "live.yaml", folder / "new.yaml"
        for path in self.paths:
            self.write(path, path.stem)
        self.used: list[str] = []
        self.decides: list[str] = []
        self.error: Exception | None = None
        file, candidate = (ConfigFile(path, {}) for path in self.paths)
        file.load()
        candidate.load()
        self.files = ConfigFiles(file, candidate, self.put_in_use)

    def write(self, path: Path, issuer: str) -> None:
        more = f"identity: {{headers: {{issuer: X-{issuer}}}}}"
        path.write_text(CONFIG.format(more=more, server=LISTEN, redis="embedded://"))

    async def put_in_use(self, settings: Settings, _: ConfigSnapshot) -> None:
        if self.error is not None:
            raise self.error
        self.used.append(settings.identity.headers.issuer)

    async def decide_by(self, settings: Settings, _: ConfigSnapshot) -> None:
        if self.error is not None:
            raise self.error
        self.decides.append(settings.identity.headers.issuer)


@pytest.fixture
def around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(config_files, "POLL_S", 0.001)
    return World(tmp_path)


async def _until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.001)


async def test_a_promotion_puts_the_candidate_in_use(around: World) -> None:
    """From then on its file is the one that is read again; there is nothing more to promote."""
    _, new = around.paths
    await around.files.reload()
    promoted = await around.files.promote()
    assert (str(new), sha256(new.read_bytes()).hexdigest()) == promoted
    around.write(new, "newer")
    await _until(around.files.has_changed)
    await around.files.reload()
    assert ["X-live", "X-new", "X-newer"] == around.used
    assert () == around.files.warnings
    with pytest.raises(NoCandidate):
        await around.files.promote()
    async with asyncio.timeout(20):
        await around.files.watch_candidate(around.decide_by)  # it ends: there is none


@pytest.mark.parametrize("is_broken", [True, False])
async def test_a_promotion_that_fails_changes_nothing(around: World, *, is_broken: bool) -> None:
    """The file before is still the one in use, and the candidate still one."""
    if is_broken:
        around.paths[1].write_text("nonsense: 1")
    else:
        around.error = StartError("server.listen: needs a restart")
    with pytest.raises((ConfigError, StartError)):
        await around.files.promote()
    around.error = None
    await around.files.reload()
    around.write(around.paths[1], "new")
    await around.files.promote()
    assert ["X-live", "X-new"] == around.used


@pytest.mark.parametrize(
    "error", [None, StartError("no such file"), OSError(24, "Too many open files")]
)
async def test_a_candidate_that_changes_is_read_again(
    around: World, caplog: pytest.LogCaptureFixture, error: Exception | None
) -> None:
    """One that cannot be used is reported, and the one before decides on."""
    caplog.set_level(logging.INFO, "gateway")
    watching = asyncio.create_task(around.files.watch_candidate(around.decide_by))
    if error is None:
        around.paths[1].write_text("nonsense: 1")
    else:
        around.error = error
        around.write(around.paths[1], "newer")
    await _until(lambda: caplog.messages)
    assert caplog.messages[0].startswith("candidate config not reloaded")
    around.error = None
    around.write(around.paths[1], "newest")
    await _until(lambda: around.decides)
    assert (["X-newest"], "candidate config reloaded") == (around.decides, caplog.messages[-1])
    watching.cancel()
    await asyncio.wait([watching])


async def test_a_candidate_that_is_promoted_meanwhile_decides_no_more(around: World) -> None:
    """A change of its file is then one of the file in use."""
    may_go_on, is_waiting = asyncio.Event(), asyncio.Event()
    put_in_use = around.put_in_use

    async def wait(settings: Settings, config: ConfigSnapshot) -> None:
        is_waiting.set()
        await may_go_on.wait()
        await put_in_use(settings, config)

    around.files._put_in_use = wait
    promoting = asyncio.create_task(around.files.promote())
    await is_waiting.wait()
    candidate = around.files._candidate
    assert candidate is not None
    reloading = asyncio.create_task(around.files._reload_candidate(candidate, around.decide_by))
    await asyncio.sleep(0)
    may_go_on.set()
    await asyncio.gather(promoting, reloading)
    assert (["X-new"], []) == (around.used, around.decides)


def test_what_a_promotion_cannot_change_is_told_at_the_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The operator can restart instead."""
    live = settings_of()
    warn_of_restart(live, live)
    assert [] == caplog.messages
    warn_of_restart(live, settings_of(server='listen: ["127.0.0.1:1"]'))
    assert [
        "the candidate config cannot be promoted: server.listen: needs a restart"
    ] == caplog.messages

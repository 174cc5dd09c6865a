"""As many file descriptors as the config has connections."""

import resource
from collections.abc import Mapping

import pytest

from gateway.config.load import parse
from gateway.config.schema import Settings
from gateway.runtime.fd_limit import raise_fd_limit

UNLIMITED = resource.RLIM_INFINITY

CONFIG = """
server: {public_url: "http://localhost:8080", max: {connections: 10000}}
magic: {mode: development}
"""


@pytest.fixture
def settings() -> Settings:
    env: Mapping[str, str] = {"REDIS_URL": "redis://localhost"}
    return parse(CONFIG, "f", env, str)


@pytest.mark.parametrize(
    ("soft", "hard", "expected", "is_short"),
    [
        pytest.param(1024, 524_288, 20_200, False, id="raised"),
        pytest.param(1024, UNLIMITED, 20_200, False, id="raised-without-a-bound"),
        pytest.param(65_536, 65_536, 65_536, False, id="enough"),
        pytest.param(1024, 15_000, 15_000, False, id="raised-as-far-as-may-be"),
        pytest.param(1024, 4096, 4096, True, id="too-few"),
        pytest.param(UNLIMITED, UNLIMITED, None, False, id="unlimited"),
    ],
)
def test_limit(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    settings: Settings,
    soft: int,
    hard: int,
    expected: int | None,
    is_short: bool,
) -> None:
    """The limit is raised to two for each connection; less than one for each is logged."""
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: given.append(limits))

    raise_fd_limit(settings)

    assert given == ([] if expected is None else [(expected, hard)])
    assert is_short is ("gives 4096 file descriptors" in caplog.text)

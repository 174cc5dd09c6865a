"""Fixtures that complete a few lines to a whole config."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from gateway.config.load import parse
from gateway.config.schema import Settings
from gateway.core.errors import ConfigError

ENV = {
    "REDIS_URL": "redis://127.0.0.1",
    "MAGIC_SECRET_KEY": "sk_live_1234567890",
    "SESSION_KEY": "0123456789abcdef0123456789abcdef",
}

SECTIONS = {
    "server": "server: {public_url: https://app.example.com}",
    "magic": "magic: {secret_key: sk_live_1234567890, publishable_key: pk_live_1234567890}",
    "session": "session: {keys: [0123456789abcdef0123456789abcdef]}",
    "limits": "limits: {default: {rate: 300/minute}}",
    "upstreams": "upstreams: {app: {servers: ['http://127.0.0.1:3000']}}",
}

Read = Callable[..., Settings]
Complain = Callable[..., list[str]]


def no_file(path: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", path)


def _complete(text: str) -> str:
    """Add valid sections after ``text``, so that its lines keep their numbers."""
    written = {line.partition(":")[0] for line in text.splitlines()}
    return "\n".join(
        [text, *(section for name, section in SECTIONS.items() if name not in written)]
    )


@pytest.fixture
def read() -> Read:
    """Parses some sections, completed by valid ones, to settings."""

    def of(text: str, env: Mapping[str, str] = ENV) -> Settings:
        return parse(_complete(text), "gateway.yaml", env, no_file)

    return of


@pytest.fixture
def complaints(read: Read) -> Complain:
    """Lists the problems of some sections, completed by valid ones."""

    def of(text: str, env: Mapping[str, str] = ENV) -> list[str]:
        try:
            read(text, env)
        except ConfigError as error:
            return error.problems
        return []

    return of


@pytest.fixture
def config_dir() -> Path:
    """The folder of the shipped configs."""
    return Path(__file__).parents[3] / "config"

"""
Load settings: parse YAML, fill in placeholders, validate, and report all problems together.

`load`, `load_text` and `read_file` read files; `parse` is pure.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from gateway.config import checks, document, pydantic_errors
from gateway.config.document import Document
from gateway.config.draft import Draft, with_defaults
from gateway.config.findings import InvalidConfig, Severity
from gateway.config.placeholders import Filler, ReadFile
from gateway.config.problems import (
    MISSING_KEY,
    UNREADABLE,
    UNREADABLE_CONFIG,
    Problem,
    invalid,
)
from gateway.config.schema import Settings
from gateway.config.store_env import store_of

_MAX_BYTES = 8 << 20  # ten thousand routes take some 1.5 MiB


class LoadedConfig(NamedTuple):
    """The settings of a file, and the file as it is written: placeholders are not filled in."""

    settings: Settings
    written: Document
    store_source: str
    """Where the store is named: ``redis.url``, or a variable of the environment."""


def load(path: Path, env: Mapping[str, str]) -> Settings:
    """Load the settings in the file at ``path``. Raises `ConfigError`."""
    return parse(load_text(path), str(path), env, read_file)


def load_document(path: Path, env: Mapping[str, str]) -> LoadedConfig:
    """Load the file at ``path``: its settings, and what is written. Raises `ConfigError`."""
    return parse_document(load_text(path), str(path), env, read_file)


def load_text(path: Path) -> str:
    """Read the config file at ``path``. Raises `ConfigError`."""
    try:
        return read_file(str(path))
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except ValueError as error:
        problem = str(error)
    finding = Problem((), problem, code=UNREADABLE_CONFIG).finding(str(path), {}, Severity.ERROR)
    raise InvalidConfig([f"{path}: {problem}"], (finding,))


def read_file(path: str) -> str:
    """Read a text file of up to 8 MiB. Raises `OSError` or `ValueError`."""
    with Path(path).open("rb") as file:
        octets = file.read(_MAX_BYTES + 1)
    if len(octets) > _MAX_BYTES:
        raise ValueError("larger than 8 MiB")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None


def parse(text: str, name: str, env: Mapping[str, str], read_file: ReadFile) -> Settings:
    """Parse and validate ``text`` as `parse_document` does."""
    return parse_document(text, name, env, read_file).settings


def parse_document(
    text: str, name: str, env: Mapping[str, str], read_file: ReadFile
) -> LoadedConfig:
    """
    Parse and validate ``text``, a file called ``name``.

    Raises `ConfigError` with all problems: of placeholders, of single keys and between keys.
    ``read_file`` returns the text behind ``${file:/path}``; it may raise `OSError` or `ValueError`.
    """
    read = document.read(text, name)
    problems = list(read.problems)
    data = Filler(env, read_file, problems).fill(read.data)
    draft, store_source = _with_store(Draft(data), env, problems)
    draft = with_defaults(draft)
    settings = _validated(draft, problems)
    problems += checks.problems(draft)
    if settings is None or problems:
        problems.sort(key=lambda problem: problem.line(read.lines))
        raise invalid(problems, name, read.lines)
    return LoadedConfig(settings, read, store_source)


def _with_store(draft: Draft, env: Mapping[str, str], problems: list[Problem]) -> tuple[Draft, str]:
    """Take the store from the environment if the file names none; return where it is named."""
    path = ("redis", "url")
    if draft.at(*path) not in (None, ""):
        return draft, ".".join(path)
    store = store_of(env)
    if store is None:
        message = "required, here or in the environment variable REDIS_URL"
        problems.append(Problem(path, message, code=MISSING_KEY))
        return draft.put(*path, UNREADABLE), ""
    if store.token:
        draft = draft.put("redis", "token", store.token)
    elif store.token_source:
        message = f"{store.source} is set, but {store.token_source} is not"
        problems.append(Problem(path, message, code=MISSING_KEY))
        return draft.put(*path, UNREADABLE), ""
    return draft.put(*path, store.url), store.source


def _validated(draft: Draft, problems: list[Problem]) -> Settings | None:
    try:
        return Settings.model_validate(draft.data)
    except ValidationError as error:
        problems += pydantic_errors.problems(error)
    return None

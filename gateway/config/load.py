"""
Load settings: parse YAML, fill in placeholders, validate, and report all problems together.

`load`, `load_text` and `read_file` read files; `parse` is pure.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from gateway.config import checks, document, pydantic_errors
from gateway.config.draft import Draft, with_defaults
from gateway.config.placeholders import Filler, ReadFile
from gateway.config.problems import UNREADABLE, Problem
from gateway.config.schema import Settings
from gateway.core.errors import ConfigError

_MAX_BYTES = 8 << 20  # ten thousand routes take some 1.5 MiB


def load(path: Path, env: Mapping[str, str]) -> Settings:
    """Load the settings in the file at ``path``. Raises `ConfigError`."""
    return parse(load_text(path), str(path), env, read_file)


def load_text(path: Path) -> str:
    """Read the config file at ``path``. Raises `ConfigError`."""
    try:
        return read_file(str(path))
    except OSError as error:
        problem = f"{path}: cannot be read: {error.strerror}"
    except ValueError as error:
        problem = f"{path}: {error}"
    raise ConfigError([problem])


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
    """
    Parse and validate ``text``, a file called ``name``.

    Raises `ConfigError` with all problems: of placeholders, of single keys and between keys.
    ``read_file`` returns the text behind ``${file:/path}``; it may raise `OSError` or `ValueError`.
    """
    read = document.read(text, name)
    problems = list(read.problems)
    data = Filler(env, read_file, problems).fill(read.data)
    draft = with_defaults(_with_store(Draft(data), env, problems))
    settings = _validated(draft, problems)
    problems += checks.problems(draft)
    if settings is None or problems:
        problems.sort(key=lambda problem: problem.line(read.lines))
        raise ConfigError([problem.text(name, read.lines) for problem in problems])
    return settings


def _with_store(draft: Draft, env: Mapping[str, str], problems: list[Problem]) -> Draft:
    """Take the URL of the store from the environment if the file has none."""
    if draft.at("redis", "url") not in (None, ""):
        return draft
    url: object = env.get("REDIS_URL")
    if not url:
        problems.append(Problem(("redis", "url"), _missing_store(env)))
        url = UNREADABLE
    return draft.put("redis", "url", url)


def _missing_store(env: Mapping[str, str]) -> str:
    if env.get("UPSTASH_REDIS_REST_URL"):
        return "Upstash REST is not supported yet; use its rediss:// URL"
    return "required, here or in the environment variable REDIS_URL"


def _validated(draft: Draft, problems: list[Problem]) -> Settings | None:
    try:
        return Settings.model_validate(draft.data)
    except ValidationError as error:
        problems += pydantic_errors.problems(error)
    return None

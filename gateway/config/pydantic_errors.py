"""Translate pydantic's errors: its own messages show the value, which may be a secret."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.config import planned_keys
from gateway.config.problems import (
    MISSING_KEY,
    NOT_SUPPORTED,
    UNKNOWN_KEY,
    KeyPath,
    Problem,
    Unreadable,
)
from gateway.config.schema import Settings

_MESSAGES = {
    "tuple_type": "expected a list",
    "frozen_set_type": "expected a list",
    "model_type": "expected a mapping",
    "dict_type": "expected a mapping",
}


def problems(error: ValidationError) -> Iterator[Problem]:
    """Translate the errors in ``error``, except those of values with a known problem."""
    for details in error.errors(include_url=False):
        if details["type"] == "extra_forbidden":
            yield _unknown_key(details["loc"])
        elif not isinstance(details["input"], Unreadable):
            yield _translated(_path(details["loc"]), details)


def _path(loc: KeyPath) -> KeyPath:
    """Remove the mark by which pydantic distinguishes an invalid key from an invalid value."""
    return loc[:-1] if loc[-1:] == ("[key]",) else loc


def _translated(path: KeyPath, details: ErrorDetails) -> Problem:
    if details["type"] == "missing":
        return Problem(path, "required", code=MISSING_KEY)
    return Problem(path, _message(details))


def _message(details: ErrorDetails) -> str:
    match details:
        case {"type": "value_error", "ctx": {"error": ValueError() as error}}:
            return str(error)
        case {"type": "literal_error" | "enum", "ctx": {"expected": expected}}:
            return f"expected {expected}"
    return _MESSAGES.get(details["type"], "not valid here")


def _unknown_key(path: KeyPath) -> Problem:
    if (remedy := planned_keys.remedy(path)) is not None:
        return Problem(
            path, "is not supported yet", separator=" ", remedy=remedy, code=NOT_SUPPORTED
        )
    near = get_close_matches(str(path[-1]), _known_keys(path[:-1]), n=1)
    if not near:
        return Problem(path, "unknown key", code=UNKNOWN_KEY)
    return Problem(
        path,
        f"unknown key, did you mean {near[0]}?",
        code=UNKNOWN_KEY,
        default_remedy=f"write {near[0]}",
    )


def _known_keys(path: KeyPath) -> list[str]:
    whole = node = _schema()
    for step in path:
        node = _resolved(_below(node, step), whole["$defs"])
    return list(node["properties"])


@cache
def _schema() -> dict[str, Any]:
    return Settings.model_json_schema()


def _below(node: Mapping[str, Any], step: str | int) -> Mapping[str, Any]:
    """Schema of the value at ``step`` in a value with the schema ``node``."""
    if isinstance(step, int):
        child = node["items"]
    elif "properties" in node:
        child = node["properties"][step]
    else:
        child = next(iter(node["patternProperties"].values()))
    return dict(child)


def _resolved(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    while "anyOf" in node:  # the others are null, or a list of the first
        node = node["anyOf"][0]
    if "$ref" in node:
        node = definitions[node["$ref"].rpartition("/")[2]]
    return dict(node)

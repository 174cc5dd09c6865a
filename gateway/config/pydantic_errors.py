"""What pydantic found wrong, in our words: its own would show the value, which may be a secret."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.config import planned_keys
from gateway.config.problems import KeyPath, Problem, Unreadable
from gateway.config.schema import Settings

_MESSAGES = {
    "missing": "required",
    "tuple_type": "expected a list",
    "frozen_set_type": "expected a list",
    "model_type": "expected a mapping",
    "dict_type": "expected a mapping",
}


def problems(error: ValidationError) -> Iterator[Problem]:
    """The faults in ``error``, but for those of values that were found faulty before."""
    for fault in error.errors(include_url=False):
        if fault["type"] == "extra_forbidden":
            yield _stray_key(fault["loc"])
        elif not isinstance(fault["input"], Unreadable):
            yield Problem(_path(fault["loc"]), _message(fault))


def _path(loc: KeyPath) -> KeyPath:
    """Without the mark by which pydantic tells a faulty key from a faulty value."""
    return loc[:-1] if loc[-1:] == ("[key]",) else loc


def _message(fault: ErrorDetails) -> str:
    match fault:
        case {"type": "value_error", "ctx": {"error": ValueError() as why}}:
            return str(why)
        case {"type": "literal_error" | "enum", "ctx": {"expected": expected}}:
            return f"expected {expected}"
    return _MESSAGES.get(fault["type"], "not valid here")


def _stray_key(path: KeyPath) -> Problem:
    if planned_keys.is_key(path):
        return Problem(path, "is not supported yet", joint=" ")
    near = get_close_matches(str(path[-1]), _known_keys(path[:-1]), n=1)
    return Problem(path, f"unknown key, did you mean {near[0]}?" if near else "unknown key")


def _known_keys(path: KeyPath) -> list[str]:
    whole = node = _schema()
    for step in path:
        node = _resolved(_below(node, step), whole["$defs"])
    return list(node["properties"])


@cache
def _schema() -> dict[str, Any]:
    return Settings.model_json_schema()


def _below(node: Mapping[str, Any], step: str | int) -> Mapping[str, Any]:
    """The schema of what stands at ``step`` in something of the schema ``node``."""
    if isinstance(step, int):
        found = node["items"]
    elif "properties" in node:
        found = node["properties"][step]
    else:
        found = next(iter(node["patternProperties"].values()))
    return dict(found)


def _resolved(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    while "anyOf" in node:  # or null, or one of a list
        node = node["anyOf"][0]
    if "$ref" in node:
        node = definitions[node["$ref"].rpartition("/")[2]]
    return dict(node)

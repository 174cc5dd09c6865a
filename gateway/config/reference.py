"""The config file's schema as JSON Schema (2020-12), for editors and for ``gateway schema``."""

from collections.abc import Iterator
from typing import Any

from gateway.config.schema import Settings
from gateway.config.section import Section

_PLACEHOLDER = {"type": "string", "pattern": r"\$\{"}
_NOTES = {"default", "description", "examples", "title"}


def schema() -> dict[str, Any]:
    """The JSON schema of a file as it is written: YAML keys, defaults with their units."""
    made = Settings.model_json_schema(by_alias=True)
    for model in sections():
        part = made if model is Settings else made["$defs"][model.__name__]
        written = model.model_construct().model_dump(mode="json", by_alias=True)
        part["properties"] = {
            key: _property(node, written.get(key)) for key, node in part["properties"].items()
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **made,
        "title": "Gateway configuration",
    }


def sections(base: type[Section] = Section) -> Iterator[type[Section]]:
    """All models that stand in the schema: those that are only inherited from do not."""
    for model in base.__subclasses__():
        inheriting = tuple(sections(model))
        yield from inheriting or (model,)


def _property(node: dict[str, Any], default: object) -> dict[str, Any]:
    notes = {key: value for key, value in node.items() if key in _NOTES}
    rule = {key: value for key, value in node.items() if key not in _NOTES}
    if "default" in notes:
        notes["default"] = default
        if default is None and "anyOf" in rule:  # absent is fine, null is not
            rule = rule["anyOf"][0]
            del notes["default"]
    return {**notes, **_fillable(rule)}


def _fillable(rule: dict[str, Any]) -> dict[str, Any]:
    """``rule``, or a placeholder where the rule is about a single value."""
    if "items" in rule:
        return {**rule, "items": _fillable(rule["items"])}
    if rule.keys() & {"enum", "const", "pattern"} or rule.get("type") in ("integer", "boolean"):
        return {"anyOf": [rule, _PLACEHOLDER]}
    return rule

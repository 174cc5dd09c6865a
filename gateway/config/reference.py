"""JSON Schema (2020-12) of the config file, for editors and for ``gateway schema``."""

from collections.abc import Iterator
from typing import Any

from gateway.config.schema import Settings
from gateway.config.section import GIVEN, Section

_PLACEHOLDER = {"type": "string", "pattern": r"\$\{"}
_NOTES = {"default", "description", "examples", "title"}


def schema() -> dict[str, Any]:
    """Describe a file as it is written: YAML keys, and defaults with their units."""
    made = Settings.model_json_schema(by_alias=True)
    for model in sections():
        part = made if model is Settings else made["$defs"][model.__name__]
        part["description"] = _one_line(part["description"])
        written = model.model_construct().model_dump(mode="json", by_alias=True)
        nullable = set(_nullable(model))
        part["properties"] = {
            key: _property(node, written.get(key), takes_null=key in nullable)
            for key, node in part["properties"].items()
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **made,
        "title": "Gateway configuration",
    }


def sections(base: type[Section] = Section) -> Iterator[type[Section]]:
    """List the package's models of the schema, without those that only serve as base classes."""
    for model in base.__subclasses__():
        if model.__module__.startswith(f"{__package__}."):
            inheriting = tuple(sections(model))
            yield from inheriting or (model,)


def _nullable(model: type[Section]) -> Iterator[str]:
    """Name the keys that take null as they take being left out."""
    for name, field in model.model_fields.items():
        if field.default is None and GIVEN not in field.metadata:
            yield field.alias or name


def _property(node: dict[str, Any], default: object, *, takes_null: bool) -> dict[str, Any]:
    notes = {key: value for key, value in node.items() if key in _NOTES}
    if "description" in notes:  # pydantic leaves out one that repeats its section's
        notes["description"] = _one_line(notes["description"])
    rule = {key: value for key, value in node.items() if key not in _NOTES}
    if "default" in notes:
        notes["default"] = default
        if default is None and "anyOf" in rule and not takes_null:
            rule = _without_null(rule["anyOf"])
            del notes["default"]
    return {**notes, **_fillable(rule)}


def _without_null(options: list[dict[str, Any]]) -> dict[str, Any]:
    """Join what is left of the ``options`` of a rule: one, or a list and its single entry."""
    left = [option for option in options if option != {"type": "null"}]
    return left[0] if len(left) == 1 else {"anyOf": left}


def _one_line(docstring: str) -> str:
    """Undo the line breaks of the source: editors break lines themselves."""
    return " ".join(docstring.split())


def _fillable(rule: dict[str, Any]) -> dict[str, Any]:
    """Allow a placeholder beside ``rule``, if the rule is about a single value."""
    if "anyOf" in rule:
        return {**rule, "anyOf": [_fillable(option) for option in rule["anyOf"]]}
    if "items" in rule:
        return {**rule, "items": _fillable(rule["items"])}
    if rule.keys() & {"enum", "const", "pattern"} or rule.get("type") in ("integer", "boolean"):
        return {"anyOf": [rule, _PLACEHOLDER]}
    return rule

"""The JSON schema, and the reference config beside it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gateway.config.reference import schema, sections
from gateway.config.schema import Settings
from gateway.config.section import Section


def test_defaults_are_written_with_their_units() -> None:
    """The schema shows defaults as they would be written in the file."""
    made = schema()
    server = made["$defs"]["ServerSettings"]["properties"]
    assert server["listen"]["default"] == ["0.0.0.0:8080"]
    assert made["$defs"]["ServerTimeouts"]["properties"]["head"]["default"] == "10s"
    assert made["$defs"]["ServerCaps"]["properties"]["head_bytes"]["default"] == "16KiB"
    assert made["$defs"]["SessionSettings"]["properties"]["lifetime"]["default"] == "token"


def test_only_public_url_is_required() -> None:
    """All other keys have a default, or an environment variable."""
    made = schema()
    assert made["required"] == ["server"]
    assert made["$defs"]["ServerSettings"]["required"] == ["public_url"]
    assert made["$defs"]["RedisSettings"]["required"] == []


def test_placeholders_fit_everywhere() -> None:
    """An editor accepts a placeholder in place of a number or a word."""
    made = schema()["$defs"]
    placeholder = {"type": "string", "pattern": r"\$\{"}
    assert placeholder in made["MagicSettings"]["properties"]["mode"]["anyOf"]
    assert placeholder in made["ServerCaps"]["properties"]["fields"]["anyOf"]
    assert placeholder in made["CorsSettings"]["properties"]["methods"]["items"]["anyOf"]
    listed, word = made["RouteMatch"]["properties"]["methods"]["anyOf"]
    assert placeholder in listed["items"]["anyOf"]
    assert {"anyOf": [{"const": "any"}, placeholder]} == word


def test_absent_is_not_null() -> None:
    """An optional key of a route may be left out, but not be left empty."""
    host = schema()["$defs"]["RouteMatch"]["properties"]["host"]
    assert host["type"] == "string"
    assert "default" not in host


def test_rules_may_be_one_or_several() -> None:
    """An editor accepts ``allow`` and ``deny`` as a mapping, and as a list of mappings."""
    for key in ("allow", "deny"):
        rules = schema()["$defs"]["RouteSettings"]["properties"][key]
        one = {"$ref": "#/$defs/RuleSettings"}
        assert [{"type": "array", "items": one}, one] == rules["anyOf"]
        assert "default" not in rules


def test_schema_is_json() -> None:
    """The schema can be printed."""
    assert json.loads(json.dumps(schema())) == schema()


def test_descriptions_are_on_one_line() -> None:
    """Editors break lines themselves."""
    assert "  " not in json.dumps(schema())
    assert "\\n" not in json.dumps(schema())


def test_every_key_is_described() -> None:
    """The models are the reference."""
    undescribed = [
        (model.__name__, name)
        for model in sections()
        for name, field in model.model_fields.items()
        if not field.description
    ]
    assert undescribed == []


def _keys(node: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    """Every key that a schema knows, by the name of its section."""
    for part in (node, *definitions.values()):
        for key in part.get("properties", {}):
            yield f"{part['title']}.{key}"


def _written(value: Any, model: str, definitions: dict[str, Any]) -> Iterator[str]:
    """Every key in the file, by the name of its section."""
    for key, part in value.items():
        yield f"{model}.{key}"
        found = definitions[model]["properties"][key]
        texts = json.dumps(found)
        for inner, definition in definitions.items():
            if f'/{inner}"' in texts:
                for entry in _entries(part, definition):
                    yield from _written(entry, inner, definitions)


def _entries(part: Any, definition: dict[str, Any]) -> list[dict[str, Any]]:
    if "properties" not in definition:
        return []  # a word of a list
    if isinstance(part, list):
        return [entry for entry in part if isinstance(entry, dict)]
    if not isinstance(part, dict):
        return []
    is_section = part.keys() <= definition.get("properties", {}).keys()
    return [part] if is_section else list(part.values())


def test_the_reference_config_shows_every_key(config_dir: Path) -> None:
    """config/gateway.yaml contains all keys of the schema, and no other."""
    made = Settings.model_json_schema()
    definitions = made["$defs"] | {"Settings": {**made, "$defs": {}}}
    text = (config_dir / "gateway.yaml").read_text()
    file = yaml.safe_load(re.sub(r"(?m)^  # ", "  ", text))  # parts that need files of their own
    assert set(_keys(made, made["$defs"])) == set(_written(file, "Settings", definitions))


def test_models_outside_the_package_are_no_part_of_the_schema() -> None:
    """A test, or a program that embeds the gateway, may define sections of its own."""

    class Foreign(Section):
        key: int = 1

    assert Foreign in Section.__subclasses__()
    assert Foreign not in set(sections())

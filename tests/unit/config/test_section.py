"""The base class of sections, and the validators of optional keys, by the example of some."""

import pytest
from pydantic import ValidationError

from gateway.config.schema import MagicSettings, RouteMatch
from gateway.config.section import Section
from gateway.config.server import ServerTimeouts

PATH = {"path": "/a"}


def errors(section: type[Section], data: object) -> list[tuple[str, str]]:
    """Keys and messages of the errors in ``data``."""
    with pytest.raises(ValidationError) as caught:
        section.model_validate(data)
    return [(".".join(map(str, each["loc"])), each["msg"]) for each in caught.value.errors()]


@pytest.mark.parametrize("data", [None, {}])
def test_a_section_without_keys_has_its_defaults(data: object) -> None:
    """All keys below a section may be commented out."""
    assert ServerTimeouts() == ServerTimeouts.model_validate(data)


def test_an_unknown_key_is_an_error() -> None:
    """A typing error does not silently leave a default in place."""
    ((key, _),) = errors(ServerTimeouts, {"haed": "1s"})
    assert key == "haed"


def test_the_name_of_an_attribute_is_no_key() -> None:
    """The key of the file has no unit in its name; only that key is known."""
    assert ServerTimeouts.model_validate({"head": "2s"}).head_s == 2
    ((key, _),) = errors(ServerTimeouts, {"head_s": "2s"})
    assert key == "head_s"


def test_an_empty_list_is_refused_where_one_entry_is_needed() -> None:
    """`SOME` requires an entry."""
    assert RouteMatch.model_validate({**PATH, "methods": ["GET"]}).methods == frozenset({"GET"})
    ((key, message),) = errors(RouteMatch, {**PATH, "methods": []})
    assert (key, message) == ("methods", "Value error, expected at least one entry")


@pytest.mark.parametrize("key", ["host", "methods"])
def test_a_key_without_value_is_refused_where_absence_has_a_meaning(key: str) -> None:
    """`GIVEN` distinguishes a key that is left out from one that is left empty."""
    assert getattr(RouteMatch.model_validate(PATH), key) is None
    ((place, message),) = errors(RouteMatch, {**PATH, key: None})
    assert place == key
    assert message == "Value error, expected a value; leave the key out for the default"


def test_sections_are_frozen() -> None:
    """A setting does not change while requests use it."""
    section = ServerTimeouts()
    with pytest.raises(ValidationError, match="frozen"):
        section.head_s = 1.0  # type: ignore[misc]


def test_errors_hide_the_value() -> None:
    """The sentences of pydantic leave the value out, which may be a secret."""
    with pytest.raises(ValidationError) as caught:
        MagicSettings.model_validate({"secret_key": ["hunter2"], "mode": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_docstrings_of_fields_are_descriptions() -> None:
    """`gateway schema` prints them."""
    description = ServerTimeouts.model_fields["keep_alive_s"].description
    assert description == (
        "Time-out for the next request on an idle connection, which is closed afterwards."
    )

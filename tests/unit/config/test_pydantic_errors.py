"""Translation of pydantic's errors to problems."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.config.problems import UNREADABLE, KeyPath
from gateway.config.pydantic_errors import problems
from gateway.config.schema import Settings

SECRET = "hunter2-hunter2-hunter2"
VALID = {
    "server": {"public_url": "https://app.example.com"},
    "redis": {"url": "redis://127.0.0.1"},
    "upstreams": {"app": {"servers": ["http://127.0.0.1:3000"]}},
}


def found(**sections: object) -> list[tuple[KeyPath, str, str]]:
    """The problems of a config with these sections: path, separator and message."""
    try:
        Settings.model_validate({**VALID, **sections})
    except ValidationError as error:
        return [(each.path, each.separator, each.message) for each in problems(error)]
    return []


@pytest.mark.parametrize(
    ("sections", "path", "message"),
    [
        pytest.param({"server": {}}, ("server", "public_url"), "required", id="missing"),
        pytest.param({"routes": "a"}, ("routes",), "expected a list", id="no-list"),
        pytest.param({"magic": []}, ("magic",), "expected a mapping", id="no-section"),
        pytest.param({"limits": []}, ("limits",), "expected a mapping", id="no-entries"),
        pytest.param(
            {"magic": {"mode": "x"}},
            ("magic", "mode"),
            "expected 'live' or 'development'",
            id="no-such-word",
        ),
        pytest.param(
            {"session": {"grace": "x"}},
            ("session", "grace"),
            "expected a duration such as 250ms, 10s, 5m, 1h or 30d, up to 3650d",
            id="a-message-of-a-parser",
        ),
        pytest.param(
            {"limits": {"a b": {"rate": "1/second"}}},
            ("limits", "a b"),
            "expected a name of up to 64 letters, digits, - and _, starting with a letter or digit",
            id="an-invalid-key",
        ),
        pytest.param(
            {"login": {"methods": ["fax"]}},
            ("login", "methods", 0),
            "expected 'email-otp', 'magic-link' or 'sms'",
            id="an-item-of-a-list",
        ),
    ],
)
def test_errors_are_translated(sections: dict[str, object], path: KeyPath, message: str) -> None:
    """An error becomes its path and a sentence of ours."""
    assert [(path, ": ", message)] == found(**sections)


@pytest.mark.parametrize(
    ("sections", "path", "message"),
    [
        pytest.param(
            {"magic": {"secret": "x"}},
            ("magic", "secret"),
            "unknown key, did you mean secret_key?",
            id="in-a-section",
        ),
        pytest.param({"sevrer": {}}, ("sevrer",), "unknown key, did you mean server?", id="root"),
        pytest.param(
            {"upstreams": {"app": {"servers": ["http://a"], "helth": {}}}},
            ("upstreams", "app", "helth"),
            "unknown key, did you mean health?",
            id="in-a-named-entry",
        ),
        pytest.param(
            {"identity": {"roles": [{"role": "a", "emails": ["a@b.org"], "isuers": []}]}},
            ("identity", "roles", 0, "isuers"),
            "unknown key, did you mean issuers?",
            id="in-a-list",
        ),
        pytest.param(
            {"server": {"public_url": "https://a", "tls": {"client_cert": "x"}}},
            ("server", "tls", "client_cert"),
            "unknown key, did you mean client_ca?",
            id="in-an-optional-section",
        ),
        pytest.param({"zzz": 1}, ("zzz",), "unknown key", id="like-no-other"),
    ],
)
def test_unknown_keys_get_a_suggestion(
    sections: dict[str, object], path: KeyPath, message: str
) -> None:
    """The nearest key of the same section is suggested, wherever the section is."""
    assert [(path, ": ", message)] == found(**sections)


def test_planned_keys_are_not_typing_errors() -> None:
    """A key of a later version is named as such."""
    problem = (("redis", "cluster"), " ", "is not supported yet")
    assert [problem] == found(redis={"url": "redis://h", "cluster": 1})


def test_known_problems_are_not_repeated() -> None:
    """A value whose placeholder could not be filled in is no error of the schema as well."""
    assert [] == found(magic={"mode": UNREADABLE, "secret_key": UNREADABLE})


PLACES = [
    ("magic", "mode"),
    ("magic", "secret_key"),
    ("magic", "timeout"),
    ("session", "keys"),
    ("session", "cookie"),
    ("redis", "url"),
    ("login", "methods"),
    ("login", "accent"),
    ("identity", "clock_skew"),
]


@pytest.mark.parametrize(("section", "key"), PLACES, ids=map(".".join, PLACES))
@pytest.mark.parametrize("wrap", [lambda text: text, lambda text: [text], lambda text: {text: 1}])
def test_no_message_shows_a_value(section: str, key: str, wrap: Callable[[str], object]) -> None:
    """A secret in the wrong place, in any shape, does not get into a message."""
    value = wrap(f"{SECRET}\n")
    reported = found(**{section: {key: value}})
    assert reported
    assert not [message for _, _, message in reported if SECRET in message]


@given(st.recursive(st.none() | st.booleans() | st.integers(), st.lists))
def test_any_shape_is_translated(value: object) -> None:
    """No value makes the translation fail, or leaves a sentence of pydantic's in place."""
    for _, _, message in found(server=value, routes=value, limits={"a": value}):
        assert message == "required" or message.startswith(("expected ", "has ", "not valid here"))

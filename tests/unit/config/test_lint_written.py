"""Lints of a config as it is written."""

import types
import typing
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, SecretStr

from gateway.config import document
from gateway.config.lint_written import (
    REDIS_URL,
    SECRETS,
    keys_that_reloads_keep,
    lint_written,
)
from gateway.config.problems import dotted
from gateway.config.schema import Settings


def found(text: str) -> list[tuple[str, str]]:
    """Codes and keys of what is found in ``text``."""
    problems = lint_written(document.read(text, "f"))
    assert all(problem.message and problem.remedy for problem in problems)
    assert "hunter2" not in str(problems)
    return [(problem.code, dotted(problem.path)) for problem in problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="an-empty-file"),
        pytest.param("magic: {secret_key: sk_live_hunter2}", ["magic.secret_key"], id="in-its-key"),
        pytest.param("a: [{b: sk_live_hunter2}]", ["a[0].b"], id="in-any-key"),
        pytest.param("magic: {secret_key: sk_test_hunter2}", [], id="a-test-key"),
        pytest.param("magic: {secret_key: '${MAGIC_SECRET_KEY}'}", [], id="a-variable"),
        pytest.param(
            "magic: {secret_key: '${file:/run/secrets/sk_live_x}'}", [], id="a-file-of-that-name"
        ),
    ],
)
def test_live_keys(text: str, expected: list[str]) -> None:
    """A live key that stands in the file is found, wherever it is."""
    assert [("live-key-in-file", key) for key in expected] == found(text)


@pytest.mark.parametrize(
    ("keys", "at_check", "at_reload"),
    [
        pytest.param(["${NEW}", "${OLD}"], [0, 1], [0, 1], id="two-variables"),
        pytest.param(["${file:/new}", "${OLD:-x}"], [1], [1], id="a-file-and-a-variable"),
        pytest.param(["${file:/new}", "${file:/old}"], [], [], id="two-files"),
        pytest.param(["${KEY}"], [], [0], id="one-key-that-is-not-being-rotated"),
        pytest.param([], [], [], id="no-keys"),
    ],
)
@pytest.mark.parametrize("section", ["session", "identity: {assertion"])
def test_keys_from_the_environment(
    keys: list[str], at_check: list[int], at_reload: list[int], section: str
) -> None:
    """
    Variables keep the values of the start, so keys cannot be rotated in them by a reload.

    `gateway check` says so of keys that are being rotated, a reload of all.
    """
    end = "}}" if "assertion" in section else "}"
    text = f"{section}: {{keys: {keys}{end}".replace("assertion: {keys", "assertion: {keys")
    at = "identity.assertion.keys" if "assertion" in section else "session.keys"
    assert [("key-from-environment", f"{at}[{n}]") for n in at_check] == found(text)
    told = [dotted(each.path) for each in keys_that_reloads_keep(document.read(text, "f"))]
    assert [f"{at}[{n}]" for n in at_reload] == told


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("session: {keys: [hunter2, '${file:/k}']}", ["session.keys[0]"], id="a-key"),
        pytest.param("session: {keys: ['$${hunter2']}", ["session.keys[0]"], id="no-placeholder"),
        pytest.param("magic: {secret_key: hunter2}", ["magic.secret_key"], id="of-magic"),
        pytest.param("magic: {mode: development, secret_key: hunter2}", [], id="development"),
        pytest.param("redis: {token: '', password: hunter2}", ["redis.password"], id="of-redis"),
        pytest.param("redis: {url: 'rediss://u:hunter2@h'}", ["redis.url"], id="in-a-url"),
        pytest.param("redis: {url: 'redis://u:${PASSWORD}@h'}", [], id="a-variable-in-a-url"),
        pytest.param("redis: {url: 'redis://u@h:1'}", [], id="a-url-with-a-user-alone"),
        pytest.param("redis: {url: 'redis://h:1/2'}", [], id="a-url-with-a-port"),
        pytest.param(
            "hooks: {endpoints: [{secrets: [hunter2]}], first_login: {secret: hunter2}}",
            ["hooks.endpoints[0].secrets[0]", "hooks.first_login.secret"],
            id="of-hooks",
        ),
        pytest.param("log: {level: hunter2}", [], id="no-secret"),
    ],
)
def test_other_secrets(text: str, expected: list[str]) -> None:
    """A secret in its own key is found, and never shown."""
    assert [("secret-in-file", key) for key in expected] == found(text)


def test_all_secrets_of_the_schema_are_looked_for() -> None:
    """A key of the schema that hides its value is one of those that may not stand in the file."""
    assert {*SECRETS, REDIS_URL} == set(_secrets(Settings, ()))


def _secrets(model: type[BaseModel], at: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        yield from _of_type(field.annotation, (*at, field.alias or name))


def _of_type(kind: object, at: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if kind is SecretStr:
        yield at
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from _secrets(kind, at)
    elif typing.get_origin(kind) in {typing.Union, types.UnionType, typing.Annotated}:
        for part in typing.get_args(kind):
            yield from _of_type(part, at)
    elif typing.get_origin(kind) is tuple:
        yield from _of_type(typing.get_args(kind)[0], (*at, "*"))

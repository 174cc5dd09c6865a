"""Lints of a config as it is written."""

import pytest

from gateway.config import document
from gateway.config.lint_written import keys_that_reloads_keep, lint_written
from gateway.config.problems import dotted


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
        pytest.param(["$${KEY}", "plain"], [], [], id="no-placeholders"),
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

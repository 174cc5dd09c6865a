"""Section ``pages``."""

from collections.abc import Callable

import pytest

from gateway.config.schema import Settings


@pytest.mark.parametrize(
    ("text", "expected"), [("", ""), ("pages: {}", ""), ("pages: {templates: brand}", "brand")]
)
def test_the_folder_of_templates(read: Callable[..., Settings], text: str, expected: str) -> None:
    """None is needed."""
    assert expected == read(text).pages.templates


def test_the_database_of_places(read: Callable[..., Settings]) -> None:
    """None is needed."""
    assert "" == read("").pages.places
    assert "cities.mmdb" == read("pages: {places: cities.mmdb}").pages.places


def test_languages_are_those_that_come_along(complaints: Callable[..., list[str]]) -> None:
    """Another one would have no texts."""
    (problem,) = complaints("login: {languages: [nl]}")
    assert "login.languages" in problem

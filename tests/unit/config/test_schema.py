"""The settings as a whole: which sections there are, and what the models have in common."""

from collections.abc import Iterator
from keyword import iskeyword

import pytest
from pydantic import BaseModel

from gateway.config.reference import sections
from gateway.config.schema import RouteSettings, Settings
from gateway.config.section import Section

MODELS = sorted(sections(), key=lambda model: model.__name__)
MINIMUM = {"server": {"public_url": "https://app.example.com"}, "redis": {"url": "redis://h"}}


def models_of(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """``model`` and the models of its fields, as the JSON schema names them."""
    names = model.model_json_schema().get("$defs", {})
    yield model
    yield from (each for each in MODELS if each.__name__ in names)


def test_every_section_can_be_reached_from_the_root() -> None:
    """No model of the package is left without a key in the file."""
    assert set(MODELS) == set(models_of(Settings))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_sections_and_keys_are_described(model: type[Section]) -> None:
    """A section has a docstring of its own, and each key a sentence that ends in a full stop."""
    assert (model.__doc__ or "").strip().endswith(".")
    for name, field in model.model_fields.items():
        description = (field.description or "").strip()
        assert description.endswith((".", "…")), name
        assert description[0] == description[0].upper() or description.split()[0].strip(",;:") in {
            "answer", "false", "host:port", "identity", "live", "redis://host:port",
        }, name  # fmt: skip


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_durations_and_sizes_carry_their_unit(model: type[Section]) -> None:
    """An attribute with another name than its key differs by the unit, or is a Python keyword."""
    for name, field in model.model_fields.items():
        if field.alias is not None:
            assert name != field.alias
            unit = "_" if iskeyword(field.alias) else "_s"
            assert name.removesuffix(unit).removesuffix("_bytes") == field.alias


def test_sections_that_are_left_out_have_their_defaults() -> None:
    """Only the audit file is off; and the private listener, which null switches off."""
    settings = Settings.model_validate(MINIMUM)
    left_out = [name for name in Settings.model_fields if getattr(settings, name) is None]
    assert ["audit"] == left_out
    assert Settings.model_validate({**MINIMUM, "admin": None}).admin is None


@pytest.mark.parametrize(
    ("url", "cookie"),
    [("https://a.example", "__Host-session"), ("http://a.example", "session")],
)
def test_the_default_cookie_follows_the_scheme(url: str, cookie: str) -> None:
    """Browsers drop a cookie with the prefix __Host- over http."""
    settings = Settings.model_validate({**MINIMUM, "server": {"public_url": url}})
    assert cookie == settings.session.cookie


def test_development_mode_listens_on_loopback_by_default() -> None:
    """A client that reaches development mode can sign in as any user."""
    settings = Settings.model_validate({**MINIMUM, "magic": {"mode": "development"}})
    assert ["127.0.0.1:8080"] == [str(address) for address in settings.server.listen]


@pytest.mark.parametrize(
    ("url", "written", "timeout_s"),
    [
        pytest.param("redis://h", {}, 0.25, id="near"),
        pytest.param("upstash+https://h", {}, 2.0, id="far"),
        pytest.param("upstash+https://h", {"timeout": "250ms"}, 0.25, id="far-and-set"),
        pytest.param("redis://h", {"timeout": "3s"}, 3.0, id="near-and-set"),
    ],
)
def test_a_store_far_away_is_waited_for_longer(
    url: str, written: dict[str, str], timeout_s: float
) -> None:
    """Unless the config says how long."""
    redis = {"url": url, "token": "t" if url.startswith("upstash") else ""} | written

    assert timeout_s == Settings.model_validate(MINIMUM | {"redis": redis}).redis.reply_timeout_s


@pytest.mark.parametrize(
    ("path", "more", "expected"),
    [
        ("/a/*", {}, "/a/*"),
        ("/a/*", {"strip_prefix": "/a"}, "/*"),
        ("/a", {"strip_prefix": "/a"}, "/"),
        ("/a/*", {"rewrite": "/b"}, "/b/*"),
        ("/a/*", {"rewrite": "/"}, "/*"),
        ("/a", {"rewrite": "/"}, "/"),
    ],
)
def test_an_app_sees_the_paths_of_a_route_as_they_are_rewritten(
    path: str, more: dict[str, str], expected: str
) -> None:
    """A prefix stays one."""
    route = RouteSettings.model_validate({"name": "r", "match": {"path": path}, **more})
    assert expected == route.upstream_path

"""The section ``log``."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.log import AccessLogSettings, LogSettings
from gateway.telemetry.access_line import ACCESS_FIELDS


def test_by_default_lines_are_json_from_info_on() -> None:
    """For machines to read."""
    assert ("info", "json") == (LogSettings().level, LogSettings().format)


@pytest.mark.parametrize("wrong", [{"level": "INFO"}, {"level": "trace"}, {"format": "logfmt"}])
def test_other_names_are_refused(wrong: dict[str, str]) -> None:
    """None of them is guessed."""
    with pytest.raises(ValidationError):
        LogSettings.model_validate(wrong)


def test_by_default_every_request_has_a_line_of_all_fields() -> None:
    """In JSON, as before there was a choice."""
    access = LogSettings().access
    assert ("json", ACCESS_FIELDS, ()) == (access.format, access.fields, access.sample)


def test_samples_name_statuses_and_classes() -> None:
    """What is read is written as it was."""
    written = {"sample": [{"route": "assets", "status": [304, "2xx"], "keep": "0.5%"}]}
    access = AccessLogSettings.model_validate(written)
    assert [("assets", (304, 2), 0.005)] == [
        (each.route, each.status, each.keep) for each in access.sample
    ]
    assert written["sample"] == access.model_dump(mode="json")["sample"]


@pytest.mark.parametrize(
    "keep", ["0%", "1%", "0.25%", "99.9%", "33.3333%", "100%"], ids=lambda keep: keep
)
def test_percentages_are_written_as_they_are_read(keep: str) -> None:
    """Exactly."""
    access = AccessLogSettings.model_validate({"sample": [{"keep": keep}]})
    assert keep == access.model_dump(mode="json")["sample"][0]["keep"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"format": "combined"},
        {"fields": []},
        {"fields": None},
        {"fields": ["cookie"]},
        {"sample": [{"route": "a"}]},
        {"sample": [{"route": "a b", "keep": "1%"}]},
        {"sample": [{"keep": "1"}]},
        {"sample": [{"keep": "101%"}]},
        {"sample": [{"keep": "-1%"}]},
        {"sample": [{"status": [], "keep": "1%"}]},
        {"sample": [{"status": ["6xx"], "keep": "1%"}]},
        {"sample": [{"status": [99], "keep": "1%"}]},
        {"sample": [{"status": "2xx", "keep": "1%"}]},
    ],
    ids=str,
)
def test_other_access_logs_are_refused(wrong: dict[str, Any]) -> None:
    """No field that holds a secret, no sample that says nothing."""
    with pytest.raises(ValidationError):
        AccessLogSettings.model_validate(wrong)


def test_a_sample_of_a_route_that_does_not_exist_is_an_error(
    complaints: Callable[..., list[str]],
) -> None:
    """The gateway's own pages have routes that no config lists."""
    text = """
upstreams: {app: {servers: ["http://a:1"]}}
routes: [{name: a, match: {path: /a}, upstream: app}]
log:
  access:
    sample:
    - {route: a, keep: 1%}
    - {route: gateway-login, keep: 1%}
    - {route: b, keep: 1%}
"""
    assert ["gateway.yaml:9: log.access.sample[2].route: no such route"] == complaints(text)

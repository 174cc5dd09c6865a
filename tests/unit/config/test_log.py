"""The section ``log``."""

import pytest
from pydantic import ValidationError

from gateway.config.log import LogSettings


def test_by_default_lines_are_json_from_info_on() -> None:
    """For machines to read."""
    assert ("info", "json") == (LogSettings().level, LogSettings().format)


@pytest.mark.parametrize("wrong", [{"level": "INFO"}, {"level": "trace"}, {"format": "logfmt"}])
def test_other_names_are_refused(wrong: dict[str, str]) -> None:
    """None of them is guessed."""
    with pytest.raises(ValidationError):
        LogSettings.model_validate(wrong)

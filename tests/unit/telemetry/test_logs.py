"""The gateway's own log."""

import logging
import re
from collections.abc import Iterator
from typing import get_args

import orjson
import pytest

from gateway.config.log import LogSettings
from gateway.telemetry import logs


def _line(record: logging.LogRecord) -> dict[str, object]:
    text = logs.JsonLines().format(record)
    assert "\n" not in text
    fields: dict[str, object] = orjson.loads(text)
    return fields


def test_a_record_is_one_line_of_json() -> None:
    """A line break in a message breaks no line."""
    record = logging.LogRecord("gateway", logging.WARNING, "f", 1, "a %s", ("x\ny",), None)
    line = _line(record)
    assert ("warning", "gateway", "a x\ny") == (line["level"], line["logger"], line["message"])
    assert "traceback" not in line


def test_a_traceback_is_a_field() -> None:
    """It stays in the line of its message."""
    fault = ValueError("a fault")
    exc_info = (type(fault), fault, None)
    record = logging.LogRecord("gateway", logging.ERROR, "f", 1, "m", (), exc_info)
    assert "ValueError: a fault" in str(_line(record)["traceback"])


def test_a_time_is_as_in_iso_8601() -> None:
    """With its zone, which is UTC."""
    record = logging.LogRecord("gateway", logging.INFO, "f", 1, "m", (), None)
    record.created = 1_800_000_000.1239

    assert "2027-01-15T08:00:00.123Z" == _line(record)["time"]


def test_text_that_cannot_be_encoded_is_escaped() -> None:
    """JSON has no lone surrogates."""
    record = logging.LogRecord("gateway", logging.INFO, "f", 1, "a \ud800", (), None)

    assert "a \\ud800" == _line(record)["message"]


def test_a_text_line_is_for_people() -> None:
    """Time, level, logger, message; what a client has sent cannot begin another line."""
    message = "a\nb \x1b[2J \x85 ä"
    record = logging.LogRecord("gateway", logging.WARNING, "f", 1, message, (), None)
    record.created = 1_800_000_000.0

    text = logs.TextLines().format(record)

    assert "2027-01-15T08:00:00.000Z WARNING gateway: a\\nb \\x1b[2J \\x85 ä" == text


def test_a_traceback_is_indented() -> None:
    """Under the line of its message."""
    fault = ValueError("a\nfault")
    exc_info = (type(fault), fault, None)
    record = logging.LogRecord("gateway", logging.ERROR, "f", 1, "m", (), exc_info)

    first, *more = logs.TextLines().format(record).splitlines()

    assert first.endswith(" ERROR   gateway: m")
    assert ["  ValueError: a", "  fault"] == more


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, which is as it was in the end."""
    logger = logging.getLogger()
    before, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = before
    logger.setLevel(level)


def test_all_logging_goes_to_standard_error(
    root: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    """Standard output is for the access log."""
    logs.set_up()
    logging.getLogger("gateway.x").info("hello")
    logging.getLogger("gateway.x").debug("no word")
    logs.flush()

    out, err = capfd.readouterr()
    assert ("", "hello") == (out, orjson.loads(err.splitlines()[-1])["message"])


def test_level_and_format_can_be_changed(
    root: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    """By a reload."""
    logs.set_up("error")
    logging.getLogger("gateway.x").info("too early")
    logs.configure("debug", "text")
    logging.getLogger("gateway.x").debug("hello")
    logs.flush()

    assert re.fullmatch(r"\S+Z DEBUG   gateway.x: hello\n", capfd.readouterr().err)


def test_the_level_of_the_command_line_comes_first(root: logging.Logger) -> None:
    """Whatever a reload says."""
    logs.set_up("error", "json", "debug")
    logs.configure("warning", "text")

    assert ("debug", logging.DEBUG) == (logs.fixed_level(), root.level)
    assert 0 == logs.dropped()


def test_without_a_log_of_ours_nothing_is_changed(root: logging.Logger) -> None:
    """Programs that embed a gateway log as they like."""
    root.handlers[:] = []
    level = root.level

    logs.configure("debug", "text")
    logs.flush()

    assert (level, [], None, 0) == (root.level, root.handlers, logs.fixed_level(), logs.dropped())


def test_the_config_names_levels_and_formats_of_the_log() -> None:
    """One that the log does not have would fail at the start."""
    fields = LogSettings.model_fields

    assert get_args(logs.LogLevel) == get_args(fields["level"].annotation)
    assert get_args(logs.LogFormat) == get_args(fields["format"].annotation)

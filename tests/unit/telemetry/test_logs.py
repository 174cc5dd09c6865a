"""The gateway's own log."""

import logging

import orjson
import pytest

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


def test_all_logging_goes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output is for the access log."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        logs.set_up()
        logging.getLogger("gateway.x").info("hello")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    out, err = capfd.readouterr()
    assert ("", "hello") == (out, orjson.loads(err.splitlines()[-1])["message"])

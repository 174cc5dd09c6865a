"""The log of the process on standard error: its formats, its level, its writer."""

import logging
from typing import Final, Literal

import orjson

from gateway.telemetry.escape import visible
from gateway.telemetry.log_writer import LogWriter
from gateway.util.rfc3339 import rfc3339

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "text"]

_STANDARD_ERROR = 2


class JsonLines(logging.Formatter):
    """Formats a record as one line; a traceback is a field, so that it cannot break the line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _encodable(record.getMessage()),
        }
        if record.exc_info:
            fields["traceback"] = _encodable(self.formatException(record.exc_info))
        return orjson.dumps(fields).decode()


class TextLines(logging.Formatter):
    """Formats a record for people; the lines of a traceback are indented."""

    def format(self, record: logging.LogRecord) -> str:
        message = visible(record.getMessage())
        line = f"{_time(record)} {record.levelname:<7} {record.name}: {message}"
        if not record.exc_info:
            return line
        traceback = self.formatException(record.exc_info).splitlines()
        return "\n  ".join([line, *map(visible, traceback)])


FORMATS: Final[dict[LogFormat, type[logging.Formatter]]] = {"json": JsonLines, "text": TextLines}


def set_up(
    level: LogLevel = "info", form: LogFormat = "json", fixed_level: LogLevel | None = None
) -> None:
    """
    Send all logging to standard error, without waiting for its reader.

    ``fixed_level`` comes before that of the config, also after a reload.
    """
    writer = _Writer(_STANDARD_ERROR, fixed_level)
    logging.basicConfig(handlers=[writer], force=True)
    configure(level, form)


def configure(level: LogLevel, form: LogFormat) -> None:
    """Set level and format; does nothing where `set_up` was not called."""
    if (writer := _writer()) is not None:
        logging.getLogger().setLevel((writer.fixed_level or level).upper())
        writer.setFormatter(FORMATS[form]())


def fixed_level() -> LogLevel | None:
    """Return the level that comes before that of the config, for the processes of this one."""
    writer = _writer()
    return None if writer is None else writer.fixed_level


def dropped() -> int:
    """Return the number of lines that were dropped because the reader was too slow."""
    writer = _writer()
    return 0 if writer is None else writer.dropped


def flush() -> None:
    """Write what is left; a reader that does not take it is waited for no longer than a second."""
    if (writer := _writer()) is not None:
        writer.flush()


class _Writer(LogWriter):
    def __init__(self, fd: int, fixed: LogLevel | None) -> None:
        super().__init__(fd)
        self.fixed_level = fixed


def _writer() -> _Writer | None:
    handlers = logging.getLogger().handlers
    return next((each for each in handlers if isinstance(each, _Writer)), None)


def _time(record: logging.LogRecord) -> str:
    return rfc3339(int(record.created * 1000))


def _encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()

"""The gateway's own log: JSON lines on standard error."""

import logging
import sys

import orjson


class JsonLines(logging.Formatter):
    """One line a record; a traceback is one of its fields, so it cannot break a line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(fields).decode()


def set_up() -> None:
    """Send all logging there."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)

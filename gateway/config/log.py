"""Section ``log``: the gateway's own log, on standard error."""

from typing import Literal

from gateway.config.section import Section


class LogSettings(Section):
    """The gateway's own log, on standard error; the access log is another."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level of the lines that are written. `gateway run --log-level` comes before it."""
    format: Literal["json", "text"] = "json"
    """Format of a line: json, or text for people. Times are as in ISO 8601, in UTC."""

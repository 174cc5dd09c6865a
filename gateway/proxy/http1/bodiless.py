"""Answers that end with their head: to HEAD, and with 1xx, 204 and 304 (RFC 9112 section 6.3)."""

from collections.abc import Mapping

WITHOUT_BODY = (204, 304)
"""Final status codes of answers without a body."""

_WITHOUT_BODY_DIGITS = (b"204", b"304")
_STATUS = slice(9, 12)
"""Where the status code stands in a status line."""
_STATUS_DIGITS = 3
_HEAD_END = b"\r\n\r\n"


def may_lack_body(start: bytes) -> bool:
    """Return whether an answer that begins so may have no body, as far as can be told."""
    status = start[_STATUS]
    return len(status) < _STATUS_DIGITS or status[:1] == b"1" or status in _WITHOUT_BODY_DIGITS


def announces_body(headers: Mapping[str, str]) -> bool:
    """Return whether the head of an answer without a body declares one."""
    return "Transfer-Encoding" in headers or headers.get("Content-Length", "0") != "0"


class HeadEnds:
    """Finds the ends of heads in data that comes in parts; keeps 3 bytes of a part at most."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""
        """The last bytes of the head under way: its end may begin with them."""

    def find(self, data: bytes, start: int) -> int:
        """
        Return where in ``data`` the head under way ends; the length of ``data`` if it does not.

        ``start`` is where the head, or its next part, begins: 0 in data that continues a head.
        """
        rest, self._rest = self._rest, b""
        if rest:
            straddling = (rest + data[: len(_HEAD_END)]).find(_HEAD_END)
            if straddling >= 0:
                return straddling + len(_HEAD_END) - len(rest)
        found = data.find(_HEAD_END, start)
        if found >= 0:
            return found + len(_HEAD_END)
        kept = 1 - len(_HEAD_END)
        self._rest = (rest + data[start:][kept:])[kept:]
        return len(data)

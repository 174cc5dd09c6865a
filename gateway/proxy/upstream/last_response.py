"""The head of the answer before: an app that repeats it is not parsed again."""

from typing import NamedTuple

from gateway.core.request import FieldMemo
from gateway.proxy.http1.bodiless import WITHOUT_BODY
from gateway.proxy.http1.parser import RawResponseMessage, StreamReader

_HEAD_END = b"\r\n\r\n"
_MAX_KEPT_BYTES = 4096
_FIRST_FINAL_STATUS = 200


class LastResponse(NamedTuple):
    """
    The head that came last, if it had a length and its body came with it.

    Most apps answer most requests with the same head, except for the Date, which changes once a
    second. The parser has accepted exactly these bytes in the same position.
    """

    head: bytes
    length: int
    message: RawResponseMessage
    memo: FieldMemo


def last_response(
    data: bytes, message: RawResponseMessage, body: StreamReader
) -> LastResponse | None:
    """
    Return what is to be remembered of the answer in ``data``, which the parser has read.

    None if its head is long, or says nothing about the next answer: it is not final, ends the
    connection, or its body is not all of the rest of ``data``.
    """
    end = data.find(_HEAD_END) + len(_HEAD_END)
    length = len(data) - end
    if (
        end > _MAX_KEPT_BYTES
        or message.headers.get("Content-Length") != str(length)
        or message.code < _FIRST_FINAL_STATUS
        or message.code in WITHOUT_BODY
        or message.should_close
        or not body.is_eof()
    ):
        return None
    return LastResponse(data[:end], length, message, {})

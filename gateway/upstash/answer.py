"""Answers: replies of the store as Upstash sends them, in JSON or RESP2, with their status."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import orjson

from gateway.upstash.call import MAX_BODY_BYTES, ReplyFormat, RestFault
from gateway.upstash.resp import ErrorReply, RespReply, RespValue, StatusReply, encode_error

JSON_TYPE: Final = "application/json"
BINARY_TYPE: Final = "application/octet-stream"

UNAUTHORIZED: Final = (401, "WRONGPASS invalid or missing auth token")
METHOD_NOT_ALLOWED: Final = (405, "ERR method is not allowed")
FOREIGN_HOST: Final = (403, "ERR Host is neither localhost nor an address")
BODY_TIMED_OUT: Final = (408, "ERR the body did not arrive in time")
STORE_UNAVAILABLE: Final = (503, "ERR the store did not answer")
TOO_MANY_STREAMS: Final = (400, "ERR max concurrent connections exceeded")

_DISCARDED: Final = ErrorReply(b"EXECABORT Transaction discarded because of previous errors.")


class RestAnswer(NamedTuple):
    """An HTTP answer."""

    status: int
    content_type: str
    body: bytes


def too_large(actual_bytes: int) -> RestFault:
    """The fault of a request, or of a reply, that is longer than Upstash allows."""
    return RestFault(
        413,
        f"ERR max request size exceeded. Limit: {MAX_BODY_BYTES} bytes,"
        f" Actual: {actual_bytes} bytes",
    )


def fault_answer(fault: RestFault) -> RestAnswer:
    """Answer a request that did not reach the store."""
    return RestAnswer(fault.status, JSON_TYPE, orjson.dumps({"error": fault.message}))


def single_answer(reply: RespReply, reply_format: ReplyFormat) -> RestAnswer:
    """Answer one command: 400 where it failed."""
    status = 400 if isinstance(reply.value, ErrorReply) else 200
    if reply_format is ReplyFormat.RESP2:
        return RestAnswer(status, BINARY_TYPE, reply.raw)
    return RestAnswer(status, JSON_TYPE, orjson.dumps(_outcome(reply.value, reply_format)))


def pipeline_answer(replies: Iterable[RespReply], reply_format: ReplyFormat) -> RestAnswer:
    """Answer a pipeline: 200 whatever failed in it. In RESP2, replies follow each other."""
    if reply_format is ReplyFormat.RESP2:
        return RestAnswer(200, BINARY_TYPE, b"".join(reply.raw for reply in replies))
    outcomes = [_outcome(reply.value, reply_format) for reply in replies]
    return RestAnswer(200, JSON_TYPE, orjson.dumps(outcomes))


def transaction_answer(values: Sequence[RespValue] | None, reply_format: ReplyFormat) -> RestAnswer:
    """Answer a transaction, always in JSON: 400 where it was discarded (None)."""
    if values is None:
        return RestAnswer(400, JSON_TYPE, orjson.dumps(_outcome(_DISCARDED, reply_format)))
    outcomes = [_outcome(value, reply_format) for value in values]
    return RestAnswer(200, JSON_TYPE, orjson.dumps(outcomes))


def error_reply(error: ErrorReply) -> RespReply:
    """Make the reply of a command that failed."""
    return RespReply(error, encode_error(error))


def limited(answer: RestAnswer) -> RestAnswer:
    """Return ``answer``, or the error of one that is too long: Upstash limits answers, too."""
    size = len(answer.body)
    return answer if size <= MAX_BODY_BYTES else fault_answer(too_large(size))


def _outcome(value: RespValue, reply_format: ReplyFormat) -> dict[str, object]:
    if isinstance(value, ErrorReply):
        return {"error": _text(value.text)}
    return {"result": _result(value, reply_format)}


def _result(value: RespValue, reply_format: ReplyFormat) -> object:
    """
    Convert a reply for JSON.

    In base64, every string is encoded but the status OK: a stored "OK" is. An error within an array
    is its text, as JSON has nothing for it.
    """
    match value:
        case list():
            return [_result(element, reply_format) for element in value]
        case StatusReply(b"OK"):
            return "OK"
        case StatusReply(text) | ErrorReply(text):
            return _string(text, reply_format)
        case bytes():
            return _string(value, reply_format)
    return value


def _string(text: bytes, reply_format: ReplyFormat) -> str:
    return b64encode(text).decode() if reply_format is ReplyFormat.BASE64 else _text(text)


def _text(text: bytes) -> str:
    return text.decode("utf-8", "replace")  # U+FFFD for what is no UTF-8, as Upstash documents

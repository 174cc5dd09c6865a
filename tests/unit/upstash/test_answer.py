"""Answers in JSON, base64 and RESP2."""

import pytest

from gateway.upstash.answer import (
    RestAnswer,
    error_reply,
    fault_answer,
    limited,
    pipeline_answer,
    single_answer,
    transaction_answer,
)
from gateway.upstash.call import MAX_BODY_BYTES, ReplyFormat, RestFault
from gateway.upstash.resp import ErrorReply, RespReply, RespValue, StatusReply

JSON, BASE64, RESP2 = ReplyFormat.JSON, ReplyFormat.BASE64, ReplyFormat.RESP2


@pytest.mark.parametrize(
    ("value", "reply_format", "body"),
    [
        (None, JSON, b'{"result":null}'),
        (2**63 - 1, JSON, b'{"result":9223372036854775807}'),
        (StatusReply(b"OK"), JSON, b'{"result":"OK"}'),
        (b"a\xffb", JSON, '{"result":"a\ufffdb"}'.encode()),
        (b'"\n', JSON, b'{"result":"\\"\\n"}'),
        ([b"a", None, [1, []]], JSON, b'{"result":["a",null,[1,[]]]}'),
        ([ErrorReply(b"ERR x")], JSON, b'{"result":["ERR x"]}'),
        (StatusReply(b"OK"), BASE64, b'{"result":"OK"}'),
        (b"OK", BASE64, b'{"result":"T0s="}'),
        (StatusReply(b"PONG"), BASE64, b'{"result":"UE9ORw=="}'),
        ([b"\xff", 1, None, [b"a"]], BASE64, b'{"result":["/w==",1,null,["YQ=="]]}'),
    ],
)
def test_results(value: RespValue, reply_format: ReplyFormat, body: bytes) -> None:
    """Base64 encodes each string but the status OK; JSON has U+FFFD for what is no UTF-8."""
    assert RestAnswer(200, "application/json", body) == single_answer(
        RespReply(value, b""), reply_format
    )


@pytest.mark.parametrize("reply_format", [JSON, BASE64])
def test_errors_are_400_and_never_encoded(reply_format: ReplyFormat) -> None:
    """Of a single command; in a pipeline they are elements."""
    error = error_reply(ErrorReply(b"ERR no"))
    body = b'{"error":"ERR no"}'
    assert RestAnswer(400, "application/json", body) == single_answer(error, reply_format)
    assert RestAnswer(200, "application/json", b'[{"result":1},' + body + b"]") == (
        pipeline_answer([RespReply(1, b""), error], reply_format)
    )


def test_resp2_is_the_bytes_of_the_store() -> None:
    """Those of a pipeline one after the other; a transaction is JSON in any case."""
    error, one = error_reply(ErrorReply(b"ERR no")), RespReply(1, b":1\r\n")
    kind = "application/octet-stream"
    assert RestAnswer(200, kind, b":1\r\n") == single_answer(one, RESP2)
    assert RestAnswer(400, kind, b"-ERR no\r\n") == single_answer(error, RESP2)
    assert RestAnswer(200, kind, b":1\r\n-ERR no\r\n") == pipeline_answer([one, error], RESP2)
    assert b'[{"result":"a"}]' == transaction_answer([b"a"], RESP2).body


def test_a_transaction_is_discarded_as_a_whole() -> None:
    """With one error instead of an array."""
    answer = transaction_answer(None, JSON)
    body = b'{"error":"EXECABORT Transaction discarded because of previous errors."}'
    assert RestAnswer(400, "application/json", body) == answer


def test_answers_are_limited_as_requests_are() -> None:
    """In their length."""
    most = RestAnswer(200, "", b"x" * MAX_BODY_BYTES)
    assert most is limited(most)
    message = "ERR max request size exceeded. Limit: 10485760 bytes, Actual: 10485761 bytes"
    assert fault_answer(RestFault(413, message)) == limited(RestAnswer(200, "", most.body + b"x"))

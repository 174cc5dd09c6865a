"""Requests, read into commands."""

import pytest

from gateway.upstash.call import (
    CallTarget,
    CommandPipeline,
    EventStream,
    ReplyFormat,
    RestCall,
    RestFault,
    SingleCommand,
    Transaction,
    read_call,
    read_format,
    read_target,
    read_token,
)
from gateway.upstash.resp import ErrorReply

STREAM = "text/event-stream"
REFUSED = ErrorReply(b'ERR Command "BLPOP" is not allowed in REST or it has a special context path')


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/", CallTarget((), (), None)),
        ("/?_token=t", CallTarget((), (), "t")),
        ("/set/foo/bar", CallTarget((b"set", b"foo", b"bar"), (), None)),
        ("/set/a%2Fb/%ff%00+", CallTarget((b"set", b"a/b", b"\xff\x00+"), (), None)),
        ("/set/foo/", CallTarget((b"set", b"foo", b""), (), None)),
        (
            "/set/foo?EX=100&NX&GET=&_token=a%2Bb&x=a+b",
            CallTarget((b"set", b"foo"), (b"EX", b"100", b"NX", b"GET", b"x", b"a b"), "a+b"),
        ),
        ("http://127.0.0.1:8079/get/a?b", CallTarget((b"get", b"a"), (b"b",), None)),
        ("http://127.0.0.1:8079", CallTarget((), (), None)),
        ("/get/a?&&", CallTarget((b"get", b"a"), (), None)),
    ],
)
def test_targets_are_decoded(target: str, expected: CallTarget) -> None:
    """Path and query, after they were cut: an encoded slash is part of an argument."""
    assert expected == read_target(target)


@pytest.mark.parametrize(
    ("authorization", "query", "token"),
    [
        ("Bearer a", "b", "a"),
        ("bearer  a ", None, "a"),
        ("Basic a", "b", "b"),
        ("", "b", "b"),
        ("", None, None),
        ("Bearer ", None, ""),
    ],
)
def test_the_token_is_in_the_field_or_in_the_query(
    authorization: str, query: str | None, token: str | None
) -> None:
    """The field wins."""
    assert token == read_token(CallTarget((), (), query), authorization)


@pytest.mark.parametrize(
    ("encoding", "response_format", "expected"),
    [
        ("", "", ReplyFormat.JSON),
        ("BASE64", "json", ReplyFormat.BASE64),
        ("gzip", "", ReplyFormat.JSON),
        ("", "resp2", ReplyFormat.RESP2),
    ],
)
def test_formats(encoding: str, response_format: str, expected: ReplyFormat) -> None:
    """JSON, unless the fields say otherwise."""
    assert expected is read_format(encoding, response_format)


@pytest.mark.parametrize(("encoding", "response_format"), [("base64", "resp2"), ("", "resp3")])
def test_formats_that_do_not_exist_are_refused(encoding: str, response_format: str) -> None:
    """RESP2 is binary already."""
    with pytest.raises(RestFault) as caught:
        read_format(encoding, response_format)
    assert (400, "ERR Invalid response format") == (caught.value.status, caught.value.message)


@pytest.mark.parametrize(
    ("target", "body", "call"),
    [
        ("/", b'["SET","k",1.50,true,false]', (b"SET", b"k", b"1.50", b"true", b"false")),
        ("/", b"[ 12345678901234567890, 1e400 ]", (b"12345678901234567890", b"1e400")),
        ("/", '["é","\\u0000","\\ud83d\\ude00"]'.encode(), ("é".encode(), b"\0", "😀".encode())),
        ("/", b'["\\ud800x"]', ("\ufffdx".encode(),)),
        ("/get/a", b"", (b"get", b"a")),
        ("/set/a?EX=1", b"\xff{}", (b"set", b"a", b"\xff{}", b"EX", b"1")),
        ("/pipelines", b"[[]]", (b"pipelines", b"[[]]")),
    ],
)
def test_single_commands(target: str, body: bytes, call: tuple[bytes, ...]) -> None:
    """Numbers are the text that was sent; a body is an argument like others."""
    assert SingleCommand(call) == read_call(read_target(target), "", body)


@pytest.mark.parametrize(
    ("target", "accept", "body", "call"),
    [
        (
            "/pipeline",
            "",
            b'[["GET","a"],["BLPOP","a",1]]',
            CommandPipeline(((b"GET", b"a"), REFUSED)),
        ),
        ("/multi-exec", "", b'[["GET","a"]]', Transaction(((b"GET", b"a"),))),
        ("/subscribe/chat", STREAM, b"[]", EventStream((b"SUBSCRIBE", b"chat"))),
        ("/psubscribe/a*/b", f"x, {STREAM}", b"", EventStream((b"PSUBSCRIBE", b"a*", b"b"))),
        ("/monitor", STREAM, b"", EventStream((b"MONITOR",))),
    ],
)
def test_other_calls(target: str, accept: str, body: bytes, call: RestCall) -> None:
    """Pipelines, transactions and event streams."""
    assert call == read_call(read_target(target), accept, body)


@pytest.mark.parametrize(
    ("target", "body", "message"),
    [
        ("/", b"", "ERR failed to parse command"),
        ("/", b'"GET"', "ERR failed to parse command"),
        ("/", b'{"a":1}', "ERR failed to parse command"),
        ("/", b'["a"', "ERR failed to parse command"),
        ("/", b'["\xff"]', "ERR failed to parse command"),
        ("/", b"[NaN]", "ERR failed to parse command"),
        ("/", b"[" * 100_000, "ERR failed to parse command"),
        ("/", b"[]", "ERR empty command"),
        ("/", b'["GET",null]', "ERR null args are not supported"),
        ("/", b'["GET",["a"]]', 'ERR unsupported arg type: "[": json.Delim'),
        ("/", b'["GET",{"a":1}]', 'ERR unsupported arg type: "{": json.Delim'),
        ("/", b'["BLPOP","a",1]', REFUSED.text.decode()),
        ("/blpop/a/1", b"", REFUSED.text.decode()),
        ("/pipeline", b"{}", "ERR failed to parse pipeline request"),
        ("/pipeline", b"[]", "ERR empty pipeline request"),
        ("/pipeline", b'["GET","a"]', "ERR failed to parse pipeline command"),
        ("/pipeline", b"[[]]", "ERR empty pipeline command"),
        ("/multi-exec", b"[]", "ERR empty multi-exec request"),
        ("/subscribe", b"", "ERR wrong number of arguments for 'subscribe' command"),
    ],
)
def test_requests_that_are_refused(target: str, body: bytes, message: str) -> None:
    """Before the store is asked."""
    with pytest.raises(RestFault) as caught:
        read_call(read_target(target), STREAM, body)
    assert (400, message) == (caught.value.status, caught.value.message)


@pytest.mark.parametrize("name", ["subscribe", "PSUBSCRIBE", "monitor"])
def test_event_streams_are_asked_for(name: str) -> None:
    """Without ``Accept``, the command is one that REST does not have."""
    with pytest.raises(RestFault, match="special context path"):
        read_call(read_target(f"/{name}/chat"), "*/*", b"")

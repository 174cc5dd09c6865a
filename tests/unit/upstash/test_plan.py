"""What is sent for a call, and what its replies answer."""

import pytest

from gateway.upstash.call import CommandPipeline, ReplyFormat, SingleCommand, Transaction
from gateway.upstash.plan import StoreCall, answer_to, commands_of
from gateway.upstash.resp import ErrorReply, RespReply, RespValue, StatusReply, encode_error

GET, LOAD = (b"GET", b"a"), (b"SCRIPT", b"LOAD", b"return 1")
REFUSED = ErrorReply(b"ERR refused")
SHA = b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db"


def reply(value: RespValue) -> RespReply:
    raw = encode_error(value) if isinstance(value, ErrorReply) else b"raw"
    return RespReply(value, raw)


@pytest.mark.parametrize(
    ("call", "commands"),
    [
        (SingleCommand(GET), (GET,)),
        (CommandPipeline((GET, REFUSED, GET)), (GET, GET)),
        (CommandPipeline((REFUSED,)), ()),
        (Transaction((GET, LOAD)), ((b"MULTI",), GET, LOAD, (b"EXEC",))),
        (Transaction((GET, REFUSED)), ()),
    ],
)
def test_commands_of_a_call(call: StoreCall, commands: tuple[tuple[bytes, ...], ...]) -> None:
    """A transaction with a refused command is not begun."""
    assert commands == commands_of(call)


OK, QUEUED = StatusReply(b"OK"), StatusReply(b"QUEUED")
UNKNOWN = ErrorReply(b"NOSCRIPT No.")
DISCARDED = b'{"error":"EXECABORT Transaction discarded because of previous errors."}'


@pytest.mark.parametrize(
    ("call", "replies", "status", "body"),
    [
        (SingleCommand(GET), [b"1"], 200, b'{"result":"1"}'),
        (SingleCommand(LOAD), [b"0" * 40], 200, b'{"result":"%b"}' % SHA),
        (
            SingleCommand(GET),
            [UNKNOWN],
            400,
            b'{"error":"NOSCRIPT No matching script. Please use EVAL."}',
        ),
        (
            CommandPipeline((GET, REFUSED, GET)),
            [b"1", None],
            200,
            b'[{"result":"1"},{"error":"ERR refused"},{"result":null}]',
        ),
        (
            Transaction((GET, LOAD)),
            [OK, QUEUED, QUEUED, [ErrorReply(b"ERR x"), b"0" * 40]],
            200,
            b'[{"error":"ERR x"},{"result":"%b"}]' % SHA,
        ),
        (Transaction((GET,)), [OK, ErrorReply(b"ERR x"), ErrorReply(b"EXECABORT")], 400, DISCARDED),
        (Transaction((GET, REFUSED)), [], 400, DISCARDED),
    ],
)
def test_answers(call: StoreCall, replies: list[RespValue], status: int, body: bytes) -> None:
    """Each reply answers its own command."""
    answer = answer_to(call, [*map(reply, replies)], ReplyFormat.JSON, is_read_only=False)
    assert (status, body) == (answer.status, answer.body)


def test_a_loaded_script_is_named_in_resp2_too() -> None:
    """The bytes are those of the SHA-1 of the client's text."""
    answer = answer_to(
        SingleCommand(LOAD), [reply(b"0" * 40)], ReplyFormat.RESP2, is_read_only=False
    )
    assert b"$40\r\n%b\r\n" % SHA == answer.body

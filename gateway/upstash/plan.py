"""What is sent to the store for a call, and how the replies answer it."""

from collections.abc import Sequence
from typing import Final, TypeAlias

from gateway.upstash.answer import (
    RestAnswer,
    error_reply,
    pipeline_answer,
    single_answer,
    transaction_answer,
)
from gateway.upstash.call import CommandPipeline, ReplyFormat, SingleCommand, Transaction
from gateway.upstash.commands import Command, as_upstash
from gateway.upstash.resp import ErrorReply, RespReply, RespValue, encode_string
from gateway.upstash.scripts import loaded_sha

StoreCall: TypeAlias = SingleCommand | CommandPipeline | Transaction
"""A call that one exchange with the store answers."""

_MULTI: Final[Command] = (b"MULTI",)
_EXEC: Final[Command] = (b"EXEC",)


def commands_of(call: StoreCall) -> tuple[Command, ...]:
    """Return the commands that ``call`` sends to the store; none where it is answered without."""
    match call:
        case SingleCommand(command):
            return (command,)
        case CommandPipeline(items):
            return tuple(item for item in items if not isinstance(item, ErrorReply))
    queued = tuple(item for item in call.items if not isinstance(item, ErrorReply))
    return (_MULTI, *queued, _EXEC) if len(queued) == len(call.items) else ()


def answer_to(
    call: StoreCall, replies: Sequence[RespReply], reply_format: ReplyFormat, *, is_read_only: bool
) -> RestAnswer:
    """Answer ``call`` by the replies to `commands_of` it."""
    match call:
        case SingleCommand(command):
            return single_answer(_worded(replies[0], command, is_read_only), reply_format)
        case CommandPipeline(items):
            left = iter(replies)
            return pipeline_answer(
                [
                    error_reply(item)
                    if isinstance(item, ErrorReply)
                    else _worded(next(left), item, is_read_only)
                    for item in items
                ],
                reply_format,
            )
    return transaction_answer(_executed(call, replies, is_read_only), reply_format)


def _executed(
    call: Transaction, replies: Sequence[RespReply], is_read_only: bool
) -> list[RespValue] | None:
    """Return the results of a transaction; None where it was discarded."""
    results = replies[-1].value if replies else None
    if not isinstance(results, list):
        return None
    return [
        _worded(RespReply(value, b""), item, is_read_only).value
        for value, item in zip(results, call.items, strict=True)
        if not isinstance(item, ErrorReply)
    ]


def _worded(reply: RespReply, command: Command, is_read_only: bool) -> RespReply:
    """Word an error as Upstash does, and name a loaded script by the SHA-1 of the client's text."""
    if isinstance(reply.value, ErrorReply):
        return error_reply(as_upstash(reply.value, command, is_read_only=is_read_only))
    sha = loaded_sha(command)
    return reply if sha is None else RespReply(sha, encode_string(sha))

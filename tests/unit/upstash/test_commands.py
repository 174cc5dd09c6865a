"""Commands over REST."""

import pytest

from gateway.upstash.commands import as_upstash, refusal
from gateway.upstash.resp import ErrorReply


@pytest.mark.parametrize(
    "words",
    [
        "GET a",
        "XREAD COUNT 1 STREAMS BLOCK 0",
        "XREADGROUP GROUP g c STREAMS s >",
        "XREAD",
        "CLIENT SETINFO LIB-NAME x",
        "PING",
        "NOPE",
    ],
)
def test_commands_are_left_to_the_store(words: str) -> None:
    """A stream may be called "block"."""
    assert refusal(tuple(words.encode().split())) is None


@pytest.mark.parametrize(
    "words",
    [
        "blpop a 1",
        "XREAD BLOCK 0 STREAMS s $",
        "xreadgroup GROUP g c block 0 STREAMS s >",
        "XREAD BLOCK",
        "CLIENT",
        "CLIENT REPLY OFF",
        "select 1",
        "MULTI",
        "watch a",
        "SUBSCRIBE c",
        "MONITOR",
        "RESET",
        "HELLO 3",
    ],
)
def test_commands_that_need_a_connection_of_their_own_are_refused(words: str) -> None:
    """Connections of the store serve many requests, so none may block or change one."""
    command = tuple(words.encode().split())
    name = command[0].decode().upper()
    error = f'ERR Command "{name}" is not allowed in REST or it has a special context path'
    assert ErrorReply(error.encode()) == refusal(command)


NOT_AVAILABLE = (
    "ERR Command is not available: 'NOPE'."
    " See https://upstash.com/docs/redis/overall/rediscompatibility for details"
)


@pytest.mark.parametrize(
    ("said", "is_read_only", "expected"),
    [
        ("ERR unknown command 'nope', with args beginning with: ", False, NOT_AVAILABLE),
        ("ERR DEBUG command not allowed. If the option", False, NOT_AVAILABLE),
        ("NOPERM User rest has no permissions to run the 'nope' command", False, NOT_AVAILABLE),
        (
            "NOPERM User default_ro has no permissions to run the 'nope' command",
            True,
            "NOPERM this user has no permissions to run the 'nope' command or its subcommand",
        ),
        ("NOSCRIPT No matching script.", False, "NOSCRIPT No matching script. Please use EVAL."),
        (
            "ERR value is not an integer or out of range",
            False,
            "ERR value is not an int or out of range",
        ),
        ("WRONGTYPE Operation against", False, "WRONGTYPE Operation against"),
    ],
)
def test_errors_are_worded_as_upstash_does(said: str, is_read_only: bool, expected: str) -> None:
    """Clients look at the text: there is nothing else."""
    error = as_upstash(ErrorReply(said.encode()), (b"nope",), is_read_only=is_read_only)
    assert ErrorReply(expected.encode()) == error

"""
Commands over REST: which are refused before the store sees them, and how the store's errors read.

A connection of the store serves many requests. So what changes its state (AUTH, SELECT, MULTI),
takes it over (SUBSCRIBE, MONITOR) or blocks it must not reach it. Everything else is left to the
store, whose access control (ACL) knows what each token may do.
"""

from typing import Final, TypeAlias

from gateway.upstash.resp import ErrorReply

Command: TypeAlias = tuple[bytes, ...]
"""The name of a command and its arguments."""

STANDARD_USER: Final = "rest"
READ_ONLY_USER: Final = "default_ro"
"""Users of the store for the two tokens; the second is named as Upstash names it."""

ACCESS_RULES: Final[dict[str, Command]] = {
    STANDARD_USER: tuple(
        b"+@all -@admin -@blocking +xread +xreadgroup -acl -migrate -swapdb -script|debug".split()
    ),
    READ_ONLY_USER: tuple(
        b"+@read -@dangerous -@blocking +xread -scan +ping +echo +multi +exec".split()
    ),
}
"""
What the users may do. Administration of the server (CONFIG, SHUTDOWN, MODULE, SAVE …) is for no
token: Upstash offers none of it, and CONFIG SET would let a token write files.
"""

_OTHER_CONTEXT: Final = frozenset(
    b"AUTH CLIENT DISCARD EXEC HELLO MONITOR MULTI PSUBSCRIBE PSYNC PUNSUBSCRIBE QUIT READONLY "
    b"READWRITE REPLCONF RESET SELECT SSUBSCRIBE SUBSCRIBE SUNSUBSCRIBE SYNC UNSUBSCRIBE UNWATCH "
    b"WAIT WAITAOF WATCH".split()
)
_BLOCKING: Final = frozenset(
    b"BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN".split()
)
_STREAM_READS: Final = frozenset((b"XREAD", b"XREADGROUP"))

_UNAVAILABLE: Final = (b"unknown command", b"DEBUG command not", b"MODULE command not")
"""How the store refuses commands that it does not have, and two before it asks the ACL."""

_COMPATIBILITY: Final = b"https://upstash.com/docs/redis/overall/rediscompatibility"


def refusal(command: Command) -> ErrorReply | None:
    """Why ``command`` is not sent to the store, or None."""
    name = command[0].upper()
    if name in _BLOCKING or _blocks(name, command):
        return _not_in_rest(name)
    if name in _OTHER_CONTEXT and not _sets_client_info(name, command):
        return _not_in_rest(name)
    return None


def _blocks(name: bytes, command: Command) -> bool:
    """Whether it is an XREAD or XREADGROUP with BLOCK; what follows STREAMS are keys and ids."""
    if name not in _STREAM_READS:
        return False
    options = [word.upper() for word in command[1:]]
    before_streams = options[: options.index(b"STREAMS")] if b"STREAMS" in options else options
    return b"BLOCK" in before_streams


def _sets_client_info(name: bytes, command: Command) -> bool:
    """Whether it is the one CLIENT command that the SDK sends, which changes no behaviour."""
    return name == b"CLIENT" and len(command) > 1 and command[1].upper() == b"SETINFO"


def _not_in_rest(name: bytes) -> ErrorReply:
    return ErrorReply(
        b'ERR Command "%b" is not allowed in REST or it has a special context path' % name
    )


def _not_available(name: bytes) -> ErrorReply:
    return ErrorReply(
        b"ERR Command is not available: '%b'. See %b for details" % (name.upper(), _COMPATIBILITY)
    )


def as_upstash(error: ErrorReply, command: Command, *, is_read_only: bool) -> ErrorReply:
    """Word an error of the store as Upstash does. An error that both word alike is unchanged."""
    code, _, rest = error.text.partition(b" ")
    if rest.startswith(_UNAVAILABLE):
        return _not_available(command[0])
    if code == b"NOPERM" and is_read_only:
        return ErrorReply(
            b"NOPERM this user has no permissions to run the '%b' command or its subcommand"
            % command[0].lower()
        )
    if code == b"NOPERM":
        return _not_available(command[0])
    if code == b"NOSCRIPT":
        return ErrorReply(b"NOSCRIPT No matching script. Please use EVAL.")
    if rest == b"value is not an integer or out of range":
        return ErrorReply(b"ERR value is not an int or out of range")
    return error

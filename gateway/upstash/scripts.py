"""
Scripts with Upstash's flag ``allow-key-locking``, which Redis and Valkey refuse as unknown.

The flag chooses a lock, not a result: it is removed before the store sees the script. That changes
the SHA-1 by which a client calls the script afterwards, so the client's SHA-1 is mapped to the
store's. Not emulated: with the flag, Upstash refuses keys that are not in KEYS.
"""

import re
from collections.abc import Callable
from hashlib import sha1
from typing import Final

from gateway.upstash.commands import Command
from gateway.util.lru import LruCache

MAX_SCRIPTS: Final = 10_000
"""Scripts whose SHA-1 is known; the store itself keeps at most 500 that came by EVAL."""

_FLAG: Final = b"allow-key-locking"
_SHEBANG: Final = re.compile(rb"#!lua[^\n]*")
_FLAGS: Final = re.compile(rb"[ \t]+flags=([^ \t\r\n]*)")
_FUNCTION_FLAG: Final = re.compile(rb"""(['"])allow-key-locking\1[ \t\r\n]*,?""")

_BY_TEXT: Final = frozenset((b"EVAL", b"EVAL_RO"))
_BY_SHA: Final = frozenset((b"EVALSHA", b"EVALSHA_RO"))


class ScriptNames:
    """Rewrites commands whose script has the flag, and remembers its SHA-1."""

    def __init__(self, capacity: int = MAX_SCRIPTS) -> None:
        self._store_shas: LruCache[bytes, bytes] = LruCache(capacity)

    def for_store(self, command: Command) -> Command:
        """Return ``command`` as the store understands it."""
        name = command[0].upper()
        if name in _BY_TEXT and len(command) > 1:
            return (command[0], self._learn(command[1]), *command[2:])
        if name in _BY_SHA and len(command) > 1:
            return (command[0], self._store_sha(command[1]), *command[2:])
        if name == b"SCRIPT" and len(command) > 1:
            return (*command[:2], *map(self._script_argument(command[1]), command[2:]))
        if name == b"FUNCTION" and len(command) > 1 and command[1].upper() == b"LOAD":
            return (*command[:-1], _FUNCTION_FLAG.sub(b"", command[-1]))
        return command

    def _script_argument(self, subcommand: bytes) -> Callable[[bytes], bytes]:
        """Return how the arguments of a SCRIPT command are rewritten."""
        match subcommand.upper():
            case b"LOAD":
                return self._learn
            case b"EXISTS":
                return self._store_sha
        return bytes

    def _learn(self, text: bytes) -> bytes:
        stored = without_flag(text)
        if stored != text:
            self._store_shas.put(_sha(text), _sha(stored))
        return stored

    def _store_sha(self, sha: bytes) -> bytes:
        return self._store_shas.get(sha.lower()) or sha


def without_flag(text: bytes) -> bytes:
    """Remove the flag from the first line of a script; the numbers of its lines stay."""
    shebang = _SHEBANG.match(text)
    if shebang is None:
        return text
    return _FLAGS.sub(_other_flags, shebang[0], count=1) + text[shebang.end() :]


def _other_flags(flags: re.Match[bytes]) -> bytes:
    names = flags[1].split(b",")
    others = [name for name in names if name != _FLAG]
    if others == names:
        return flags[0]
    return b" flags=" + b",".join(others) if others else b""


def loaded_sha(command: Command) -> bytes | None:
    """Return what SCRIPT LOAD answers to the client: the SHA-1 of the script as it was sent."""
    match command:
        case (name, load, text) if (name.upper(), load.upper()) == (b"SCRIPT", b"LOAD"):
            return _sha(text)
    return None


def _sha(text: bytes) -> bytes:
    return sha1(text, usedforsecurity=False).hexdigest().encode()

"""The flag ``allow-key-locking``, which the store does not know."""

from hashlib import sha1

import pytest

from gateway.upstash.scripts import ScriptNames, loaded_sha, without_flag

FLAGGED = b"#!lua flags=allow-key-locking\nreturn 1"
STORED = b"#!lua\nreturn 1"


def sha(text: bytes) -> bytes:
    return sha1(text, usedforsecurity=False).hexdigest().encode()


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        (FLAGGED, STORED),
        (b"#!lua flags=no-writes,allow-key-locking\nx", b"#!lua flags=no-writes\nx"),
        (b"#!lua flags=allow-key-locking,no-writes", b"#!lua flags=no-writes"),
        (b"#!lua flags=no-writes\r\nx", b"#!lua flags=no-writes\r\nx"),
        (b"#!lua  flags=no-writes", b"#!lua  flags=no-writes"),
        (b"#!lua\nreturn 'flags=allow-key-locking'", b"#!lua\nreturn 'flags=allow-key-locking'"),
        (b"return 'flags=allow-key-locking'", b"return 'flags=allow-key-locking'"),
        (b"", b""),
    ],
)
def test_the_flag_is_removed_from_the_first_line_alone(text: bytes, stored: bytes) -> None:
    """Other flags and other lines stay as they are."""
    assert stored == without_flag(text)


@pytest.mark.parametrize(
    ("command", "for_store"),
    [
        ((b"eval", FLAGGED, b"0"), (b"eval", STORED, b"0")),
        ((b"EVAL_RO", FLAGGED, b"0"), (b"EVAL_RO", STORED, b"0")),
        ((b"script", b"load", FLAGGED), (b"script", b"load", STORED)),
        ((b"SCRIPT", b"FLUSH"), (b"SCRIPT", b"FLUSH")),
        ((b"SCRIPT",), (b"SCRIPT",)),
        ((b"EVAL", b"return 1", b"0"), (b"EVAL", b"return 1", b"0")),
        ((b"EVAL",), (b"EVAL",)),
        ((b"EVALSHA",), (b"EVALSHA",)),
        ((b"EVALSHA", b"0" * 40, b"0"), (b"EVALSHA", b"0" * 40, b"0")),
        ((b"SET", b"k", FLAGGED), (b"SET", b"k", FLAGGED)),
        ((b"FUNCTION", b"LIST"), (b"FUNCTION", b"LIST")),
        ((b"FUNCTION",), (b"FUNCTION",)),
        (
            (b"FUNCTION", b"LOAD", b"REPLACE", b"flags={'allow-key-locking', \"no-writes\"}"),
            (b"FUNCTION", b"LOAD", b"REPLACE", b'flags={ "no-writes"}'),
        ),
    ],
)
def test_commands_are_rewritten_for_the_store(
    command: tuple[bytes, ...], for_store: tuple[bytes, ...]
) -> None:
    """Those with a script or a library; no others."""
    assert for_store == ScriptNames().for_store(command)


def test_a_script_is_called_by_the_sha_of_its_own_text() -> None:
    """In either case of letters, after EVAL as after SCRIPT LOAD; the oldest is forgotten."""
    names = ScriptNames(capacity=1)
    names.for_store((b"EVAL", FLAGGED, b"0"))
    called = names.for_store((b"EVALSHA", sha(FLAGGED).upper(), b"0"))
    assert (b"EVALSHA", sha(STORED), b"0") == called
    exists = names.for_store((b"SCRIPT", b"EXISTS", sha(FLAGGED), b"1" * 40))
    assert (b"SCRIPT", b"EXISTS", sha(STORED), b"1" * 40) == exists

    names.for_store((b"SCRIPT", b"LOAD", FLAGGED + b"1"))
    assert sha(FLAGGED) == names.for_store((b"EVALSHA", sha(FLAGGED), b"0"))[1]


def test_script_load_answers_the_sha_of_the_text_as_sent() -> None:
    """Other commands answer what the store says."""
    assert sha(FLAGGED) == loaded_sha((b"script", b"Load", FLAGGED))
    assert loaded_sha((b"SCRIPT", b"EXISTS", FLAGGED)) is None
    assert loaded_sha((b"GET", b"k")) is None

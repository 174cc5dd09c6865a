"""Batches that end with WAIT: what is sent, and what callers get where replicas are too few."""

import asyncio
from asyncio import Future
from typing import Any

import pytest

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Script
from gateway.core.replies import is_count, is_ok
from gateway.store.batch import Call, WrongReply
from gateway.store.confirm import Confirmation, ConfirmedBatch, unconfirmed_reply

SCRIPT = Script("login", "return 1", is_count)
REFUSED = Exception("NOPERM no such command")


class Missed(list[tuple[str, str]]):
    """Notes what was not confirmed."""

    def note(self, name: str, cause: str) -> None:
        self.append((name, cause))


def confirmed_batch(missed: Missed, *, is_required: bool = False) -> ConfirmedBatch:
    return ConfirmedBatch(Confirmation(1, 0.1, is_required, missed.note))


def _called(batch: ConfirmedBatch, script: Script | None = SCRIPT) -> Future[Any]:
    future: Future[Any] = asyncio.get_running_loop().create_future()
    command = ("EVALSHA", "digest", 1, b"k") if script else ("SET", b"k", b"v")
    batch.calls.append(Call(command, future, is_count if script else is_ok, script))
    return future


async def test_one_wait_is_behind_all_scripts() -> None:
    """They are sent in full: one that is not known there would come after it."""
    batch = confirmed_batch(Missed())
    _called(batch)
    _called(batch)
    in_full = ("EVAL", "return 1", 1, b"k")
    assert [in_full, in_full, ("WAIT", 1, 100)] == batch.commands() == batch.commands()


async def test_without_a_script_nothing_waits() -> None:
    """A command that asks for slots, or a read, needs no replica."""
    batch = confirmed_batch(Missed())
    done = _called(batch, None)
    assert [("SET", b"k", b"v")] == batch.commands()
    assert not batch.check([b"OK"])
    batch.deliver([b"OK"])
    assert b"OK" == await done


async def test_what_is_confirmed_is_delivered() -> None:
    """The reply to WAIT reaches no caller."""
    missed = Missed()
    batch = confirmed_batch(missed, is_required=True)
    done = _called(batch)
    batch.commands()
    assert not batch.check([1, 2])
    batch.deliver([1, 2])
    assert (1, []) == (await done, missed)


async def test_what_is_not_confirmed_stands_unless_that_is_required() -> None:
    """Either way it is told, by the name of the script."""
    for is_required in (False, True):
        missed = Missed()
        batch = confirmed_batch(missed, is_required=is_required)
        value: Future[bytes | None] = asyncio.get_running_loop().create_future()
        batch.read(b"r", value)
        done, other = _called(batch), _called(batch, None)
        batch.check(replies := [[b"v"], 1, b"OK", 0])
        batch.deliver(replies)
        assert (b"v", b"OK") == (await value, await other)
        assert [("login", "0 of 1 replicas had it in time")] == missed
        if is_required:
            with pytest.raises(StoreUnavailable) as refused:
                await done
            assert 1 == unconfirmed_reply(refused.value)
        else:
            assert 1 == await done
    assert unconfirmed_reply(StoreUnavailable("TimeoutError")) is None


async def test_a_refused_wait_confirms_nothing() -> None:
    """The scripts were carried out all the same."""
    missed = Missed()
    batch = confirmed_batch(missed)
    done = _called(batch)
    assert batch.check([1, REFUSED])
    batch.deliver([1, REFUSED])
    assert 1 == await done
    assert [("login", "WAIT was answered with Exception")] == missed


async def test_a_script_that_failed_is_not_missed() -> None:
    """Its own error is what its caller gets."""
    missed = Missed()
    batch = confirmed_batch(missed, is_required=True)
    done = _called(batch)
    assert batch.check([REFUSED, 0])
    batch.deliver([REFUSED, 0])
    with pytest.raises(StoreUnavailable, match="Exception"):
        await done
    assert [] == missed


async def test_a_reply_that_is_none_of_wait() -> None:
    """The replies are mixed up: the batch fails."""
    batch = confirmed_batch(Missed())
    _called(batch)
    with pytest.raises(WrongReply):
        batch.check([1, b"OK"])


def test_the_time_out_is_never_without_end() -> None:
    """WAIT takes 0 for that."""
    assert ("WAIT", 2, 1) == Confirmation(2, 0.0001).command

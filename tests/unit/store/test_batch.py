"""Batches: the commands of many callers, and each caller's reply."""

import asyncio
from asyncio import Future
from typing import Any

import pytest
from redis.exceptions import NoPermissionError

from gateway.core.errors import StoreUnavailable
from gateway.core.ports import Script
from gateway.core.replies import is_count, is_text
from gateway.store.batch import Batch, Call, WrongReply

SCRIPT = Script("s", "return 1", is_text)


def _future() -> Future[Any]:
    return asyncio.get_running_loop().create_future()


@pytest.fixture
async def batch() -> Batch:
    """Three reads of two keys, a write and a script."""
    made = Batch()
    for key in (b"a", b"a", b"b"):
        made.read(key, _future())
    made.calls = [
        Call(("DEL", b"c"), _future(), is_count),
        Call(("EVALSHA", "…", 0), _future(), is_text, SCRIPT),
    ]
    return made


def _answers(batch: Batch) -> list[Future[Any]]:
    reads = [answer for answer, _ in batch.singles]
    return reads + [call.future for call in batch.calls]


async def test_reads_are_one_command(batch: Batch) -> None:
    """Each key is read once."""
    assert [("MGET", b"a", b"b"), ("DEL", b"c"), ("EVALSHA", "…", 0)] == batch.commands()
    assert [None, None, SCRIPT] == [batch.script_of(position) for position in range(3)]


async def test_a_pair_is_read_with_the_others_for_one_future(batch: Batch) -> None:
    """A key that another caller reads is read once, and a caller that has left gets nothing."""
    pair, left = _future(), _future()
    batch.read_pair(b"d", b"a", pair)
    batch.read_pair(b"b", b"b", left)
    left.cancel()

    assert ("MGET", b"a", b"b", b"d") == batch.commands()[0]
    batch.deliver([[b"1", b"2", None], 0, b"ran"])
    assert (None, b"1") == pair.result()
    assert b"2" == _answers(batch)[2].result()


async def test_a_pair_fails_like_any_read(batch: Batch) -> None:
    """By an error in place of the values, and with the whole batch."""
    pair, other = _future(), _future()
    batch.read_pair(b"a", b"d", pair)
    batch.deliver([NoPermissionError("no MGET"), 1, b"ran"])
    lost = Batch()
    lost.read_pair(b"a", b"d", other)
    lost.close("no reply")

    assert "NoPermissionError" == str(pair.exception())
    assert "no reply" == str(other.exception())


async def test_without_reads_there_is_no_mget(batch: Batch) -> None:
    """An empty MGET is an error."""
    batch.keys = {}

    assert [("DEL", b"c"), ("EVALSHA", "…", 0)] == batch.commands()
    assert [None, SCRIPT] == [batch.script_of(position) for position in range(2)]


async def test_each_caller_gets_its_own_reply(batch: Batch) -> None:
    """Readers of one key get the same value."""
    batch.deliver([[b"1", None], 0, b"ran"])

    assert [b"1", b"1", None, 0, b"ran"] == [answer.result() for answer in _answers(batch)]


async def test_cancelled_callers_do_not_disturb_others(batch: Batch) -> None:
    """Their replies are dropped."""
    answers = _answers(batch)
    answers[0].cancel()
    answers[4].cancel()

    batch.deliver([[b"1", b"2"], 0, b"ran"])

    assert [b"1", b"2", 0] == [answer.result() for answer in answers[1:4]]


async def test_a_failed_mget_fails_the_readers_alone(batch: Batch) -> None:
    """Other commands have their replies."""
    _answers(batch)[0].cancel()
    batch.deliver([NoPermissionError("no MGET"), 1, b"ran"])

    for answer in _answers(batch)[1:3]:
        with pytest.raises(StoreUnavailable, match="NoPermissionError"):
            answer.result()
    assert 1 == _answers(batch)[3].result()


async def test_a_failure_reaches_every_waiting_caller(batch: Batch) -> None:
    """Each gets an exception of its own: a shared one would collect tracebacks."""
    first, *others = _answers(batch)
    first.cancel()

    batch.fail("TimeoutError")

    errors = {answer.exception() for answer in others}
    assert len(others) == len(errors)
    assert {"TimeoutError"} == {str(error) for error in errors}


@pytest.mark.parametrize(
    ("replies", "of"),
    [
        ([[b"1"], 0, b"ran"], "MGET"),
        ([[b"1", None, None], 0, b"ran"], "MGET"),
        ([[b"1", 5], 0, b"ran"], "MGET"),
        ([[b"1", [b"2"]], 0, b"ran"], "MGET"),
        ([b"OK", 0, b"ran"], "MGET"),
        ([None, 0, b"ran"], "MGET"),
        ([[b"1", b"2"], b"ran", 0], "DEL"),
        ([[b"1", b"2"], True, b"ran"], "DEL"),
        ([[b"1", b"2"], 0, [b"ran"]], "s"),
    ],
)
async def test_a_reply_of_another_shape_is_none_of_its_command(
    batch: Batch, replies: list[Any], of: str
) -> None:
    """Nothing is delivered: what stands in order before it may be wrong as well."""
    with pytest.raises(WrongReply, match=of):
        batch.check(replies)

    assert not any(answer.done() for answer in _answers(batch))


@pytest.mark.parametrize(
    "replies",
    [
        [[b"1", None], 0, b"ran"],
        [NoPermissionError("no MGET"), 0, b"ran"],
        [[b"1", b"2"], NoPermissionError("no DEL"), NoPermissionError("no EVALSHA")],
    ],
)
async def test_values_nil_and_errors_are_replies(batch: Batch, replies: list[Any]) -> None:
    """Any command can fail; it is told whether one did."""
    has_errors = any(isinstance(reply, Exception) for reply in replies)

    assert has_errors == batch.check(replies)


async def test_a_closed_batch_leaves_no_future(batch: Batch) -> None:
    """Those that have a reply keep it; the others hear the reason."""
    first, *others = _answers(batch)
    first.set_result(b"1")

    batch.close("no reply")

    assert b"1" == first.result()
    assert {"no reply"} == {str(answer.exception()) for answer in others}


async def test_an_interrupted_batch_ends_its_exchange(batch: Batch) -> None:
    """It is ended only while it is under way: a connection serves other batches later."""
    under_way = _future()
    batch.exchange = under_way

    batch.interrupt()

    assert under_way.cancelled()
    assert batch.is_interrupted
    later = batch.exchange = _future()
    batch.close("over")
    batch.interrupt()
    assert not later.cancelled()

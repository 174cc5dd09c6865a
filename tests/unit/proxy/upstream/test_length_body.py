"""A body whose length is known: what is read of it, and when."""

import asyncio

import pytest

from gateway.proxy.upstream.length_body import LengthBody


def body_of(length: int) -> LengthBody:
    """A body of which nothing has come."""
    return LengthBody(asyncio.get_running_loop(), length)


async def test_parts_that_came_are_read_together() -> None:
    """In order; the end is empty, however often it is read."""
    body = body_of(4)
    assert [b"", b""] == [body.feed(b"a"), body.feed(b"bc")]
    assert (3, 1, False) == (body.held_bytes, body.left_bytes, body.is_eof())
    assert b"abc" == await body.readany()
    assert b"" == body.feed(b"d")
    assert body.is_eof()
    assert [b"d", b"", b""] == [await body.readany() for _ in range(3)]
    assert (0, 0) == (body.held_bytes, body.left_bytes)


async def test_what_lies_behind_the_end_is_no_part() -> None:
    """It is returned, and the end stays where it is."""
    body = body_of(2)
    assert b"cd" == body.feed(b"abcd")
    assert b"ef" == body.feed(b"ef")
    assert b"" == body.feed(b"")
    assert b"ab" == await body.readany()


async def test_a_reader_waits_for_the_next_part() -> None:
    """And is told of it, or of the error that ended the body."""
    body = body_of(2)
    reading = asyncio.ensure_future(body.readany())
    await asyncio.sleep(0)
    assert not reading.done()
    body.feed(b"a")
    assert b"a" == await reading
    reading = asyncio.ensure_future(body.readany())
    await asyncio.sleep(0)
    body.set_exception(ValueError("first"))
    body.set_exception(ValueError("second"))
    with pytest.raises(ValueError, match="first"):
        await reading
    with pytest.raises(ValueError, match="first"):
        await body.readany()


async def test_a_reader_that_was_cancelled_is_not_told() -> None:
    """What comes later is kept for the next read."""
    body = body_of(1)
    reading = asyncio.ensure_future(body.readany())
    await asyncio.sleep(0)
    reading.cancel()
    body.feed(b"a")
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert b"a" == await body.readany()


async def test_a_paused_source_is_resumed_once() -> None:
    """By the read that makes room."""
    resumed: list[int] = []
    body = body_of(9)
    body.feed(b"a")
    body.resume_with(lambda: resumed.append(1))
    assert b"a" == body.read_nowait()
    assert b"" == body.read_nowait()
    assert [1] == resumed

"""When bytes leave, and in which order."""

import asyncio

from gateway.proxy.http1.write_batch import WriteBatcher


class Wire(asyncio.Transport):
    """Writes down what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_gone = False
        self.breaks = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.breaks:
            raise RuntimeError("the handler is closed")
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.is_gone


async def test_heads_of_a_turn_leave_together() -> None:
    """Nothing is written while tasks that can run have not run."""
    write_batcher, first, second = WriteBatcher(asyncio.get_running_loop()), Wire(), Wire()
    write_batcher.write_soon(first, b"1")
    write_batcher.write_soon(second, b"2")
    assert [] == first.written + second.written

    await asyncio.sleep(0)

    assert ([b"1"], [b"2"]) == (first.written, second.written)


async def test_a_lone_head_does_not_wait_for_others() -> None:
    """Where one was alone, the next is written at once; now and then one waits again."""
    write_batcher, wire = WriteBatcher(asyncio.get_running_loop()), Wire()
    write_batcher.write_soon(wire, b"first")
    await asyncio.sleep(0)
    write_batcher.write_soon(wire, b"second")
    assert [b"first", b"second"] == wire.written

    for _ in range(100):
        write_batcher.write_soon(wire, b"x")
    assert 100 > len(wire.written)
    await asyncio.sleep(0)
    assert 102 == len(wire.written)


async def test_heads_of_a_crowd_wait_for_each_other() -> None:
    """Where several were due together, the next ones wait, too."""
    write_batcher, wire = WriteBatcher(asyncio.get_running_loop()), Wire()
    for _ in range(2):
        write_batcher.write_soon(wire, b"1")
        write_batcher.write_soon(wire, b"2")
        before = len(wire.written)
        await asyncio.sleep(0)
        assert before + 2 == len(wire.written)


async def test_a_body_follows_its_head() -> None:
    """What is written at once comes after what was due."""
    write_batcher, wire = WriteBatcher(asyncio.get_running_loop()), Wire()
    write_batcher.write_soon(wire, b"head")
    write_batcher.write(wire, b"body")

    assert [b"head", b"body"] == wire.written


async def test_a_head_with_its_body_leaves_at_once() -> None:
    """In one call of the transport, behind what was due; a closed connection gets none of it."""
    write_batcher, wire, closing, broken = (
        WriteBatcher(asyncio.get_running_loop()),
        Wire(),
        Wire(),
        Wire(),
    )
    closing.is_gone = broken.breaks = True
    write_batcher.write_soon(wire, b"before")
    for each in (wire, closing, broken):
        write_batcher.write_all(each, (b"head", b"body"))

    assert [b"before", b"headbody"] == wire.written
    assert [] == closing.written + broken.written


async def test_a_closed_connection_spoils_nothing_for_others() -> None:
    """Neither one that is closing nor one that closed just now."""
    write_batcher, closing, broken, other = (
        WriteBatcher(asyncio.get_running_loop()),
        Wire(),
        Wire(),
        Wire(),
    )
    closing.is_gone = broken.breaks = True
    for wire in (closing, broken, other):
        write_batcher.write_soon(wire, b"x")
    write_batcher.flush()

    assert ([], [], [b"x"]) == (closing.written, broken.written, other.written)


async def test_what_was_flushed_is_not_written_again() -> None:
    """The end of the turn finds nothing due."""
    write_batcher, wire = WriteBatcher(asyncio.get_running_loop()), Wire()
    write_batcher.write_soon(wire, b"1")
    write_batcher.flush()
    await asyncio.sleep(0)

    assert [b"1"] == wire.written

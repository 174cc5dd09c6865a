"""Questions and answers between two processes."""

import asyncio
import socket

import pytest

from gateway.runtime.worker_rpc import PeerGone, RpcClient, RpcConnection


async def _both() -> tuple[RpcConnection, RpcConnection]:
    one, other = socket.socketpair()
    return await RpcConnection.over(one), await RpcConnection.over(other)


async def test_messages_of_any_size() -> None:
    """Each comes whole and in order; then comes the end."""
    one, other = await _both()
    for size in (0, 100, 3_000_000):
        one.send({"text": "x" * size})
    sizes = [len((await other.receive() or {})["text"]) for _ in range(3)]
    assert [0, 100, 3_000_000] == sizes
    await one.aclose()
    assert await other.receive() is None
    await other.aclose()


async def test_answers_find_their_questions() -> None:
    """Also when they come in another order, and when no caller waits for them any more."""
    one, other = await _both()
    heard: list[str] = []
    caller = RpcClient(one, lambda: heard.append("something"))
    listening = asyncio.create_task(caller.listen())
    with pytest.raises(PeerGone, match="no answer"):
        await caller.ask("a", 0.001)
    asked = [asyncio.create_task(caller.ask(what, 5)) for what in ("b", "c")]
    questions = [await other.receive() or {} for _ in range(3)]
    other.send({"number": None})
    for question in reversed(questions):
        other.send({"number": question["number"], "said": question["what"]})
    assert [{"said": "b"}, {"said": "c"}] == await asyncio.gather(*asked)

    assert ["something"] == heard

    last = asyncio.create_task(caller.ask("d", 5))
    await other.receive()
    await other.aclose()
    with pytest.raises(PeerGone, match="it ended"):
        await last
    await listening
    with pytest.raises(PeerGone):
        await caller.ask("e", 5)
    await one.aclose()


async def test_an_unnumbered_message_does_not_end_the_listening() -> None:
    """A failure that no request asked for is passed on, and the end is heard after it."""
    one, other = await _both()
    heard: list[str] = []
    caller = RpcClient(one, lambda: heard.append("something"))
    listening = asyncio.create_task(caller.listen())
    other.send({"failed": "as it ended", "not_reached": False})
    await other.aclose()
    await listening
    assert ["something"] == heard
    await one.aclose()

"""Tracebacks of handled exceptions."""

import asyncio
import gc
import weakref

import pytest

from gateway.util.tracebacks import forget_frames


class Held:
    """What a frame knows."""


async def _wait_for(answer: "asyncio.Future[None]", _: Held) -> None:
    try:
        await answer
    except OSError as error:
        raise ValueError from error


async def _failed(*, is_forgotten: bool) -> "weakref.ref[Held]":
    """Wait in a frame that knows its future and a `Held`, for a future that fails."""
    held = Held()
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    answer.set_exception(OSError())
    try:
        await _wait_for(answer, held)
    except ValueError as error:
        if is_forgotten:
            forget_frames(error)
    return weakref.ref(held)


@pytest.mark.parametrize("is_forgotten", [True, False])
async def test_the_frames_are_free(is_forgotten: bool) -> None:
    """What the frames of an error and of its cause knew is free without a collection."""
    gc.disable()
    try:
        held = await _failed(is_forgotten=is_forgotten)
        assert is_forgotten == (held() is None)
    finally:
        gc.enable()


def test_a_chain_without_causes() -> None:
    """An error that nothing caused loses its own frames alone, and stays what it was."""
    with pytest.raises(ValueError, match="x") as caught:
        int("x")
    forget_frames(caught.value)
    assert None is caught.value.__traceback__


def _raise_again(error: OSError) -> None:
    try:
        try:
            raise error
        except OSError as caught:
            raise ValueError from caught
    except ValueError:
        raise error  # noqa: B904 - as a stream does that keeps its error


@pytest.mark.timeout(10)
def test_an_error_that_caused_its_own_context() -> None:
    """The chain of one that is raised again while another that it caused is handled has an end."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 - it says nothing
        _raise_again(OSError())
    forget_frames(caught.value)
    context = caught.value.__context__
    assert isinstance(context, ValueError)
    assert (None, None) == (caught.value.__traceback__, context.__traceback__)

"""Replay and drop dead letters, in portions; each is told of when it is done."""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from gateway.config.schema import Settings
from gateway.core.invalidation import InvalidationKind
from gateway.hooks.dead_letters import DeadLetter, DeadLetters
from gateway.runtime.services.hooks import endpoints, queue
from gateway.runtime.services.store import shared_store

_PORTION: Final = 100

Told = Callable[[str, Sequence[str]], None]
"""Is told of an endpoint, and of the ids of events."""


class Chosen(NamedTuple):
    """Which letters; None for all."""

    endpoint: str | None
    event_id: str | None


class Replayed(NamedTuple):
    """How many letters were taken away, and how many stayed."""

    moved: int
    kept: int


async def replay_letters(settings: Settings, chosen: Chosen, told: Told) -> Replayed:
    """Put letters back into the queues of endpoints. Raises `StoreUnavailable`."""
    async with shared_store(settings) as (store, bus):
        dead = DeadLetters(store, settings.redis.prefix)
        queues = {endpoint.name: queue(store, endpoint) for endpoint in endpoints(settings)}

        async def replayed(endpoint: str, letters: list[DeadLetter]) -> list[DeadLetter]:
            taken = await dead.replay(letters, queues[endpoint]) if endpoint in queues else []
            if taken:
                await bus.publish(InvalidationKind.HOOKS, endpoint)
            return taken

        return await _each(dead, chosen, replayed, told)


async def drop_letters(settings: Settings, chosen: Chosen, told: Told) -> Replayed:
    """Drop letters. Raises `StoreUnavailable`."""
    async with shared_store(settings) as (store, _):
        dead = DeadLetters(store, settings.redis.prefix)

        async def dropped(_: str, letters: list[DeadLetter]) -> list[DeadLetter]:
            await dead.drop(letters)
            return letters

        return await _each(dead, chosen, dropped, told)


async def _each(
    dead: DeadLetters,
    chosen: Chosen,
    take: Callable[[str, list[DeadLetter]], Awaitable[list[DeadLetter]]],
    told: Told,
) -> Replayed:
    """Take the letters away, portion by portion; those that are given up meanwhile are left."""
    moved = kept = 0
    kept_now = (await dead.counts()).kept
    most = kept_now.get(chosen.endpoint, 0) if chosen.endpoint else sum(kept_now.values())
    async for portion in _portions(dead, chosen, most):
        for endpoint, letters in portion.items():
            taken = await take(endpoint, letters)
            moved, kept = moved + len(taken), kept + len(letters) - len(taken)
            if taken:
                told(endpoint, [letter.event_id for letter in taken])
    return Replayed(moved, kept)


async def _portions(
    dead: DeadLetters, chosen: Chosen, most: int
) -> AsyncIterator[dict[str, list[DeadLetter]]]:
    """Yield letters by endpoint, ``most`` at most: a letter that comes back is not taken again."""
    portion: dict[str, list[DeadLetter]] = defaultdict(list)
    seen = 0
    async for letter in dead.letters(*chosen):
        if seen == most:
            break
        seen += 1
        portion[letter.endpoint].append(letter)
        if seen % _PORTION == 0:
            yield portion
            portion = defaultdict(list)
    if portion:
        yield portion

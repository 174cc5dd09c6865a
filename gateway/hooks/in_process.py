"""
Hooks in Python, which run in the gateway: entry points of the group ``gateway.hooks``.

A hook is an ``async`` function of one `gateway.core.event.Event`. It gets each event at least once,
with the same id. It fails by raising: then it gets the event again, as a webhook would; `GiveUp`
leaves the event to the dead letters. Hooks share the event loop with all requests: one that blocks
it stops them (`asyncio.to_thread` takes what blocks).
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from gateway.core.errors import StartError
from gateway.core.event import Event, EventType
from gateway.hooks.attempts import HookAnswer
from gateway.hooks.cloud_event import decode
from gateway.hooks.endpoint import HookEndpoint
from gateway.hooks.sender import Post
from gateway.hooks.signature import Signer

GROUP: Final = "gateway.hooks"
SCHEME: Final = "python:"
"""Of the URL of such an endpoint: ``python:NAME``, by the name of the entry point."""
_DONE, _GONE = 204, 410

_log = logging.getLogger(__name__)

Hook = Callable[[Event], Awaitable[None]]


class GiveUp(Exception):
    """The hook will never take this event: it is kept among the dead letters."""


def in_process_endpoint(
    name: str, events: frozenset[EventType], *, is_awaited: bool = False
) -> HookEndpoint:
    """Make the endpoint of a hook. What stays in the process needs no signature."""
    return HookEndpoint(name, SCHEME + name, Signer([]), events, is_awaited)


def load_hook(name: str, found: Iterable[EntryPoint] | None = None) -> Hook:
    """
    Load the hook that an installed package offers as ``name``.

    Raises `StartError` where there is none, or several, or where it is no ``async`` function.
    """
    if found is None:
        found = entry_points(group=GROUP)
    offers = {entry.value: entry for entry in found if entry.name == name}
    if len(offers) != 1:
        problem = "several packages offer it" if offers else "no package offers it"
        raise StartError(f"the hook {name}: {problem} (entry points {GROUP})")
    [entry] = offers.values()
    try:
        hook = entry.load()
    except Exception as error:  # whatever the package does when it is imported
        raise StartError(f"the hook {name} cannot be loaded: {type(error).__name__}") from error
    if not _is_async(hook):
        raise StartError(f"the hook {name} is no async function")
    return hook  # type: ignore[no-any-return] # what it takes, no check can tell


class InProcessSender:
    """Hands events to one hook: a `gateway.hooks.delivery.Sends`, as webhooks have one."""

    def __init__(self, name: str, hook: Hook, timeout_s: float) -> None:
        self._name = name
        self._hook = hook
        self._timeout_s = timeout_s
        self._running: set[asyncio.Task[HookAnswer]] = set()

    async def send(self, post: Post) -> HookAnswer:
        """
        Run the hook, and tell what came of it; raises nothing but a cancellation.

        A hook that takes too long is cancelled. One that does not heed it is not awaited: it may
        still run when the event comes again.
        """
        task = asyncio.get_running_loop().create_task(self._run(decode(post.body)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            await asyncio.wait([task], timeout=self._timeout_s)
        finally:
            is_late = not task.done()
            task.cancel()
        if is_late:
            return HookAnswer(0, "no answer in time")
        return HookAnswer(0, "cancelled") if task.cancelled() else task.result()

    async def _run(self, event: Event) -> HookAnswer:
        try:
            await self._hook(event)
        except GiveUp:
            return HookAnswer(_GONE, "given up")
        except (Exception, SystemExit) as error:  # noqa: BLE001 (a hook must not end the gateway)
            kind = type(error).__name__
            _log.warning("the hook %s failed with event %s: %s", self._name, event.id, kind)
            return HookAnswer(0, kind)
        return HookAnswer(_DONE, "done")


def _is_async(hook: object) -> bool:
    """Whether ``hook`` is an ``async`` function, or an object whose call is one."""
    call = type(hook).__call__ if callable(hook) else None
    return inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(call)

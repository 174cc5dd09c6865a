"""Work of a command that ends in time, also where a name server does not answer."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Thread
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


def run_within(work: Coroutine[Any, Any, T], within_s: float) -> T:
    """Run ``work``. Raises `TimeoutError` where it takes longer than ``within_s``."""

    async def bounded() -> T:
        asyncio.get_running_loop().set_default_executor(_AbandonedThreads())
        async with asyncio.timeout(within_s):
            return await work

    return asyncio.run(bounded())


class _AbandonedThreads(ThreadPoolExecutor):
    """Runs each call in a thread that no end waits for: names are resolved in such threads."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 (it goes where the result would)
                future.set_exception(error)

        Thread(target=call, daemon=True).start()
        return future

"""
Kills the gateway that it is loaded into, as ``kill -9`` does, at a point that a file names.

Python loads a module of this name first, where its folder is on PYTHONPATH: nothing of the gateway
knows of it. The file ``point`` is in MORTAL_FOLDER. Of several gateways the first that comes to the
point dies, all its processes at once; the file is then called ``taken``.
"""

import os
import signal
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway.hooks.first_login import FirstLogins
from gateway.hooks.outbox import Outbox
from gateway.hooks.queue import DeliveryQueue
from gateway.hooks.sender import Sender

FOLDER = Path(os.environ["MORTAL_FOLDER"])
_reached: set[str] = set()
"""Steps that this process has done, as they are meant."""


class Step(NamedTuple):
    """One step on the way of a first sign-in, and where in the code it is taken."""

    name: str
    owner: type
    method: str
    is_meant: Callable[[Any, tuple[Any, ...]], bool] = lambda _result, _args: True
    """Whether this result, of these arguments, is that of the step; it may be a look at nothing."""
    behind: str = ""
    """The step that this process has to have done, before it dies before this one."""


def _notes(state: str) -> Callable[[Any, tuple[Any, ...]], bool]:
    return lambda _result, args: args[1] == state


STEPS: Final = (
    Step("sign in", Outbox, "sign_in", lambda record, _: record is None or record.is_first),
    Step("read", Outbox, "unread", lambda read, _: read is None or bool(read.events), "sign in"),
    Step("queue", DeliveryQueue, "add"),
    Step("advance", Outbox, "advance"),
    Step(
        "claim", DeliveryQueue, "claim", lambda claims, _: claims is None or bool(claims), "queue"
    ),
    Step("running", FirstLogins, "note", _notes("running")),
    Step("send", Sender, "send"),
    Step("done", FirstLogins, "note", _notes("done")),
    Step("end", DeliveryQueue, "delivered"),
)


def _die_at(point: str) -> None:
    """Kill the supervisor, its workers and this process, if that is the point."""
    try:
        if (FOLDER / "point").read_text() != point:
            return
        (FOLDER / "point").rename(FOLDER / "taken")
    except FileNotFoundError:
        return
    supervisor = os.getppid()
    workers = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    for process in (supervisor, *map(int, workers), os.getpid()):
        os.kill(process, signal.SIGKILL)


def _make_mortal(step: Step) -> None:
    original = getattr(step.owner, step.method)

    @wraps(original)
    async def mortal(self: object, *args: object, **named: object) -> object:
        if step.is_meant(None, args) and (not step.behind or step.behind in _reached):
            _die_at(f"{step.name} before")
        result = await original(self, *args, **named)
        if step.is_meant(result, args):
            _reached.add(step.name)
            _die_at(f"{step.name} after")
        return result

    setattr(step.owner, step.method, mortal)


for each in STEPS:
    _make_mortal(each)

"""
Confirmation by replicas: batches that end with WAIT, on the connection that sent the scripts.

Redis and Valkey answer a write before any replica has it. WAIT holds the connection up until so
many replicas have all that was written on it before; one WAIT serves all scripts of a batch.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from gateway.core.errors import StoreUnavailable
from gateway.core.replies import is_count
from gateway.store.batch import Batch, Call, WrongReply
from gateway.store.packing import Command, in_full

_TICK_S: Final = 0.1
"""How often servers look for commands whose time-out is over."""


class NotConfirmed(Exception):
    """Too few replicas had the write in time: it is on the primary, and may be lost with it."""

    def __init__(self, reply: object) -> None:
        super().__init__()
        self.reply = reply
        """What the script replied."""


class Confirmation(NamedTuple):
    """How many replicas have to have what scripts write, and by when."""

    replicas: int
    timeout_s: float
    is_required: bool = False
    """Whether a script that is not confirmed fails; its changes stay."""
    on_missed: Callable[[str, str], object] = lambda _name, _cause: None
    """Called with the name of each script that is not confirmed, and why."""

    @property
    def command(self) -> Command:
        """WAIT, with its time-out in milliseconds: 0 would be without end."""
        return ("WAIT", self.replicas, max(1, round(self.timeout_s * 1000)))

    @property
    def delay_s(self) -> float:
        """How much longer an exchange takes at most: for the one before it, and for its own."""
        return 2 * (self.timeout_s + _TICK_S)

    def missing(self, reply: object) -> str | None:
        """Say why the ``reply`` to WAIT confirms nothing; None where it does."""
        if isinstance(reply, int):
            is_enough = reply >= self.replicas
            return None if is_enough else f"{reply} of {self.replicas} replicas had it in time"
        return f"WAIT was answered with {type(reply).__name__}"


def unconfirmed_reply(error: StoreUnavailable) -> object:
    """Return what a script replied that was carried out, and not confirmed; None for any other."""
    return error.__cause__.reply if isinstance(error.__cause__, NotConfirmed) else None


class ConfirmingBatch(Batch):
    """
    What ends a batch with WAIT where it has scripts; base of the kinds of batches that do.

    Scripts are sent in full: one that is brought later, by its name, would come after the WAIT.
    """

    __slots__ = ()
    confirm: Confirmation

    def commands(self) -> list[Command]:
        if not self._has_scripts():
            return super().commands()
        self.calls = list(map(_in_full, self.calls))
        return [*super().commands(), self.confirm.command]

    def check(self, replies: Sequence[Any]) -> bool:
        if not self._has_scripts():
            return super().check(replies)
        *others, confirmed = replies
        is_error = isinstance(confirmed, Exception)
        if not is_error and not is_count(confirmed):
            raise WrongReply("WAIT")
        return super().check(others) or is_error

    def deliver(self, replies: Sequence[Any]) -> None:
        if self._has_scripts():
            *others, confirmed = replies
            cause = self.confirm.missing(confirmed)
            replies = others if cause is None else self._unconfirmed(others, cause)
        super().deliver(replies)

    def _has_scripts(self) -> bool:
        return any(call.script is not None for call in self.calls)

    def _unconfirmed(self, replies: list[Any], cause: str) -> list[Any]:
        """Tell of each script that was carried out; return what their callers get."""
        reads = len(replies) - len(self.calls)
        for at, call in enumerate(self.calls, reads):
            if call.script is not None and not isinstance(replies[at], Exception):
                self.confirm.on_missed(call.script.name, cause)
                if self.confirm.is_required:
                    replies[at] = _refusal(replies[at])
        return replies


class ConfirmedBatch(ConfirmingBatch):
    """A batch for one server."""

    __slots__ = ("confirm",)

    def __init__(self, confirm: Confirmation) -> None:
        super().__init__()
        self.confirm = confirm


def _refusal(reply: object) -> StoreUnavailable:
    refusal = StoreUnavailable(NotConfirmed.__name__)
    refusal.__cause__ = NotConfirmed(reply)
    return refusal


def _in_full(call: Call) -> Call:
    if call.script is None:
        return call
    return call._replace(command=in_full(call.command, call.script.source))

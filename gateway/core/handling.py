"""What a request is handed to at its beginning and at its end."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from gateway.core.errors import Refusal
from gateway.core.record import RequestRecord
from gateway.core.request import Outbound, Reply, RequestHead

Admit = Callable[[RequestHead, RequestRecord], Coroutine[Any, Any, Outbound | Reply]]
"""
Decides about a request: what to send upstream, or the gateway's own answer to a preflight or check.

Some refusals are raised by the call, and the others when its result is awaited.
"""

RefusalsTold = Mapping[type[Refusal], Callable[[Refusal, RequestRecord], None]]
"""What is called with refusals, by their kind."""


class LogRequest(Protocol):
    """Writes the log line of a request."""

    def __call__(
        self,
        head: RequestHead | None,
        record: RequestRecord,
        status: int,
        bytes_out: int,
        duration_s: float,
    ) -> None:
        """Log a request; ``head`` is None if the bytes were no request."""

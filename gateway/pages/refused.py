"""The page of a refusal by itself, for a proxy that cannot hand on the answer to its check."""

from collections.abc import Callable
from typing import Self

from aiohttp import web

from gateway.core.errors import (
    BadRequest,
    NoRoute,
    Refusal,
    StoreUnavailable,
    TooManyLocks,
    Unauthenticated,
)
from gateway.core.problem import problem_of, reply_of
from gateway.pages.caller import caller
from gateway.pages.error_pages import NAMES, ErrorPages
from gateway.pages.services import PageGroup, PageServices

_LONGEST_S = 24 * 3600
_WITH_FIELDS: dict[int, Callable[[], Refusal]] = {
    401: Unauthenticated,
    429: TooManyLocks,
    503: StoreUnavailable,
}
"""By status, a refusal that is answered with the fields that the status needs."""
_STATUSES = {str(status): status for status in NAMES}


class RefusedPages(PageGroup):
    """
    ``GET /refused/{status}``: nginx drops the body of the answer to an ``auth_request``.

    It decides nothing, and takes no words from the request: a link to it from elsewhere shows the
    page of a status, and no more.
    """

    def __init__(self, pages: ErrorPages) -> None:
        self._pages = pages

    @classmethod
    def of(cls, services: PageServices) -> Self:
        return cls(services.error_pages)

    async def show(self, request: web.Request) -> web.Response:
        """
        Answer with the status and its page. Raises `NoRoute` for one without a page of its own.

        ``retry_after`` in the query is that of the answer to the check.
        """
        status = _STATUSES.get(request.match_info["status"])
        if status is None:
            raise NoRoute
        refusal = _WITH_FIELDS.get(status, BadRequest)()
        if isinstance(refusal, StoreUnavailable | TooManyLocks):
            refusal.retry_after_s = _seconds(request.query.getall("retry_after", ()))
        if (identity := caller(request)) is not None:
            refusal.signed_in_as = identity.signed_in_as
        answer = problem_of(refusal)._replace(code=str(status), status=status)
        answer = self._pages.for_person(request.headers, refusal, answer)
        reply = reply_of(answer, request.headers.get("X-Request-Id", ""))
        return web.Response(status=reply.status, headers=dict(reply.fields), body=reply.body)


def _seconds(values: tuple[str, ...] | list[str]) -> float:
    """Read a time to wait; a second where none is given that could be one."""
    text = values[0] if len(values) == 1 else ""
    is_time = text.isascii() and text.isdecimal() and len(text) < len(str(10 * _LONGEST_S))
    return float(min(_LONGEST_S, max(1, int(text)))) if is_time else 1.0
